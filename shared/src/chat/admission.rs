//! May this message run? Decided in one step, before anything is awaited, so that ten equal requests at once are one turn.

use crate::{
    api::error::{ApiError, ErrorCode, LimitState},
    id::Id,
};

/// Turns of one user that may run at once.
pub const MAX_RUNNING_TURNS: usize = 8;
/// Seconds after which a client that found a turn running may look again.
const RUNNING_RETRY_S: u64 = 1;

/// The turn that an idempotency key already names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The turn.
    pub turn_id: Id,
    /// The fingerprint of the request that made it.
    pub fingerprint: u64,
}

/// What is known when a message comes in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The turn that this message's idempotency key names already.
    pub known: Option<KnownKey>,
    /// The fingerprint of this request.
    pub fingerprint: u64,
    /// Whether a turn of the same conversation is running.
    pub conversation_busy: bool,
    /// How many of the user's turns are running.
    pub running: usize,
    /// Whether the user's rate allows one more now; else the limit it would break.
    pub rate: Result<(), LimitState>,
    /// Whether the user's day allows one more; else the limit it would break.
    pub daily: Result<(), LimitState>,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is a new turn.
    Run,
    /// It is this turn already.
    Attach(Id),
    /// It is refused.
    Refuse(ApiError),
}

/// Decides what becomes of a message. A repeated request is the same turn whatever the limits say now.
pub fn admit(arrival: Arrival) -> Admission {
    match arrival.known {
        Some(known) if known.fingerprint == arrival.fingerprint => return Admission::Attach(known.turn_id),
        Some(_) => return Admission::Refuse(ErrorCode::IdempotencyKeyReused.into()),
        None => {}
    }
    if arrival.conversation_busy {
        return Admission::Refuse(ApiError::from(ErrorCode::TurnRunning).retry_after(RUNNING_RETRY_S));
    }
    if arrival.running >= MAX_RUNNING_TURNS {
        return Admission::Refuse(ApiError::from(ErrorCode::TooManyTurns).retry_after(RUNNING_RETRY_S));
    }
    let limited = |code: ErrorCode, limit: LimitState| {
        Admission::Refuse(ApiError::from(code).retry_after(limit.reset_s.max(1)).limited_by(limit))
    };
    match (arrival.rate, arrival.daily) {
        (Err(limit), _) => limited(ErrorCode::RateLimited, limit),
        (_, Err(limit)) => limited(ErrorCode::DailyLimitReached, limit),
        (Ok(()), Ok(())) => Admission::Run,
    }
}

/// A fingerprint of what makes two requests the same: the path and the body's bytes, 64 bits of SHA-256.
pub fn fingerprint(path: &str, body: &[u8]) -> u64 {
    use sha2::{Digest, Sha256};

    let mut hash = Sha256::new();
    hash.update((path.len() as u64).to_be_bytes());
    hash.update(path);
    hash.update(body);
    let digest: [u8; 32] = hash.finalize().into();
    digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn fresh() -> Arrival {
        Arrival {
            known: None,
            fingerprint: 7,
            conversation_busy: false,
            running: 0,
            rate: Ok(()),
            daily: Ok(()),
        }
    }

    fn refused(arrival: Arrival) -> ErrorCode {
        match admit(arrival) {
            Admission::Refuse(error) => error.code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_known_key_is_its_turn_whatever_the_limits_say() {
        let turn_id = Id::new(Timestamp::from_millis(1), [1; 10]);
        let limit = LimitState { policy: "daily", limit: 5, window_s: 86_400, remaining: 0, reset_s: 60 };
        let full = Arrival {
            known: Some(KnownKey { turn_id, fingerprint: 7 }),
            conversation_busy: true,
            running: 99,
            daily: Err(limit),
            ..fresh()
        };
        assert_eq!(admit(full), Admission::Attach(turn_id));
        assert_eq!(refused(Arrival { fingerprint: 8, ..full }), ErrorCode::IdempotencyKeyReused);
    }

    #[test]
    fn each_limit_has_its_own_code() {
        assert_eq!(admit(fresh()), Admission::Run);
        assert_eq!(refused(Arrival { conversation_busy: true, ..fresh() }), ErrorCode::TurnRunning);
        assert_eq!(refused(Arrival { running: MAX_RUNNING_TURNS, ..fresh() }), ErrorCode::TooManyTurns);
        let limit = LimitState { policy: "daily", limit: 5, window_s: 86_400, remaining: 0, reset_s: 60 };
        assert_eq!(refused(Arrival { rate: Err(limit), ..fresh() }), ErrorCode::RateLimited);
        match admit(Arrival { daily: Err(limit), ..fresh() }) {
            Admission::Refuse(error) => {
                assert_eq!((error.code, error.retry_after_s), (ErrorCode::DailyLimitReached, Some(60)));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn path_and_body_both_count() {
        assert_eq!(fingerprint("/a", b"x"), fingerprint("/a", b"x"));
        assert_ne!(fingerprint("/a", b"x"), fingerprint("/ax", b""));
        assert_ne!(fingerprint("/a", b"x"), fingerprint("/a", b"y"));
    }
}
