//! Admission of requests for a turn, before anything is awaited: equal requests at once are one turn.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use shared::{
    api::{
        ApiError, ErrorCode,
        chat::{Part, Role, SendMessage, WhenRunning},
    },
    chat::{
        admission::{self, Admission, AdmissionRequest, QueueState},
        place::Target,
        turn::Input,
    },
    id::Id,
    limits::memory,
    time::Timestamp,
};

use super::{
    Identity,
    live_turn::{LiveTurn, TurnOrigin},
    live_turns::OpenTurns,
    memory::held_bytes,
    runner::Runner,
};
use crate::{platform, reply::Error};

/// Seconds after which a message may be sent again for which this isolate has no memory now.
const OVERLOADED_RETRY_S: u64 = 2;

/// A request for a turn, as it is stored while it waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TurnRequest {
    /// The caller.
    pub identity: Identity,
    /// The conversation.
    pub conversation: Id,
    /// The message that it is about.
    pub target: Target,
    /// What the user says, and how it is to be answered.
    pub message: SendMessage,
    /// The idempotency key.
    pub key: Option<String>,
    /// True when the words are shown as they arrive.
    pub is_streamed: bool,
    /// The id of the user's message, where the turn adds one.
    pub question_id: Id,
    /// The id of the answer.
    pub answer_id: Id,
    /// The time of its arrival, or at which it left the queue.
    pub now: Timestamp,
}

impl TurnRequest {
    /// Returns the messages that the turn adds before its answer.
    pub fn input(&self, parts: Vec<Part>) -> Vec<Input> {
        let question = || Input { id: self.question_id, role: Role::User, parts, tool_calls: Vec::new() };
        self.target.has_question().then(question).into_iter().collect()
    }

    /// Returns the origin of its turn.
    pub fn origin(&self) -> TurnOrigin {
        TurnOrigin {
            conversation_id: self.conversation,
            session_id: Some(self.identity.session_id),
            key: self.key.clone(),
            fingerprint: admission::fingerprint(self.conversation, self.target, &self.message),
            token: self.identity.token.clone(),
        }
    }
}

/// The turn of a request that was admitted.
pub enum Admitted {
    /// A new turn; [`Runner::run`] runs it.
    New(Rc<LiveTurn>),
    /// A new turn that waits for those before it.
    Queued(Rc<LiveTurn>),
    /// A turn that was requested before.
    Known(Rc<LiveTurn>),
}

impl Runner {
    /// Admits a request.
    ///
    /// # Errors
    /// Fails with the errors of [`admission::admit`]; with [`ErrorCode::Overloaded`] without memory for one more.
    pub fn admit(&self, request: &TurnRequest) -> Result<Admitted, Error> {
        let origin = request.origin();
        let known = match &request.key {
            None => None,
            Some(key) => self.turns.find_key(key)?,
        };
        if known.is_none() && !memory::has_room_for_turn(held_bytes()) {
            let error = ApiError::from(ErrorCode::Overloaded);
            return Err(error.retry_after(OVERLOADED_RETRY_S).into());
        }
        if known.is_none() {
            self.outbox.reject_when_full()?;
        }
        let open = self.turns.open(request.conversation);
        let may_wait = open.is_conversation_busy && request.message.when_running == Some(WhenRunning::Queue);
        let waiting =
            may_wait.then(|| serde_json::to_string(request)).transpose().map_err(worker::Error::from)?;
        let check = self.limits.check(request.identity.plan, open.starting, request.now)?;
        let admission = admission::admit(AdmissionRequest {
            known,
            fingerprint: origin.fingerprint,
            conversation_busy: open.is_conversation_busy,
            queue: waiting.as_ref().map(|json| QueueState {
                turns: open.waiting,
                bytes: open.waiting_bytes.saturating_add(json.len()),
            }),
            running: open.open,
            rate: check.rate,
            daily: check.daily,
        });
        match admission {
            Admission::Refuse(error) => Err(error.into()),
            // Found before anything is awaited: should the turn be rejected meanwhile, this request gets the same answer.
            Admission::Attach(turn) => {
                Ok(Admitted::Known(self.turns.find(turn)?.ok_or(ErrorCode::NotFound)?))
            }
            Admission::Run => {
                self.limits.admit(check.tat);
                let turn = LiveTurn::starting(new_turn_id(request.now, &open), origin);
                self.turns.track(&turn);
                Ok(Admitted::New(turn))
            }
            Admission::Queue => {
                let turn =
                    self.enqueue(new_turn_id(request.now, &open), request, waiting.unwrap_or_default())?;
                self.limits.admit(check.tat);
                Ok(Admitted::Queued(turn))
            }
        }
    }
}

/// Returns the id of a new turn: after those of the turns before it in its conversation, so that they run in the order of their
/// ids.
fn new_turn_id(now: Timestamp, open: &OpenTurns) -> Id {
    let at = open.newest.map_or(now, |newest| now.max(newest.timestamp().plus_millis(1)));
    platform::new_id(at)
}
