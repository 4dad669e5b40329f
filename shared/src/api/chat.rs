//! Conversations, messages and turns.
//!
//! - [`requests`]: what clients send; its types are named here, too

pub mod requests;

use serde::{Deserialize, Serialize};

pub use self::requests::{
    CreateConversation, FormatRequest, FormatType, MAX_PARTS, MAX_SYSTEM_CHARS, MAX_TEXT_CHARS, PartRequest,
    ResponseFormat, SendMessage, UpdateConversation,
};
use super::{error::ErrorCode, usage::Usage};
use crate::{id::Id, time::Timestamp};

/// Characters of a conversation's preview of its last message.
pub const PREVIEW_CHARS: usize = 120;

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Conversation {
    /// The conversation's id.
    pub id: Id,
    /// Its name; `null` until somebody names it.
    pub title: Option<String>,
    /// The model its messages go to when a message does not say.
    pub model: Option<String>,
    /// Instructions the model gets before every message.
    pub system: Option<String>,
    /// Whether the user pinned it.
    pub pinned: bool,
    /// Whether the user put it away.
    pub archived: bool,
    /// How many messages it holds.
    pub message_count: u64,
    /// The first characters of the last message.
    pub last_message_preview: Option<String>,
    /// When the last message came.
    pub last_message_at: Option<Timestamp>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool the model called.
    Tool,
}

impl Role {
    /// The role as it stands in a body and a table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Assistant, Self::Tool].into_iter().find(|role| role.as_str() == text)
    }
}

/// How far a turn, or the answer it makes, has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TurnStatus {
    /// Taken on, not yet sent to the model. Only a turn has it, never a message.
    Queued,
    /// The model is speaking.
    Running,
    /// The model came to its end.
    Completed,
    /// The model's stream ended before the model did.
    Incomplete,
    /// The user stopped it.
    Cancelled,
    /// The provider failed.
    Failed,
    /// Our side was restarted in the middle.
    Interrupted,
}

impl TurnStatus {
    const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Incomplete,
        Self::Cancelled,
        Self::Failed,
        Self::Interrupted,
    ];

    /// The status as it stands in a body and a table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nothing follows any more.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FinishReason {
    /// It had said everything.
    Stop,
    /// It reached `max_output_tokens`.
    Length,
    /// The provider's filter stopped it.
    ContentFilter,
    /// It wants a tool to be called.
    ToolCalls,
    /// Something else the provider names.
    Other,
}

impl FinishReason {
    const ALL: [Self; 5] = [Self::Stop, Self::Length, Self::ContentFilter, Self::ToolCalls, Self::Other];

    /// The reason as it stands in a body and a table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Other => "other",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// A piece of a message, as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// A picture, in the message itself or a file that was uploaded before.
    Image {
        /// The picture's media type; needed with `data`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
        /// The picture in base64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
        /// The id of an uploaded file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_id: Option<String>,
    },
}

/// All text of the parts, joined.
pub fn joined_text(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        if let Part::Text { text: piece } = part {
            text.push_str(piece);
        }
    }
    text
}

/// The first characters of a text, for lists.
pub fn preview(text: &str) -> String {
    text.chars().take(PREVIEW_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A tool the model called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolCall {
    /// The call's id within the turn.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// What the model called it with.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub arguments: serde_json::Value,
    /// What it answered.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub result: Option<serde_json::Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was called.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds; `null` while it runs.
    pub duration_ms: Option<u64>,
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    /// The message's id.
    pub id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// The turn that made it.
    pub turn_id: Id,
    /// The message it follows; `null` for the first.
    pub parent_id: Option<Id>,
    /// Its place in the conversation, counted from 1.
    pub seq: u64,
    /// Who speaks.
    pub role: Role,
    /// All text of the parts, joined.
    pub content: String,
    /// The pieces.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<PartRequest>))]
    pub parts: Vec<Part>,
    /// How far it came; a user's message is `completed` from the start.
    pub status: TurnStatus,
    /// Why the model stopped.
    pub finish_reason: Option<FinishReason>,
    /// The model that spoke.
    pub model: Option<String>,
    /// What it used.
    pub usage: Option<Usage>,
    /// The tools it called.
    pub tool_calls: Vec<ToolCall>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Message {
    /// Bytes of its text and its pictures: nearly all of a large message.
    pub fn content_bytes(&self) -> usize {
        let picture = |part: &Part| match part {
            Part::Image { data: Some(data), .. } => data.len(),
            Part::Text { .. } | Part::Image { data: None, .. } => 0,
        };
        self.content.len().saturating_add(self.parts.iter().map(picture).sum())
    }

    /// Leaves the data of its pictures out; that there were some still shows.
    pub fn leave_pictures_out(&mut self) {
        for part in &mut self.parts {
            if let Part::Image { data, .. } = part {
                *data = None;
            }
        }
    }

    /// Whether its one part is its text, so that whoever keeps the text need not keep the parts.
    pub fn is_plain(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Text { text }] if *text == self.content)
    }
}

/// Why a turn did not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TurnError {
    /// The machine-readable name.
    pub code: ErrorCode,
    /// One sentence for a person.
    pub detail: String,
}

impl TurnError {
    /// The error of this code; without a sentence of its own it has the code's.
    pub fn new(code: ErrorCode, detail: Option<String>) -> Self {
        Self { code, detail: detail.unwrap_or_else(|| code.default_detail().to_owned()) }
    }
}

/// A turn: one message of the user and the answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Turn {
    /// The turn's id.
    pub id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// How far it has come.
    pub status: TurnStatus,
    /// The model's alias.
    pub model: String,
    /// The answer so far.
    pub text: String,
    /// The id of its newest event.
    pub last_event_id: u64,
    /// The user's message.
    pub user_message_id: Id,
    /// The answer's message.
    pub assistant_message_id: Id,
    /// What it used; `null` until it has ended.
    pub usage: Option<Usage>,
    /// Why it did not complete.
    pub error: Option<TurnError>,
    /// Whether the origin has stored it.
    pub persisted: bool,
    /// When it was taken on.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// The answer to a message that was not streamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SentMessage {
    /// The turn.
    pub turn_id: Id,
    /// How it ended.
    pub status: TurnStatus,
    /// The user's message.
    pub user_message: Message,
    /// The answer.
    pub assistant_message: Message,
    /// What it used.
    pub usage: Option<Usage>,
    /// Whether the origin has stored it.
    pub persisted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for status in TurnStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_eq!(TurnStatus::parse(status.as_str()), Some(status));
        }
        for reason in FinishReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert_eq!(FinishReason::parse(reason.as_str()), Some(reason));
        }
    }
}
