//! The check that a session is active: a token says who somebody is, and not whether their session was ended meanwhile. The
//! origin knows; here its word is remembered for a while.

use std::cell::RefCell;

use serde::de::{DeserializeOwned, IgnoredAny};
use shared::{
    api::ErrorCode,
    auth::sessions::{SessionReport, SessionStatus, Sessions},
};

use super::Identity;
use crate::{log::Scope, origin::OriginClient, platform, reply::Error};

/// Asks the origin for nothing but whether a session is active.
const VERIFY_PATH: &str = "/api/v1/auth/verify";
/// The time that a request waits for that. An origin that takes longer is taken for one that is down.
const VERIFY_TIMEOUT_MS: u64 = 1_500;

/// The sessions of this user, and the origin that knows them.
pub struct SessionGate {
    origin: OriginClient,
    known: RefCell<Sessions>,
}

impl SessionGate {
    /// Makes a gate that knows no session yet.
    pub fn new(origin: OriginClient) -> Self {
        Self { origin, known: RefCell::default() }
    }

    /// Refuses a session that is known to have ended, without asking.
    ///
    /// # Errors
    /// [`ErrorCode::SessionEnded`].
    pub fn refuse_revoked(&self, identity: &Identity) -> Result<(), Error> {
        match self.status(identity) {
            SessionStatus::Revoked => Err(ErrorCode::SessionEnded.into()),
            SessionStatus::Active | SessionStatus::Unknown => Ok(()),
        }
    }

    /// Refuses a session that has ended, as far as the origin says so in time.
    ///
    /// # Errors
    /// [`ErrorCode::SessionEnded`], and another 401 that the origin answers.
    pub async fn check(&self, identity: &Identity, scope: &Scope) -> Result<(), Error> {
        match self.status(identity) {
            SessionStatus::Revoked => return Err(ErrorCode::SessionEnded.into()),
            SessionStatus::Active => return Ok(()),
            SessionStatus::Unknown => {}
        }
        let asked = platform::now();
        let verified = self.get::<IgnoredAny>(VERIFY_PATH, identity, scope);
        match platform::timeout(VERIFY_TIMEOUT_MS, verified).await {
            Some(Err(Error::Client(error))) if error.code.status() == 401 => Err(error.into()),
            Some(_) => Ok(()),
            None => {
                let unanswered = SessionReport::Unanswered;
                self.known.borrow_mut().record(identity.session_id, unanswered, asked);
                Ok(())
            }
        }
    }

    /// Gets something of this user's from the origin, and records what its answer says of the session.
    ///
    /// # Errors
    /// See [`OriginClient::get`].
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

    fn status(&self, identity: &Identity) -> SessionStatus {
        self.known.borrow().status(identity.session_id, platform::now())
    }
}
