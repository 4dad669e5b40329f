//! Guests: accounts that nothing but their session identifies. They become users by an address or identity that is linked to them,
//! or give their conversations to a user who signs in.

use std::sync::Arc;

use shared::{
    api::{
        account::{AccountEventKind, Tokens, User},
        internal::user_event::UserEvent,
    },
    auth::Claims,
};

use super::{Auth, AuthError, Requester};
use crate::{
    detached::detached,
    events::Announcements,
    jobs::merge::Move,
    store::{Accounts, accounts::guests::GuestMerge},
};

/// A guest whose token somebody showed.
#[derive(Clone, Debug)]
pub struct ProvenGuest(Claims);

impl Auth {
    /// Makes a guest, and begins their first session.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::RateLimited`].
    pub async fn sign_up_guest(
        &self,
        requester: &Requester,
        device_name: Option<String>,
    ) -> Result<Tokens, AuthError> {
        let now = self.clock.now();
        self.throttle.guest(&*self.ephemeral, &requester.ip, now).await?;
        let user = User { guest: true, ..self.new_user(now) };
        let opening = self.prepare_session(user.id, requester, device_name, now);
        let audit = self.opening_event(&opening, AccountEventKind::SignedUp, requester);
        self.accounts.create_guest(user.clone(), opening.session.clone(), audit).await?;
        Ok(self.tokens_of(opening, user))
    }

    /// Returns the guest of an access token that is valid now, where a request has one.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::GuestTokenInvalid`] when it is none, its session has ended, or its user is no guest.
    pub async fn guest_of(&self, token: Option<&str>) -> Result<Option<ProvenGuest>, AuthError> {
        let Some(token) = token else { return Ok(None) };
        let now = self.clock.now();
        let claims = self.tokens.verify(token, now).await.map_err(|_| AuthError::GuestTokenInvalid)?;
        let user = self.session_user(&claims, now).await.map_err(|error| match error {
            AuthError::SessionEnded => AuthError::GuestTokenInvalid,
            error => error,
        })?;
        if !user.guest {
            return Err(AuthError::GuestTokenInvalid);
        }
        Ok(Some(ProvenGuest(claims)))
    }

    /// Gives the conversations of a guest, if there is one, to the user who has just signed in, and ends the guest. Conversations
    /// that cannot be moved now are moved by a job.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::GuestTokenInvalid`] when the guest became a user, or was merged into somebody else, meanwhile.
    pub async fn merge_guest(
        &self,
        guest: Option<ProvenGuest>,
        tokens: &Tokens,
        requester: &Requester,
        announcements: &Announcements,
    ) -> Result<(), AuthError> {
        let Some(ProvenGuest(claims)) = guest else { return Ok(()) };
        let event = self.event(claims.sub, UserEvent::UserSessionsEnded { except: None });
        let (moved, now) = (Move { from: claims.sub, to: tokens.user.id }, event.at);
        let kind = AccountEventKind::GuestMerged;
        let merge = GuestMerge {
            guest_id: moved.from,
            into: moved.to,
            event,
            jobs: moved.jobs([self.random.id(now), self.random.id(now)], now),
            audit: self.audit_event(moved.to, kind, Some(tokens.session_id), requester, now),
        };
        let write = async move |accounts: Arc<dyn Accounts>| accounts.merge_guest(merge).await;
        if !self.change(moved.from, write).await? {
            return Err(AuthError::GuestTokenInvalid);
        }
        announcements.add_stored(event);
        let (chats, ephemeral) = (Arc::clone(&self.chats), Arc::clone(&self.ephemeral));
        let moving = detached(async move { moved.run(&*chats, &*ephemeral).await });
        if !matches!(moving.await, Ok(Ok(true))) {
            tracing::warn!("the conversations of a guest are moved by a job");
            self.jobs.wake();
        }
        Ok(())
    }
}
