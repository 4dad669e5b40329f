//! Requests and answers between Worker and origin, under `/internal/v1`. No client sees them.
//!
//! Every such request is signed (`auth::edge`) and carries the user's own access token as a bearer, so that a
//! leaked edge key alone impersonates nobody. A delivery may come long after that token expired: its `created_at` is held
//! against the token's validity instead of the clock (see [`MAX_DELIVERY_AGE_MS`]).

pub mod turn_messages;
pub mod user_event;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use self::turn_messages::{MAX_TURN_MESSAGES, TurnMessages};
use super::{
    chat::{Message, Role, TurnError, TurnKind, TurnStatus},
    error::ApiError,
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

/// The path of the context of a turn at this message of a conversation.
pub fn context_path_at(conversation: Id, message: Id) -> String {
    format!("{}?at={message}", context_path(conversation))
}

/// The query of [`context_path_at`].
#[derive(Clone, Copy, Debug, Default, Deserialize, garde::Validate)]
pub struct ContextQuery {
    /// The message; the head when absent.
    #[garde(skip)]
    pub at: Option<Id>,
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
    /// Its user; must be the token's subject.
    pub user_id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// Its kind: what it did to the conversation.
    pub kind: TurnKind,
    /// Its status at the end.
    pub status: TurnStatus,
    /// The model's alias, as the request named it.
    pub model: String,
    /// The reason for which it did not complete.
    pub error: Option<TurnError>,
    /// The conversation's head as it was known when the turn began.
    pub head_before: Option<Id>,
    /// The head that it makes: its last message.
    pub head_id: Id,
    /// The messages that it added.
    pub messages: TurnMessages,
    /// Its usage; counted once a turn.
    pub usage: Usage,
    /// The id of its newest event.
    pub last_event_id: u64,
    /// The time at which it was taken on.
    pub created_at: Timestamp,
    /// The time at which it ended.
    pub finished_at: Timestamp,
}

impl TurnDelivery {
    /// Returns what was said last: the newest words of the user's or the model's.
    pub fn last_text(&self) -> &str {
        let said = self.messages.iter().rev().filter(|message| message.role != Role::Tool);
        said.map(|message| message.content.as_str()).find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// Checks that a delivery belongs together: its messages are of its turn and conversation, follow each other, have ended and
    /// speak as a turn of this kind does.
    ///
    /// Errors: a 422 that names the field.
    pub fn check(&self) -> Result<(), ApiError> {
        let wrong = |field, message: &'static str| Err(ApiError::invalid_field(field, message));
        let ids: BTreeSet<Id> = self.messages.iter().map(|message| message.id).collect();
        if ids.len() < self.messages.len() || self.messages.parent_id().is_some_and(|id| ids.contains(&id)) {
            return wrong("messages", "is there twice");
        }
        let mut previous: Option<Id> = None;
        for message in self.messages.iter() {
            if message.turn_id != self.turn_id || message.conversation_id != self.conversation_id {
                return wrong("messages", "is of another turn or conversation");
            }
            if previous.is_some() && message.parent_id != previous {
                return wrong("messages", "does not follow the one before");
            }
            if !message.status.is_terminal() {
                return wrong("messages", "has not ended");
            }
            previous = Some(message.id);
        }
        let begins_with = match self.kind {
            TurnKind::Reply | TurnKind::Edit => Role::User,
            TurnKind::Regenerate | TurnKind::Continue => Role::Assistant,
            TurnKind::ToolResults => Role::Tool,
            TurnKind::Unknown(_) => self.messages.first().role,
        };
        if self.messages.first().role != begins_with || self.messages.answer().role != Role::Assistant {
            return wrong("messages", "has another role");
        }
        if self.messages.iter().skip(1).any(|message| message.role == Role::User) {
            return wrong("messages", "has more than one question");
        }
        if self.head_id != self.messages.answer().id {
            return wrong("head_id", "is not the last message");
        }
        if !self.status.is_terminal() {
            return wrong("status", "has not ended");
        }
        if self.finished_at < self.created_at || self.finished_at > Timestamp::MAX {
            return wrong("finished_at", "is before created_at");
        }
        Ok(())
    }
}

/// The origin's answer to a delivery: the turn is stored, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReceipt {
    /// False when the conversation was deleted meanwhile, or the message that the turn follows: nothing of it is visible, the usage
    /// was counted. Its messages are kept only where the conversation can be brought back.
    pub conversation_exists: bool,
    /// The highest `seq` of the conversation after the delivery.
    pub last_seq: u64,
}

/// The head of a conversation, the last message of the branch that is shown, and what made it that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The message; none while the conversation has none.
    pub message_id: Option<Id>,
    /// The id of the newest turn that made a head, or an id of the time at which the user chose one: ids sort by time.
    pub mark: Option<Id>,
    /// The last turn that made a head.
    pub turn_id: Option<Id>,
}

/// `GET conversations/{id}/context`: what the next turn of a conversation builds on, at the end of the branch that is shown or at
/// another message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationContext {
    /// The conversation.
    pub conversation_id: Id,
    /// The model its messages go to when a message does not say.
    pub model: Option<String>,
    /// Instructions the model gets before every message.
    pub system: Option<String>,
    /// The highest `seq` of its messages, those of all branches; 0 when it has none.
    pub last_seq: u64,
    /// The end of the branch that is shown.
    pub head: Head,
    /// The messages that follow the last one already, [`MAX_SIBLINGS`] of them at most: those of another branch, once the user
    /// has gone back to a message in the middle.
    pub children: Vec<Id>,
    /// The newest messages of the path to the head, or to the other message, that fit a context (`chat::context`), oldest first.
    /// The other message has all its pictures, also where they alone are more than fits.
    pub messages: Vec<Message>,
}

/// The most siblings that a message tells of; the newest ones are kept.
pub const MAX_SIBLINGS: u32 = 100;

/// The most messages of a context, the newest ones of the conversation.
pub const CONTEXT_MESSAGES: usize = 50;

/// `GET turns/{id}`: a turn as the origin stored it, for readers that come after the event log has aged out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredTurn {
    /// Its kind: what it did to the conversation.
    pub kind: TurnKind,
    /// The id of its newest event.
    pub last_event_id: u64,
    /// The reason for which it did not complete.
    pub error: Option<TurnError>,
    /// The messages that it added.
    pub messages: TurnMessages,
    /// Its usage.
    pub usage: Usage,
    /// The time at which it was taken on.
    pub created_at: Timestamp,
    /// The time at which it ended.
    pub finished_at: Timestamp,
}

#[cfg(test)]
mod tests;
