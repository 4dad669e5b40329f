//! Signing in by e-mail and password. The answer does not tell which of the two is wrong, and neither does its time.

use std::sync::Arc;

use shared::{
    api::account::{Tokens, User},
    limits::ip::network,
    text::{earlier_email, normalize_email},
};

use super::{Auth, AuthError, Requester, passwords::PasswordMatch, throttle::Guesser};
use crate::{
    detached::detached,
    events::Announcements,
    store::{StoreResult, accounts::credentials::Credential},
};

/// Somebody who wants to sign in.
#[derive(Clone)]
pub struct SignIn {
    /// The request they come with.
    pub requester: Requester,
    /// A token they show beside, such as that of their last session; it need not be valid any more.
    pub shown_token: Option<String>,
    /// The e-mail as it was typed.
    pub email: String,
    /// The password as it was typed.
    pub password: String,
    /// The user's name of the device.
    pub device_name: Option<String>,
}

impl Auth {
    /// Signs somebody in and begins a session.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::InvalidCredentials`] or [`AuthError::RateLimited`].
    pub async fn sign_in(
        self: &Arc<Self>,
        attempt: SignIn,
        announcements: &Announcements,
    ) -> Result<Tokens, AuthError> {
        let now = self.clock.now();
        let email = normalize_email(&attempt.email);
        let (requester, device_name) = (attempt.requester.clone(), attempt.device_name.clone());
        self.throttle.sign_in(&*self.ephemeral, &requester.ip, &email, now).await?;
        let auth = Arc::clone(self);
        let user = detached(async move { auth.check_counted(attempt, &email).await }).await??;
        let user = user.ok_or(AuthError::InvalidCredentials)?;
        self.open_session(user, &requester, device_name, now, announcements).await
    }

    /// Checks like [`Self::check_limited`], and tells the throttle, which has counted the attempt as one that fails, its end.
    async fn check_counted(&self, attempt: SignIn, email: &str) -> Result<Option<User>, AuthError> {
        let ip = attempt.requester.ip.clone();
        let outcome = self.check_limited(attempt, email).await;
        match &outcome {
            Ok(Some(_)) => self.throttle.signed_in(&*self.ephemeral, &ip, email).await,
            Ok(None) => {}
            Err(_) => self.throttle.undecided(&*self.ephemeral, &ip, email, self.clock.now()).await,
        }
        outcome
    }

    /// Returns who has this e-mail and this password, if anybody, within the guesses of a day.
    async fn check_limited(&self, attempt: SignIn, email: &str) -> Result<Option<User>, AuthError> {
        let network = network(&attempt.requester.ip).map(|network| network.to_string());
        let credential = self.find_credential(&attempt.email, email, network.clone()).await?;
        let guesser = self.guesser(&attempt, email, credential.as_ref(), network.as_deref());
        self.throttle.guess(&*self.ephemeral, &guesser, self.clock.now()).await?;
        let account = credential.as_ref().map(|credential| credential.user.id);
        let outcome = self.check_password(credential, attempt.password).await;
        if let (Ok(None), Some(account)) = (&outcome, account) {
            self.note_failed_sign_in(account, &attempt.requester, attempt.device_name);
        }
        if !matches!(outcome, Ok(None)) {
            self.throttle.not_wrong(&*self.ephemeral, &guesser, self.clock.now()).await;
        }
        outcome
    }

    /// Finds the credential of an address, which may be stored as it was typed at a time when addresses were compared more
    /// strictly.
    async fn find_credential(
        &self,
        typed: &str,
        email: &str,
        network: Option<String>,
    ) -> StoreResult<Option<Credential>> {
        let known = self.accounts.credential(email.to_owned(), network.clone()).await?;
        // Asked for in any case, so that the time does not tell whether there is an account.
        let earlier = match earlier_email(typed) {
            Some(earlier) => self.accounts.credential(earlier, network).await?,
            None => None,
        };
        Ok(known.or(earlier))
    }

    /// Returns whose guess this is: that of a device which signed in to the account before, or anybody's.
    fn guesser(
        &self,
        attempt: &SignIn,
        email: &str,
        credential: Option<&Credential>,
        network: Option<&str>,
    ) -> Guesser {
        let Some(credential) = credential else { return Guesser::stranger(email) };
        let shown = attempt.shown_token.as_deref().and_then(|token| self.tokens.verify_origin(token).ok());
        if let Some(claims) = shown.filter(|claims| claims.sub == credential.user.id) {
            return Guesser::with_session(claims.sid);
        }
        match network.filter(|_| credential.is_known_network) {
            Some(network) => Guesser::in_known_network(credential.user.id, network),
            None => Guesser::stranger(email),
        }
    }

    /// Returns the user of a credential when this is their password. An outdated hash is replaced.
    async fn check_password(
        &self,
        credential: Option<Credential>,
        password: String,
    ) -> Result<Option<User>, AuthError> {
        let (user, hash) = credential.map(|known| (known.user, known.password_hash)).unzip();
        match (self.passwords.verify(password.clone(), hash.clone()).await?, user, hash) {
            (PasswordMatch::Right, user, _) => Ok(user),
            (PasswordMatch::RightOutdated, Some(user), Some(hash)) => {
                if let Err(error) = self.rehash(&user, hash, password).await {
                    tracing::warn!(%error, "a password's hash was not replaced");
                }
                Ok(Some(user))
            }
            _ => Ok(None),
        }
    }

    async fn rehash(&self, user: &User, old: String, password: String) -> Result<(), AuthError> {
        let new = self.passwords.rehash(password, &*self.random).await?;
        self.accounts.replace_password_hash(user.id, old, new).await?;
        Ok(())
    }
}
