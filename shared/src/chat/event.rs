//! The events of a turn, each encoded as one server-sent event.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    api::{
        chat::{FinishReason, Message, ToolCall, TurnCode, TurnError, TurnStatus},
        internal::TurnMessages,
        usage::Usage,
    },
    id::Id,
    sse,
};

/// The type of the events with text.
pub const DELTA: &str = "message.delta";

/// The type of the event that has the whole answer.
pub const MESSAGE: &str = "message.completed";

/// One event of a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The turn was admitted.
    Started(Started<'a>),
    /// More text.
    Delta(Delta<'a>),
    /// The model calls a tool.
    ToolCall(&'a ToolCall),
    /// The whole answer.
    Message(&'a Message),
    /// The turn completed.
    Completed(Completed),
    /// The turn ended with another status.
    Ended(TurnStatus, Ended<'a>),
    /// Replaces all text before it.
    Reset(Reset<'a>),
}

/// `turn.started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TurnStarted))]
pub struct Started<'a> {
    /// The turn.
    pub turn_id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// The user's message; `null` for a turn that added none.
    pub user_message_id: Option<Id>,
    /// The answer's message.
    pub assistant_message_id: Id,
    /// The model's alias.
    pub model: Cow<'a, str>,
}

/// `message.delta`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MessageDelta))]
pub struct Delta<'a> {
    /// The text to append.
    pub text: Cow<'a, str>,
}

/// `turn.completed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TurnCompleted))]
pub struct Completed {
    /// The turn.
    pub turn_id: Id,
    /// The reason why the model stopped.
    pub finish_reason: FinishReason,
    /// The tokens used.
    pub usage: Usage,
    /// True when the origin has stored the turn.
    pub persisted: bool,
}

/// `turn.incomplete`, `turn.cancelled`, `turn.failed`, `turn.interrupted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TurnEnded))]
pub struct Ended<'a> {
    /// The turn.
    pub turn_id: Id,
    /// The reason as a code; `null` when the event's name says it all.
    pub code: Option<TurnCode>,
    /// The reason as text.
    pub detail: Option<Cow<'a, str>>,
    /// The text before the end.
    pub text: Cow<'a, str>,
    /// The tokens used.
    pub usage: Usage,
    /// True when the origin has stored the turn.
    pub persisted: bool,
}

/// `reset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Reset))]
pub struct Reset<'a> {
    /// The whole text up to this point.
    pub text: Cow<'a, str>,
    /// The id from which the stream continues.
    pub last_event_id: u64,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    name: &'a str,
    arguments: &'a serde_json::Value,
}

/// `message.completed`.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MessageCompleted))]
pub struct Whole<'a> {
    /// The answer.
    pub message: &'a Message,
}

impl Event<'_> {
    /// The event's type, as the `event:` field names it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started(_) => "turn.started",
            Self::Delta(_) => DELTA,
            Self::ToolCall(_) => "tool.call",
            Self::Message(_) => MESSAGE,
            Self::Completed(_) => "turn.completed",
            Self::Ended(status, _) => terminal_name(*status),
            Self::Reset(_) => "reset",
        }
    }

    /// Returns true when the event follows from the turn's record and need not be stored. A `reset` does: there is one before
    /// the end of an interrupted turn.
    pub const fn follows_from_record(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Completed(_) | Self::Ended(..) | Self::Reset(_))
    }

    /// Appends the event in wire format.
    pub fn write(&self, out: &mut Vec<u8>, id: u64) {
        let data = match self {
            Self::Started(data) => serde_json::to_string(data),
            Self::Delta(data) => serde_json::to_string(data),
            Self::ToolCall(call) => {
                serde_json::to_string(&Call { id: &call.id, name: &call.name, arguments: &call.arguments })
            }
            Self::Message(message) => serde_json::to_string(&Whole { message }),
            Self::Completed(data) => serde_json::to_string(data),
            Self::Ended(_, data) => serde_json::to_string(data),
            Self::Reset(data) => serde_json::to_string(data),
        };
        // Plain structs with string keys always serialize.
        sse::encode(out, Some(id), self.name(), &data.unwrap_or_default());
    }
}

/// The name of the event that closes a turn with this status.
pub const fn terminal_name(status: TurnStatus) -> &'static str {
    match status {
        TurnStatus::Completed => "turn.completed",
        TurnStatus::Incomplete => "turn.incomplete",
        TurnStatus::Cancelled => "turn.cancelled",
        TurnStatus::Failed => "turn.failed",
        TurnStatus::Queued
        | TurnStatus::Running
        | TurnStatus::Interrupted
        // Of a newer version: only the fact that it ended is known.
        | TurnStatus::Unknown(_) => "turn.interrupted",
    }
}

/// Returns true when an event of this type closes its turn.
pub fn is_terminal(name: &str) -> bool {
    const TERMINAL: [TurnStatus; 5] = [
        TurnStatus::Completed,
        TurnStatus::Incomplete,
        TurnStatus::Cancelled,
        TurnStatus::Failed,
        TurnStatus::Interrupted,
    ];
    TERMINAL.into_iter().any(|status| terminal_name(status) == name)
}

/// Builds the first event of the turn with these messages.
pub fn started<'a>(messages: &TurnMessages, model: &'a str) -> Event<'a> {
    let answer = messages.answer();
    Event::Started(Started {
        turn_id: answer.turn_id,
        conversation_id: answer.conversation_id,
        user_message_id: messages.question().map(|question| question.id),
        assistant_message_id: answer.id,
        model: Cow::Borrowed(model),
    })
}

/// Builds the event that closes a turn.
pub fn terminal<'a>(
    turn_id: Id,
    message: &'a Message,
    error: Option<&'a TurnError>,
    usage: Usage,
    persisted: bool,
) -> Event<'a> {
    match (message.status, message.finish_reason) {
        (TurnStatus::Completed, Some(finish_reason)) => {
            Event::Completed(Completed { turn_id, finish_reason, usage, persisted })
        }
        (status, _) => Event::Ended(
            status,
            Ended {
                turn_id,
                code: error.map(|error| error.code),
                detail: error.map(|error| Cow::Borrowed(error.detail.as_str())),
                text: Cow::Borrowed(&message.content),
                usage,
                persisted,
            },
        ),
    }
}
