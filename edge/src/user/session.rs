//! Whether who asks may still come in: a token says who somebody is, and not whether their session was ended meanwhile. The
//! origin knows; here its word is remembered for a while.

use serde::de::IgnoredAny;
use shared::{api::ErrorCode, auth::sessions::Standing};

use super::{Identity, User};
use crate::{platform, reply::Failure};

/// Asks the origin for nothing but whether it lets somebody in.
const VERIFY_PATH: &str = "/api/v1/auth/verify";
/// How long somebody waits to be let in. An origin that takes longer is taken for one that is down.
const PATIENCE_MS: u64 = 1_500;

impl User {
    /// Refuses a session that is known to have ended, without asking.
    pub(super) fn refuse_ended(&self, identity: &Identity) -> Result<(), Failure> {
        match self.sessions.borrow().standing(identity.session_id, platform::now()) {
            Standing::Refuse => Err(ErrorCode::SessionEnded.into()),
            Standing::LetIn | Standing::Ask => Ok(()),
        }
    }

    /// Refuses a session that has ended, as far as the origin says so in time.
    pub(super) async fn check_session(&self, identity: &Identity, request_id: &str) -> Result<(), Failure> {
        let now = platform::now();
        let standing = self.sessions.borrow().standing(identity.session_id, now);
        if standing == Standing::Refuse {
            return Err(ErrorCode::SessionEnded.into());
        }
        if standing == Standing::LetIn {
            return Ok(());
        }
        let asked = self.ask::<IgnoredAny>(VERIFY_PATH, identity, request_id);
        match platform::within(PATIENCE_MS, asked).await {
            Some(Err(Failure::Told(error))) if error.code.status() == 401 => Err(error.into()),
            Some(_) => Ok(()),
            None => {
                self.sessions.borrow_mut().unanswered(now);
                Ok(())
            }
        }
    }
}
