//! New passwords: in place of the current one, or by a permission to reset it. Both end other sessions, because whoever knew the
//! old password may have one.

use std::sync::Arc;

use shared::{
    api::{
        account::{AccountEventKind, Tokens, User},
        internal::user_event::{AddressedEvent, UserEvent},
    },
    auth::Claims,
    id::Id,
};

use super::{
    Auth, AuthError, Requester,
    passwords::{PasswordMatch, own_words},
    throttle::{Guesser, Way},
    tokens::{OpaqueToken, TokenIssuer},
};
use crate::{
    events::Announcements,
    jobs::notify::password_changed,
    store::{
        Accounts,
        accounts::{credentials::PasswordChange, password_resets::PasswordReset},
    },
};

/// A signed-in user who wants another password.
#[derive(Clone)]
pub struct NewPassword {
    /// The request they come with.
    pub requester: Requester,
    /// The claims of their token.
    pub claims: Claims,
    /// The user.
    pub user: User,
    /// The current password, as it was typed.
    pub current: String,
    /// The new one, as it was typed.
    pub new: String,
}

impl Auth {
    /// Changes a password. The session goes on with a new refresh token alone; all others of the user end.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::PasswordWrong`], [`AuthError::PasswordGuessable`], [`AuthError::RateLimited`], or
    /// [`AuthError::SessionEnded`] when the session ended or the password was changed meanwhile.
    pub async fn change_password(
        self: &Arc<Self>,
        request: NewPassword,
        announcements: &Announcements,
    ) -> Result<Tokens, AuthError> {
        let NewPassword { requester, claims, user, current, new } = request;
        let old_hash = self.check_typed_password(&requester, &claims, current).await?;
        let new_hash = self.hash_chosen(&user, new).await?;
        let now = self.clock.now();
        let refresh = TokenIssuer::opaque(&*self.random);
        let refresh_expires_at = self.tokens.refresh_expiry(now);
        let event = self.all_sessions_ended(&user, Some(claims.sid));
        let change = PasswordChange {
            user_id: user.id,
            old_hash,
            new_hash,
            session_id: claims.sid,
            refresh_hash: refresh.hash(),
            refresh_expires_at,
            event,
            job: password_changed(self.random.id(now), user.id, now),
            audit: self.audit_event(
                user.id,
                AccountEventKind::PasswordChanged,
                Some(claims.sid),
                &requester,
                event.at,
            ),
        };
        let write = async move |accounts: Arc<dyn Accounts>| accounts.change_password(change).await;
        if !self.change(user.id, write).await? {
            return Err(AuthError::SessionEnded);
        }
        self.jobs.wake();
        announcements.add_stored(event);
        Ok(self.pair(user, claims.sid, &refresh, refresh_expires_at, now))
    }

    /// Sets a password by a permission's token, and ends all sessions of its user.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::CodeInvalid`] when there is no such permission, or it was used or has expired,
    /// [`AuthError::PasswordGuessable`] or [`AuthError::RateLimited`].
    pub async fn reset_password(
        self: &Arc<Self>,
        requester: &Requester,
        token: &str,
        new: String,
        announcements: &Announcements,
    ) -> Result<(), AuthError> {
        let user = self.user_of_reset_token(requester, token).await?;
        let token_hash = OpaqueToken::decode(token).ok_or(AuthError::CodeInvalid)?.hash();
        let password_hash = self.hash_chosen(&user, new).await?;
        let event = self.all_sessions_ended(&user, None);
        let job = password_changed(self.random.id(event.at), user.id, event.at);
        let audit = self.audit_event(user.id, AccountEventKind::PasswordReset, None, requester, event.at);
        let reset = PasswordReset { token_hash, user_id: user.id, password_hash, event, job, audit };
        let write = async move |accounts: Arc<dyn Accounts>| accounts.reset_password(reset).await;
        if !self.change(user.id, write).await? {
            return Err(AuthError::CodeInvalid);
        }
        self.jobs.wake();
        announcements.add_stored(event);
        Ok(())
    }

    /// Returns the user who may set a password by this token, and changes nothing.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::CodeInvalid`] when there is no such permission, or it was used or has expired, or with
    /// [`AuthError::RateLimited`].
    pub async fn user_of_reset_token(
        self: &Arc<Self>,
        requester: &Requester,
        token: &str,
    ) -> Result<User, AuthError> {
        let now = self.clock.now();
        self.throttle.request(&*self.ephemeral, Way::Link, &requester.ip, now).await?;
        let (accounts, token) = (Arc::clone(&self.accounts), OpaqueToken::decode(token));
        let check = async move {
            let Some(token) = token else { return Ok(None) };
            Ok(accounts.password_reset_user(token.hash(), now).await?)
        };
        let user = self.guess(Guesser::of_token(Way::Link, &requester.ip), check).await?;
        user.ok_or(AuthError::CodeInvalid)
    }

    /// Returns the stored hash of a signed-in user's password when they know it, within the limits of guesses.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::PasswordWrong`], also when they have none, or [`AuthError::RateLimited`].
    pub(super) async fn check_typed_password(
        self: &Arc<Self>,
        requester: &Requester,
        claims: &Claims,
        typed: String,
    ) -> Result<String, AuthError> {
        let now = self.clock.now();
        self.throttle.request(&*self.ephemeral, Way::Password, &requester.ip, now).await?;
        let guesser = Guesser::with_session(Way::Password, claims.sid);
        let hash = self.guess(guesser, self.clone().check_current_password(claims.sub, typed)).await?;
        hash.ok_or(AuthError::PasswordWrong)
    }

    /// Returns the stored hash of a user's password when they know it.
    async fn check_current_password(
        self: Arc<Self>,
        user_id: Id,
        current: String,
    ) -> Result<Option<String>, AuthError> {
        let hash = self.accounts.password_hash(user_id).await?;
        Ok(match (self.passwords.verify(current, hash.clone()).await?, hash) {
            (PasswordMatch::Right | PasswordMatch::RightOutdated, Some(hash)) => Some(hash),
            _ => None,
        })
    }

    /// Hashes a password that a user chose.
    async fn hash_chosen(&self, user: &User, new: String) -> Result<String, AuthError> {
        let own_words = own_words(user.email.as_deref(), user.display_name.as_deref());
        let hash = self.passwords.hash_new(new, own_words, &*self.random).await;
        hash.map_err(|error| error.of_field("new_password"))
    }

    fn all_sessions_ended(&self, user: &User, except: Option<Id>) -> AddressedEvent {
        self.event(user.id, UserEvent::UserSessionsEnded { except })
    }
}
