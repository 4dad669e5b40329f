//! Sign-in by an account at Google or Apple.

use std::sync::Arc;

use shared::{
    api::account::{AccountEventKind, Provider, Tokens, User},
    auth::{Claims, id_token::ProvenIdentity},
    id::Id,
    time::{SECOND_MS, Timestamp},
};

use super::{Auth, AuthError, Requester, tokens::TokenIssuer};
use crate::{
    events::Announcements,
    jobs::apple::CodeExchange,
    oidc::OidcError,
    sealed::Purpose,
    store::{
        Accounts,
        accounts::identities::{IdentityLink, IdentityLinkOutcome, IdentitySignIn, NewIdentity},
    },
};

/// The time for which Apple takes an authorization code after it was issued, which is about when the id token was.
const CODE_LIFETIME_MS: i64 = 5 * 60 * SECOND_MS;

/// Somebody who shows a provider's token.
#[derive(Clone)]
pub struct ShownIdentity {
    /// The request.
    pub requester: Requester,
    /// The provider.
    pub provider: Provider,
    /// The token.
    pub id_token: String,
    /// The nonce that their app chose.
    pub nonce: Option<String>,
    /// The authorization code that came with the token, of Apple.
    pub authorization_code: Option<String>,
    /// The name of somebody who is new.
    pub display_name: Option<String>,
    /// The user's name of the device.
    pub device_name: Option<String>,
}

impl Auth {
    /// Signs in whoever shows a provider's token, and signs them up where nobody has the identity or its verified address.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::Oidc`] or [`AuthError::RateLimited`].
    pub async fn sign_in_by_identity(
        &self,
        shown: ShownIdentity,
        announcements: &Announcements,
    ) -> Result<Tokens, AuthError> {
        let (proven, now) = self.prove(&shown).await?;
        let ShownIdentity { requester, provider, authorization_code, display_name, device_name, .. } = shown;
        let new_user = self.user_of_identity(&proven, display_name, now);
        let (opening, entry) = self.prepare_proven(new_user, &requester, device_name, now);
        let sign_in = IdentitySignIn {
            identity: identity(provider, &proven),
            verified_email: proven.verified_email().map(str::to_owned),
            proven: entry,
            linked_audit_id: self.random.id(now),
        };
        let write = async move |accounts: Arc<dyn Accounts>| accounts.sign_in_by_identity(sign_in).await;
        // A suspended account has no identities.
        let signed_in = self.open_proven(opening, &requester, announcements, write).await?;
        let tokens = signed_in.ok_or(OidcError::Refused(provider))?;
        self.exchange_later(tokens.user.id, &proven, authorization_code, now).await;
        Ok(tokens)
    }

    /// Links an identity to the signed-in user, who may be a guest: they can sign in by it from now on. The session goes on with
    /// the returned tokens.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::Oidc`], [`AuthError::IdentityTaken`], [`AuthError::SessionEnded`] or [`AuthError::RateLimited`].
    pub async fn link_identity(
        &self,
        shown: ShownIdentity,
        user: User,
        claims: &Claims,
    ) -> Result<Tokens, AuthError> {
        let (proven, now) = self.prove(&shown).await?;
        let refresh = TokenIssuer::opaque(&*self.random);
        let refresh_expires_at = self.tokens.refresh_expiry(now);
        let kind = AccountEventKind::IdentityLinked;
        let link = IdentityLink {
            user_id: user.id,
            identity: identity(shown.provider, &proven),
            verified_email: proven.verified_email().map(str::to_owned),
            session_id: claims.sid,
            refresh_hash: refresh.hash(),
            refresh_expires_at,
            audit: self.audit_event(user.id, kind, Some(claims.sid), &shown.requester, now),
        };
        let write = async move |accounts: Arc<dyn Accounts>| accounts.link_identity(link).await;
        match self.change(user.id, write).await? {
            IdentityLinkOutcome::Linked(user) => {
                self.exchange_later(user.id, &proven, shown.authorization_code, now).await;
                Ok(self.pair(*user, claims.sid, &refresh, refresh_expires_at, now))
            }
            IdentityLinkOutcome::Taken => Err(AuthError::IdentityTaken),
            IdentityLinkOutcome::NoSession => Err(AuthError::SessionEnded),
        }
    }

    /// Returns whom a token names, and the time at which it was read.
    async fn prove(&self, shown: &ShownIdentity) -> Result<(ProvenIdentity, Timestamp), AuthError> {
        let now = self.clock.now();
        let ShownIdentity { requester, provider, id_token, nonce, .. } = shown;
        self.throttle.identity(&*self.ephemeral, &requester.ip, now).await?;
        let proven = self.providers.verify(*provider, id_token, nonce.as_deref(), now).await?;
        Ok((proven, now))
    }

    /// Schedules the exchange of an authorization code. The sign-in does not depend on it.
    async fn exchange_later(
        &self,
        user_id: Id,
        proven: &ProvenIdentity,
        code: Option<String>,
        now: Timestamp,
    ) {
        let Some(code) = code.filter(|_| self.providers.apple_tokens.is_some()) else { return };
        let sealed = match self.sealer.seal(user_id, Purpose::AppleCode, &code) {
            Ok(sealed) => sealed,
            Err(error) => return tracing::warn!(%error, "an authorization code is not exchanged"),
        };
        let (subject, client_id) = (proven.subject.clone(), proven.client_id.clone());
        let expires_at = now.plus_millis(CODE_LIFETIME_MS);
        let exchange = CodeExchange::new(user_id, subject, client_id, &sealed, expires_at);
        if let Err(error) = self.schedule(exchange.job(self.random.id(now), now)).await {
            tracing::warn!(%error, "an authorization code is not exchanged");
        }
    }

    /// A new user with the verified address of an identity, if it has one.
    fn user_of_identity(
        &self,
        proven: &ProvenIdentity,
        display_name: Option<String>,
        now: Timestamp,
    ) -> User {
        let email = proven.verified_email();
        User {
            email: email.map(str::to_owned),
            email_verified: email.is_some(),
            display_name: display_name.or_else(|| proven.name.clone()),
            ..self.new_user(now)
        }
    }
}

fn identity(provider: Provider, proven: &ProvenIdentity) -> NewIdentity {
    NewIdentity { provider, subject: proven.subject.clone(), email: proven.email.clone() }
}
