//! The check that a session is active: a token identifies its user, but does not show whether the session was ended
//! meanwhile. The origin knows. Its events are stored here; its answers are cached for a while. With them comes its word about the
//! documents that the user is to agree to.

use std::{cell::RefCell, future::poll_fn, pin::pin, rc::Rc, task::Poll};

use serde::de::{DeserializeOwned, IgnoredAny};
use shared::{
    api::{ErrorCode, account::Plan, internal::user_event::AddressedEvent},
    auth::{
        account_notices::AccountNotices,
        consent_gate::{ConsentDecision, ConsentGate},
        consents::RequiredDocument,
        sessions::{SessionReport, SessionStatus, Sessions},
    },
    id::Id,
    time::Timestamp,
};
use worker::Result as WorkerResult;

use super::{Identity, store::Store};
use crate::{
    log::Scope,
    origin::{OriginClient, unavailable},
    platform,
    reply::Error,
};

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
    consents: RefCell<ConsentGate>,
}

impl SessionGate {
    /// Loads the notices of the account from storage.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn open(origin: OriginClient, store: Rc<Store>) -> WorkerResult<Self> {
        let notices = store.notices()?;
        let consents = RefCell::new(ConsentGate::remembered(notices.has_consented));
        Ok(Self { origin, store, notices: RefCell::new(notices), known: RefCell::default(), consents })
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
        if let Some(Err(Error::Client(error))) = self.verify(identity, scope).await
            && error.code.status() == 401
        {
            return Err(error.into());
        }
        // An event may have arrived meanwhile.
        self.reject_revoked(identity)
    }

    /// Refuses a call of the model, asked for at `since`, while documents that the user is to agree to are missing. Asks the origin,
    /// unless its last word was that none is.
    ///
    /// # Errors
    /// Fails with [`ErrorCode::ConsentRequired`], with [`ErrorCode::OriginUnavailable`] when the origin does not answer, and with
    /// any 401 of it.
    pub async fn require_consents(
        &self,
        identity: &Identity,
        since: Timestamp,
        scope: &Scope,
    ) -> Result<(), Error> {
        match self.consents.borrow().decide(since) {
            ConsentDecision::Pass => return Ok(()),
            ConsentDecision::Refuse(error) => return Err(error.into()),
            ConsentDecision::Ask => {}
        }
        self.verify(identity, scope).await.ok_or_else(unavailable)??;
        self.reject_missing_consents(since)
    }

    /// Asks the origin about the session and the consents. `None`, and that is recorded, when it does not answer within the timeout.
    async fn verify(&self, identity: &Identity, scope: &Scope) -> Option<Result<IgnoredAny, Error>> {
        let asked = platform::now();
        let verified = self.get(VERIFY_PATH, identity, scope);
        let answer = platform::timeout(VERIFY_TIMEOUT_MS, verified).await;
        if answer.is_none() {
            self.known.borrow_mut().record(identity.session_id, SessionReport::Unanswered, asked);
        }
        answer
    }

    /// Refuses a call of the model, asked for at `since`, when the origin has said since then that documents are missing.
    ///
    /// # Errors
    /// Fails with [`ErrorCode::ConsentRequired`].
    pub fn reject_missing_consents(&self, since: Timestamp) -> Result<(), Error> {
        match self.consents.borrow().decide(since) {
            ConsentDecision::Refuse(error) => Err(error.into()),
            // An origin that says nothing about it requires nothing.
            ConsentDecision::Pass | ConsentDecision::Ask => Ok(()),
        }
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
        if let Some(missing) = answer.missing_consents {
            scope.logged("storing that the user has consented", self.record_consents(missing, asked));
        }
        answer.answer
    }

    /// Records the origin's word about consents, and stores whether anything is missing when that has changed.
    fn record_consents(&self, missing: Vec<RequiredDocument>, asked: Timestamp) -> WorkerResult<()> {
        self.consents.borrow_mut().record(missing, asked);
        let has_consented = self.consents.borrow().is_complete();
        if self.notices.borrow().has_consented == has_consented {
            return Ok(());
        }
        self.notices.borrow_mut().has_consented = has_consented;
        self.store.put_notices(&self.notices.borrow())
    }

    fn status(&self, session: Id) -> SessionStatus {
        if self.is_ended(session) {
            return SessionStatus::Revoked;
        }
        self.known.borrow().status(session, platform::now())
    }
}
