//! Signing in by e-mail and password. The answer does not tell which of the two is wrong, and neither does its time.

use std::sync::Arc;

use shared::{
    api::account::{Tokens, User},
    limits::ip::network,
    text::{earlier_email, normalize_email},
};

use super::{
    Auth, AuthError, Requester,
    passwords::PasswordMatch,
    throttle::{Guesser, Way},
};
use crate::{
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
        let SignIn { requester, shown_token, email, password, device_name } = attempt;
        self.throttle.request(&*self.ephemeral, Way::Password, &requester.ip, now).await?;
        let normal_email = normalize_email(&email);
        let network = network(&requester.ip).map(|network| network.to_string());
        let credential = self.find_credential(&email, &normal_email, network).await?;
        let guesser = self.guesser(&requester, shown_token.as_deref(), &normal_email, credential.as_ref());
        let check = self.clone().check_noted(credential, password, requester.clone(), device_name.clone());
        let user = self.guess(guesser, check).await?.ok_or(AuthError::InvalidCredentials)?;
        self.open_session(user, &requester, device_name, now, announcements).await
    }

    /// Checks like [`Self::check_password`], and notes a wrong password in the account's audit trail.
    async fn check_noted(
        self: Arc<Self>,
        credential: Option<Credential>,
        password: String,
        requester: Requester,
        device_name: Option<String>,
    ) -> Result<Option<User>, AuthError> {
        let account = credential.as_ref().map(|credential| credential.user.id);
        let outcome = self.check_password(credential, password).await;
        if let (Ok(None), Some(account)) = (&outcome, account) {
            self.note_failed_sign_in(account, &requester, device_name);
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
        requester: &Requester,
        shown_token: Option<&str>,
        email: &str,
        credential: Option<&Credential>,
    ) -> Guesser {
        let stranger = || Guesser::stranger(Way::Password, &requester.ip, email);
        let Some(credential) = credential else { return stranger() };
        let shown = shown_token.and_then(|token| self.tokens.verify_origin(token).ok());
        match shown.filter(|claims| claims.sub == credential.user.id) {
            Some(claims) => Guesser::with_session(Way::Password, claims.sid),
            None if credential.is_known_network => {
                Guesser::in_known_network(Way::Password, &requester.ip, credential.user.id)
            }
            None => stranger(),
        }
    }

    /// Returns the user of a credential when this is their password and they are not suspended. An outdated hash is replaced.
    async fn check_password(
        &self,
        credential: Option<Credential>,
        password: String,
    ) -> Result<Option<User>, AuthError> {
        let is_suspended = credential.as_ref().is_some_and(|known| known.is_suspended);
        let (user, hash) = credential.map(|known| (known.user, known.password_hash)).unzip();
        // A suspended user takes the time of a password as well.
        match (self.passwords.verify(password.clone(), hash.clone()).await?, user, hash) {
            _ if is_suspended => Ok(None),
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
