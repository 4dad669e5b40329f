//! The check that a session is active: a token identifies its user, but does not show whether the session was ended
//! meanwhile. The origin knows. Its events are stored here; its answers are cached for a while.

use std::{cell::RefCell, future::poll_fn, pin::pin, rc::Rc, task::Poll};

use serde::de::{DeserializeOwned, IgnoredAny};
use shared::{
    api::{ErrorCode, account::Plan, internal::user_event::AddressedEvent},
    auth::{
        account_notices::AccountNotices,
        sessions::{SessionReport, SessionStatus, Sessions},
    },
    id::Id,
};
use worker::Result as WorkerResult;

use super::{Identity, store::Store};
use crate::{log::Scope, origin::OriginClient, platform, reply::Error};

/// The origin's route that only checks a session.
const VERIFY_PATH: &str = "/api/v1/auth/verify";
/// The timeout of that check. An origin that takes longer counts as down.
const VERIFY_TIMEOUT_MS: u64 = 1_500;

/// The sessions of this user, and the origin that knows them.
pub struct SessionGate {
    origin: OriginClient,
    store: Rc<Store>,
    notices: RefCell<AccountNotices>,
    known: RefCell<Sessions>,
}

impl SessionGate {
    /// Loads the notices of the account from storage.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn open(origin: OriginClient, store: Rc<Store>) -> WorkerResult<Self> {
        let notices = RefCell::new(store.notices()?);
        Ok(Self { origin, store, notices, known: RefCell::default() })
    }

    /// Stores an event about sessions, the plan or the account.
    ///
    /// # Errors
    /// Fails with the errors of SQLite; nothing has changed then.
    pub fn record_event(&self, event: &AddressedEvent) -> WorkerResult<()> {
        let mut notices = self.notices.borrow().clone();
        if notices.record(event.event, event.at, platform::now()) {
            self.store.put_notices(&notices)?;
            self.notices.replace(notices);
        }
        Ok(())
    }

    /// Returns the effective plan of the caller.
    pub fn plan(&self, identity: &Identity) -> Plan {
        self.notices.borrow().plan(identity.plan, identity.issued_at)
    }

    /// Returns true when the origin reported the end of this session.
    pub fn is_ended(&self, session: Id) -> bool {
        self.notices.borrow().is_ended(session)
    }

    /// Awaits a future on behalf of a session, until the session ends.
    ///
    /// # Errors
    /// Fails with [`ErrorCode::SessionEnded`].
    pub async fn while_active<F: Future>(&self, session: Id, waited: F) -> Result<F::Output, Error> {
        let mut waited = pin!(waited);
        poll_fn(|context| {
            if self.is_ended(session) {
                return Poll::Ready(Err(ErrorCode::SessionEnded.into()));
            }
            waited.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// Refuses a session that is known to have ended, without calling the origin.
    ///
    /// # Errors
    /// Fails with [`ErrorCode::SessionEnded`].
    pub fn reject_revoked(&self, identity: &Identity) -> Result<(), Error> {
        match self.status(identity.session_id) {
            SessionStatus::Revoked => Err(ErrorCode::SessionEnded.into()),
            SessionStatus::Active | SessionStatus::Unknown => Ok(()),
        }
    }

    /// Refuses a session that has ended, if the origin answers so within the timeout.
    ///
    /// # Errors
    /// Fails with [`ErrorCode::SessionEnded`], and with any other 401 of the origin.
    pub async fn check(&self, identity: &Identity, scope: &Scope) -> Result<(), Error> {
        match self.status(identity.session_id) {
            SessionStatus::Revoked => return Err(ErrorCode::SessionEnded.into()),
            SessionStatus::Active => return Ok(()),
            SessionStatus::Unknown => {}
        }
        let asked = platform::now();
        let verified = self.get::<IgnoredAny>(VERIFY_PATH, identity, scope);
        match platform::timeout(VERIFY_TIMEOUT_MS, verified).await {
            Some(Err(Error::Client(error))) if error.code.status() == 401 => return Err(error.into()),
            Some(_) => {}
            None => {
                let unanswered = SessionReport::Unanswered;
                self.known.borrow_mut().record(identity.session_id, unanswered, asked);
            }
        }
        // An event may have arrived meanwhile.
        self.reject_revoked(identity)
    }

    /// Gets a resource of this user from the origin, and records the session's status from the response.
    ///
    /// # Errors
    /// Fails as [`OriginClient::get`] does.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        identity: &Identity,
        scope: &Scope,
    ) -> Result<T, Error> {
        let asked = platform::now();
        let answer = self.origin.get(path, identity.on_behalf(), scope).await;
        self.known.borrow_mut().record(identity.session_id, answer.session, asked);
        answer.answer
    }

    fn status(&self, session: Id) -> SessionStatus {
        if self.is_ended(session) {
            return SessionStatus::Revoked;
        }
        self.known.borrow().status(session, platform::now())
    }
}
