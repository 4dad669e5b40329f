//! Admission of messages, decided in one step before anything is awaited, so that ten equal requests at once are one turn.

use serde::Serialize;

use super::place::Target;
use crate::{
    api::{
        chat::{FormatRequest, FormatType, Part, SendMessage},
        error::{ApiError, ErrorCode, LimitState},
    },
    id::Id,
    time::SECOND_MS,
};

/// The number of turns that one user may run at once.
pub const MAX_RUNNING_TURNS: usize = 8;
/// The number of turns of one conversation that may wait.
pub const MAX_QUEUED_TURNS: usize = 8;
/// The bytes that the waiting requests of one user may have.
pub const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;
/// The longest time that a turn waits: whoever sent it has given it up.
pub const MAX_QUEUE_WAIT_MS: i64 = 3_600 * SECOND_MS;
/// The seconds after which a client that was refused because of a running turn may retry.
const RUNNING_RETRY_S: u64 = 1;

/// The turn of an idempotency key that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The turn.
    pub turn_id: Id,
    /// The fingerprint of the request that started it.
    pub fingerprint: u64,
}

/// The state on which an admission is decided.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionRequest {
    /// The turn of this message's idempotency key, if the key is known.
    pub known: Option<KnownKey>,
    /// The fingerprint of this request.
    pub fingerprint: u64,
    /// True when a turn of the same conversation runs or waits.
    pub conversation_busy: bool,
    /// The queue that the request may join while the conversation is busy; none when it is to be refused then.
    pub queue: Option<QueueState>,
    /// The number of the user's running turns.
    pub running: usize,
    /// `Ok` when the user's rate limit allows one more now, else the limit that is exceeded.
    pub rate: Result<(), LimitState>,
    /// `Ok` when the user's daily limit allows one more, else the limit that is exceeded.
    pub daily: Result<(), LimitState>,
}

/// The queue that a request would join.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueState {
    /// The number of turns that wait in the conversation.
    pub turns: usize,
    /// The bytes of all waiting requests of the user, with this one.
    pub bytes: usize,
}

/// The decision about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The message starts a new turn.
    Run,
    /// The message waits for the turns before it.
    Queue,
    /// The message is a repetition of this turn's.
    Attach(Id),
    /// The message is refused.
    Refuse(ApiError),
}

/// Decides on a message. A repeated request is the same turn whatever the limits are now.
pub fn admit(request: AdmissionRequest) -> Admission {
    match request.known {
        Some(known) if known.fingerprint == request.fingerprint => return Admission::Attach(known.turn_id),
        Some(_) => return Admission::Refuse(ErrorCode::IdempotencyKeyReused.into()),
        None => {}
    }
    let room = match (request.conversation_busy, request.queue) {
        (true, Some(queue)) => admit_to_queue(queue),
        (true, None) => Err(ApiError::from(ErrorCode::TurnRunning).retry_after(RUNNING_RETRY_S)),
        (false, _) => admit_to_run(request.running),
    };
    let admitted = match room {
        Ok(admitted) => admitted,
        Err(error) => return Admission::Refuse(error),
    };
    let limited = |code: ErrorCode, limit: LimitState| {
        Admission::Refuse(ApiError::from(code).retry_after(limit.reset_s.max(1)).limited_by(limit))
    };
    match (request.rate, request.daily) {
        (Err(limit), _) => limited(ErrorCode::RateLimited, limit),
        (_, Err(limit)) => limited(ErrorCode::DailyLimitReached, limit),
        (Ok(()), Ok(())) => admitted,
    }
}

fn admit_to_run(running: usize) -> Result<Admission, ApiError> {
    if running < MAX_RUNNING_TURNS {
        return Ok(Admission::Run);
    }
    Err(too_many(format!("{MAX_RUNNING_TURNS} answers are running; no more run at once")))
}

fn admit_to_queue(queue: QueueState) -> Result<Admission, ApiError> {
    if queue.turns >= MAX_QUEUED_TURNS {
        return Err(too_many(format!("{MAX_QUEUED_TURNS} messages wait in this conversation; no more can")));
    }
    if queue.bytes > MAX_QUEUED_BYTES {
        let mib = MAX_QUEUED_BYTES / (1024 * 1024);
        return Err(too_many(format!("The messages that wait would have more than {mib} MiB together")));
    }
    Ok(Admission::Queue)
}

