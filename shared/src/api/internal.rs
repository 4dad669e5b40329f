//! What the Worker and the origin say to each other under `/internal/v1`. No client sees it.
//!
//! Every such request is signed ([`crate::auth::edge`]) and carries the user's own access token as a bearer, so that a
//! leaked edge key alone impersonates nobody. A delivery may come long after that token expired: its `created_at` is held
//! against the token's validity instead of the clock (see [`MAX_DELIVERY_AGE_MS`]).

use serde::{Deserialize, Serialize};

use super::{
    chat::{Conversation, Message, TurnError, TurnStatus},
    usage::Usage,
};
use crate::{
    id::Id,
    time::{DAY_MS, Timestamp},
};

/// `POST` a [`TurnDelivery`] here.
pub const TURNS_PATH: &str = "/internal/v1/turns";
/// The oldest turn, by `created_at`, that the origin still takes: what the outbox may hold back at most.
pub const MAX_DELIVERY_AGE_MS: i64 = 30 * DAY_MS;

/// The path of a conversation's context.
pub fn context_path(conversation: Id) -> String {
    format!("/internal/v1/conversations/{conversation}/context")
}

/// The path of a stored turn.
pub fn turn_path(turn: Id) -> String {
    format!("{TURNS_PATH}/{turn}")
}

/// A finished turn, delivered until the origin says it has it. Idempotent by `turn_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnDelivery {
    /// The turn.
    pub turn_id: Id,
    /// Whose it is; must be the token's subject.
    pub user_id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// How it ended.
    pub status: TurnStatus,
    /// The model's alias, as the request named it.
    pub model: String,
    /// Why it did not complete.
    pub error: Option<TurnError>,
    /// The user's message.
    pub user_message: Message,
    /// The answer.
    pub assistant_message: Message,
    /// What it used; counted once a turn.
    pub usage: Usage,
    /// The id of its newest event.
    pub last_event_id: u64,
    /// When it was taken on.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

impl TurnDelivery {
    /// What was said last: the answer, or the question where the answer has no words.
    pub fn last_text(&self) -> &str {
        let answer = &self.assistant_message.content;
        if answer.is_empty() { &self.user_message.content } else { answer }
    }
}

/// The origin's answer to a delivery: the turn is stored, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReceipt {
    /// False when the conversation was deleted meanwhile: its messages were dropped, the usage was counted.
    pub conversation_exists: bool,
    /// The highest `seq` of the conversation after the delivery.
    pub last_seq: u64,
}

/// `GET conversations/{id}/context`: what the next turn of a conversation builds on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationContext {
    /// The conversation.
    pub conversation_id: Id,
    /// The model its messages go to when a message does not say.
    pub model: Option<String>,
    /// Instructions the model gets before every message.
    pub system: Option<String>,
    /// The highest `seq` of its messages; 0 when it has none.
    pub last_seq: u64,
    /// Its newest messages that fit a context ([`crate::chat::context::Room::take_in_context`]), oldest first.
    pub messages: Vec<Message>,
}

impl ConversationContext {
    /// The context of a conversation whose highest `seq` is this, with its newest messages that fit, the newest first.
    pub fn of(conversation: Conversation, last_seq: u64, mut newest_first: Vec<Message>) -> Self {
        newest_first.reverse();
        Self {
            conversation_id: conversation.id,
            model: conversation.model,
            system: conversation.system,
            last_seq,
            messages: newest_first,
        }
    }
}

/// How many of a conversation's newest messages make its context.
pub const CONTEXT_MESSAGES: usize = 50;

/// `GET turns/{id}`: a turn as the origin stored it, for readers that come after the event log has aged out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredTurn {
    /// The id of its newest event.
    pub last_event_id: u64,
    /// Why it did not complete.
    pub error: Option<TurnError>,
    /// The user's message.
    pub user_message: Message,
    /// The answer.
    pub assistant_message: Message,
    /// When it ended.
    pub finished_at: Timestamp,
}
