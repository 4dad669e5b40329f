//! Ends of sessions and changes of plans: stored with the event that tells the Worker of them, and out of the cache before
//! anybody is answered.

use std::sync::Arc;

use shared::{
    api::{
        account::{AccountEventKind, Plan},
        internal::user_event::{AddressedEvent, UserEvent},
    },
    id::Id,
};

use super::{Auth, AuthError, Requester, session_cache};
use crate::{
    detached::detached,
    events::Announcements,
    store::{Accounts, StoreResult, accounts::suspensions::SuspensionOutcome},
};

impl Auth {
    /// Ends a session of a user. False when there is none that is open.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn end_session(
        &self,
        user_id: Id,
        session_id: Id,
        requester: &Requester,
        announcements: &Announcements,
    ) -> Result<bool, AuthError> {
        let event = self.event(user_id, UserEvent::SessionEnded { session_id });
        let kind = AccountEventKind::SessionEnded;
        let audit = self.audit_event(user_id, kind, Some(session_id), requester, event.at);
        let end = async move |accounts: Arc<dyn Accounts>| {
            accounts.end_session(user_id, session_id, event, audit).await
        };
        let is_ended = self.change(user_id, end).await?;
        if is_ended {
            announcements.add_stored(event);
        }
        Ok(is_ended)
    }

    /// Ends all sessions of a user, at the wish of one of them if that is given. Returns the number of those that were open.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn end_sessions(
        &self,
        user_id: Id,
        wished_by: Option<Id>,
        requester: &Requester,
        announcements: &Announcements,
    ) -> Result<u64, AuthError> {
        let event = self.event(user_id, UserEvent::UserSessionsEnded { except: None });
        let audit =
            self.audit_event(user_id, AccountEventKind::SessionsEnded, wished_by, requester, event.at);
        let end =
            async move |accounts: Arc<dyn Accounts>| accounts.end_sessions(user_id, None, event, audit).await;
        let ended = self.change(user_id, end).await?;
        if ended > 0 {
            announcements.add_stored(event);
        }
        Ok(ended)
    }

    /// Gives a user a plan, which counts from now on. False when there is no such user.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn set_plan(
        &self,
        user_id: Id,
        plan: Plan,
        announcements: &Announcements,
    ) -> Result<bool, AuthError> {
        let event = self.event(user_id, UserEvent::PlanChanged { plan });
        let set = async move |accounts: Arc<dyn Accounts>| accounts.set_plan(user_id, plan, event).await;
        let is_known = self.change(user_id, set).await?;
        if is_known {
            announcements.add_stored(event);
        }
        Ok(is_known)
    }

    /// Suspends a user: all their sessions end, and nothing signs them in.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn suspend(
        &self,
        user_id: Id,
        announcements: &Announcements,
    ) -> Result<SuspensionOutcome, AuthError> {
        let event = self.event(user_id, UserEvent::UserSessionsEnded { except: None });
        let operator = Requester::operator();
        let audit = self.audit_event(user_id, AccountEventKind::Suspended, None, &operator, event.at);
        let suspend = async move |accounts: Arc<dyn Accounts>| accounts.suspend(user_id, event, audit).await;
        let outcome = self.change(user_id, suspend).await?;
        if outcome == SuspensionOutcome::Changed {
            announcements.add_stored(event);
        }
        Ok(outcome)
    }

    /// Ends the suspension of a user, who can sign in again.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn resume(&self, user_id: Id) -> Result<SuspensionOutcome, AuthError> {
        let now = self.clock.now();
        let audit = self.audit_event(user_id, AccountEventKind::Resumed, None, &Requester::operator(), now);
        let resume = async move |accounts: Arc<dyn Accounts>| accounts.resume(user_id, audit).await;
        self.change(user_id, resume).await
    }

    pub(super) fn event(&self, user_id: Id, event: UserEvent) -> AddressedEvent {
        let now = self.clock.now();
        AddressedEvent { id: self.random.id(now), user_id, at: now, event }
    }

    /// Writes to the accounts, and forgets what is cached of the user whatever came of it.
    pub(super) async fn change<T, F>(
        &self,
        user_id: Id,
        write: impl FnOnce(Arc<dyn Accounts>) -> F + Send + 'static,
    ) -> Result<T, AuthError>
    where
        T: Send + 'static,
        F: Future<Output = StoreResult<T>> + Send,
    {
        let (accounts, ephemeral) = (Arc::clone(&self.accounts), Arc::clone(&self.ephemeral));
        let written = detached(async move {
            let written = write(accounts).await;
            session_cache::invalidate(&*ephemeral, user_id).await;
            written
        });
        Ok(written.await??)
    }
}
