//! Links that confirm an e-mail address. Whoever opens one needs no session: it proves that they read a mail to the address.

use std::sync::Arc;

use shared::api::account::{AccountEventKind, User};

use super::{
    Auth, AuthError, Requester,
    throttle::{Guesser, Way},
};
use crate::{one_time_secrets::EmailLink, store::Accounts};

impl Auth {
    /// Returns the user whose address a link confirms, and changes nothing.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::CodeInvalid`] when the token is none, has expired, or the user has another address by now, or with
    /// [`AuthError::RateLimited`].
    pub async fn user_of_email_link(
        self: &Arc<Self>,
        requester: &Requester,
        token: &str,
    ) -> Result<User, AuthError> {
        let now = self.clock.now();
        self.throttle.request(&*self.ephemeral, Way::Link, &requester.ip, now).await?;
        let (auth, link) = (Arc::clone(self), EmailLink::decode(token));
        let check = async move {
            let Some(link) = link.filter(|link| link.expires_at > now) else { return Ok(None) };
            let user = auth.accounts.user(link.user_id).await?;
            Ok(user.filter(|user| {
                user.email.as_deref().is_some_and(|email| auth.one_time_secrets.is_email_link(&link, email))
            }))
        };
        let guesser = Guesser::of_token(Way::Link, &requester.ip);
        self.guess(guesser, check).await?.ok_or(AuthError::CodeInvalid)
    }

    /// Confirms the address of a link. Returns the user; one whose address was confirmed before, too.
    ///
    /// # Errors
    ///
    /// Fails like [`Self::user_of_email_link`].
    pub async fn confirm_email(
        self: &Arc<Self>,
        requester: &Requester,
        token: &str,
    ) -> Result<User, AuthError> {
        let user = self.user_of_email_link(requester, token).await?;
        let (user_id, email) = (user.id, user.email.clone().unwrap_or_default());
        let now = self.clock.now();
        let audit = self.audit_event(user_id, AccountEventKind::EmailVerified, None, requester, now);
        let write =
            async move |accounts: Arc<dyn Accounts>| accounts.verify_email(user_id, email, audit).await;
        if self.change(user_id, write).await? { Ok(user) } else { Err(AuthError::CodeInvalid) }
    }
}