fn too_many(detail: String) -> ApiError {
    ApiError::new(ErrorCode::TooManyTurns, detail).retry_after(RUNNING_RETRY_S)
}

/// Returns the fingerprint of a request in this conversation, 64 bits of SHA-256 over its meaning: two requests are the same when
/// they are about the same message and give the same prompt, however their JSON is formatted, whatever response format each asks
/// for, and whether or not each would wait.
pub fn fingerprint(conversation: Id, target: Target, message: &SendMessage) -> u64 {
    use sha2::{Digest, Sha256};

    #[derive(Serialize)]
    struct Meaning<'a> {
        conversation: Id,
        // Absent for a new message, as it was before there were other kinds.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<Target>,
        parts: Vec<Part>,
        model: Option<&'a str>,
        temperature: Option<f64>,
        max_output_tokens: Option<u32>,
        response_format: Option<&'a FormatRequest>,
    }
    let meaning = Meaning {
        conversation,
        target: Some(target).filter(|target| *target != Target::Reply),
        parts: message.to_parts(),
        model: message.model.as_deref(),
        temperature: message.temperature,
        max_output_tokens: message.max_output_tokens,
        response_format: message.response_format.as_ref().filter(|format| format.kind != FormatType::Text),
    };
    // Plain structs with string keys always serialize; objects within a schema are sorted by key.
    let json = serde_json::to_vec(&meaning).unwrap_or_default();
    let digest: [u8; 32] = Sha256::digest(json).into();
    digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;
    use crate::{api::body, time::Timestamp};

    fn fresh() -> AdmissionRequest {
        AdmissionRequest {
            known: None,
            fingerprint: 7,
            conversation_busy: false,
            queue: None,
            running: 0,
            rate: Ok(()),
            daily: Ok(()),
        }
    }

    fn refused(request: AdmissionRequest) -> ErrorCode {
        match admit(request) {
            Admission::Refuse(error) => error.code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn known_key_returns_its_turn_over_limits() {
        let turn_id = Id::new(Timestamp::from_millis(1), [1; 10]);
        let limit = LimitState { policy: "daily", limit: 5, window_s: 86_400, remaining: 0, reset_s: 60 };
        let full = AdmissionRequest {
            known: Some(KnownKey { turn_id, fingerprint: 7 }),
            conversation_busy: true,
            running: 99,
            daily: Err(limit),
            ..fresh()
        };
        assert_eq!(admit(full), Admission::Attach(turn_id));
        assert_eq!(refused(AdmissionRequest { fingerprint: 8, ..full }), ErrorCode::IdempotencyKeyReused);
    }

    #[test]
    fn exceeded_limit_has_its_own_code() {
        assert_eq!(admit(fresh()), Admission::Run);
        assert_eq!(refused(AdmissionRequest { conversation_busy: true, ..fresh() }), ErrorCode::TurnRunning);
        assert_eq!(
            refused(AdmissionRequest { running: MAX_RUNNING_TURNS, ..fresh() }),
            ErrorCode::TooManyTurns
        );
        let limit = LimitState { policy: "daily", limit: 5, window_s: 86_400, remaining: 0, reset_s: 60 };
        assert_eq!(refused(AdmissionRequest { rate: Err(limit), ..fresh() }), ErrorCode::RateLimited);
        match admit(AdmissionRequest { daily: Err(limit), ..fresh() }) {
            Admission::Refuse(error) => {
                assert_eq!((error.code, error.retry_after_s), (ErrorCode::DailyLimitReached, Some(60)));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn request_that_may_wait_joins_a_queue_within_its_bounds() {
        let queue = QueueState { turns: MAX_QUEUED_TURNS - 1, bytes: MAX_QUEUED_BYTES };
        let busy = AdmissionRequest { conversation_busy: true, queue: Some(queue), running: 99, ..fresh() };
        assert_eq!(admit(busy), Admission::Queue);
        assert_eq!(admit(AdmissionRequest { conversation_busy: false, running: 0, ..busy }), Admission::Run);
        for full in [
            QueueState { turns: MAX_QUEUED_TURNS, ..queue },
            QueueState { bytes: MAX_QUEUED_BYTES + 1, ..queue },
        ] {
            let refused = refused(AdmissionRequest { queue: Some(full), ..busy });
            assert_eq!(refused, ErrorCode::TooManyTurns);
        }
        let limit = LimitState { policy: "daily", limit: 5, window_s: 86_400, remaining: 0, reset_s: 60 };
        assert_eq!(refused(AdmissionRequest { daily: Err(limit), ..busy }), ErrorCode::DailyLimitReached);
        assert_eq!(refused(AdmissionRequest { rate: Err(limit), ..busy }), ErrorCode::RateLimited);
    }

    fn fingerprint_of(conversation: u8, body: &str) -> u64 {
        let message = body::parse(body.as_bytes()).unwrap();
        fingerprint(id(conversation), Target::Reply, &message)
    }

    fn id(n: u8) -> Id {
        Id::new(Timestamp::from_millis(1), [n; 10])
    }

    #[test]
    fn fingerprint_depends_on_kind_and_message() {
        let message = body::parse(br#"{"content":"Hi","model":"fast"}"#).unwrap();
        let targets = [
            Target::Reply,
            Target::Edit(id(5)),
            Target::Edit(id(6)),
            Target::Regenerate(id(5)),
            Target::Continue(id(5)),
        ];
        let all: BTreeSet<_> = targets.iter().map(|target| fingerprint(id(1), *target, &message)).collect();
        assert_eq!(all.len(), targets.len());
        // That of a new message is in the storage of earlier versions.
        assert_eq!(fingerprint(id(1), Target::Reply, &message), 17_555_453_215_669_189_380);
    }

    #[rstest]
    #[case::order_and_spaces(r#"{ "model": "fast", "content": "Hi" }"#, true)]
    #[case::one_part(r#"{"content":[{"text":"Hi","type":"text"}],"model":"fast"}"#, true)]
    #[case::null_is_absent(r#"{"content":"Hi","model":"fast","temperature":null,"tools":[]}"#, true)]
    #[case::the_default_format(r#"{"content":"Hi","model":"fast","response_format":{"type":"text"}}"#, true)]
    #[case::another_way_to_be_answered(r#"{"content":"Hi","model":"fast","stream":true}"#, true)]
    #[case::waits(r#"{"content":"Hi","model":"fast","when_running":"queue"}"#, true)]
    #[case::escapes(r#"{"content":"\u0048i","model":"fast"}"#, true)]
    #[case::unknown_field(r#"{"content":"Hi","model":"fast","later":1}"#, true)]
    #[case::other_words(r#"{"content":"Hi!","model":"fast"}"#, false)]
    #[case::other_model(r#"{"content":"Hi","model":"smart"}"#, false)]
    #[case::no_model(r#"{"content":"Hi"}"#, false)]
    #[case::temperature(r#"{"content":"Hi","model":"fast","temperature":1}"#, false)]
    #[case::length(r#"{"content":"Hi","model":"fast","max_output_tokens":7}"#, false)]
    #[case::format(r#"{"content":"Hi","model":"fast","response_format":{"type":"json"}}"#, false)]
    fn fingerprint_depends_on_meaning_only(#[case] body: &str, #[case] is_same: bool) {
        let first = fingerprint_of(1, r#"{"content":"Hi","model":"fast"}"#);
        assert_eq!(fingerprint_of(1, body) == first, is_same);
        assert_ne!(fingerprint_of(2, body), first);
    }

    #[test]
    fn fingerprint_of_schema_ignores_key_order() {
        let body = |schema: &str| {
            format!(r#"{{"content":"Hi","response_format":{{"type":"json_schema","schema":{schema}}}}}"#)
        };
        let first = fingerprint_of(1, &body(r#"{"type":"object","required":["a"]}"#));
        assert_eq!(fingerprint_of(1, &body(r#"{"required":["a"],"type":"object"}"#)), first);
        assert_ne!(fingerprint_of(1, &body(r#"{"required":["b"],"type":"object"}"#)), first);
    }
}
