//! Conversations, messages and turns.
//!
//! - [`requests`]: what clients send; its types are named here, too

pub mod requests;

use serde::{Deserialize, Serialize};

pub use self::requests::{
    CreateConversation, FormatRequest, FormatType, MAX_PARTS, MAX_SYSTEM_CHARS, MAX_TEXT_CHARS, PartRequest,
    ResponseFormat, SendMessage, UpdateConversation,
};
use super::{
    error::ErrorCode,
    open::{Name, open_names, serde_as_name},
    usage::Usage,
};
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
    /// The last message of the branch that is shown; `null` while it has none.
    pub head_id: Option<Id>,
    /// The highest `seq` of its messages, those of all branches; 0 while it has none.
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

open_names! {
    /// Who speaks.
    pub enum Role {
        /// The person.
        User = "user",
        /// The model.
        Assistant = "assistant",
        /// A tool the model called.
        Tool = "tool",
    }
}

open_names! {
    /// What a turn does to its conversation.
    pub enum TurnKind {
        /// Answers a new message of the user's.
        Reply = "reply",
        /// Answers the same message once more, beside the earlier answer.
        Regenerate = "regenerate",
        /// Answers a message that stands beside an earlier one, in its place.
        Edit = "edit",
        /// Goes on with an answer that was cut short.
        Continue = "continue",
        /// Goes on with the results of tools that the client ran.
        ToolResults = "tool_results",
    }
}

open_names! {
    /// How far a turn, or the answer it makes, has come.
    pub enum TurnStatus {
        /// Taken on, not yet sent to the model. Only a turn has it, never a message.
        Queued = "queued",
        /// The model is speaking.
        Running = "running",
        /// The model came to its end.
        Completed = "completed",
        /// The answer is shorter than the model meant it: it was stopped, or its stream ended before it did.
        Incomplete = "incomplete",
        /// The user stopped it.
        Cancelled = "cancelled",
        /// The provider failed.
        Failed = "failed",
        /// Our side was restarted in the middle.
        Interrupted = "interrupted",
    }
}

impl TurnStatus {
    /// Returns whether nothing follows any more. What only a newer version knows is an end: what runs, it runs by itself.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

open_names! {
    /// Why the model stopped.
    pub enum FinishReason {
        /// It had said everything.
        Stop = "stop",
        /// It reached `max_output_tokens`.
        Length = "length",
        /// The provider's filter stopped it.
        ContentFilter = "content_filter",
        /// It repeated somebody's text too closely.
        Recitation = "recitation",
        /// It wants a tool to be called.
        ToolCalls = "tool_calls",
        /// What it wanted to say has no valid form.
        InvalidOutput = "invalid_output",
        /// Something else the provider names.
        Other = "other",
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
    /// The message it follows; `null` for a first one.
    pub parent_id: Option<Id>,
    /// The messages that follow the same one, this one among them, in the order in which they were made. More than one when the
    /// user edited a message or asked for another answer: each is the beginning of a branch.
    pub siblings: Vec<Id>,
    /// Its place in the order of arrival of the conversation's messages, those of all branches, counted from 1.
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

/// Why a turn did not complete: an error's code, or why an answer that has begun is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TurnCode {
    /// An error, as a request would be answered with it.
    Error(ErrorCode),
    /// The answer reached `max_output_tokens`.
    Length,
    /// The provider's safety rules stopped the answer.
    Safety,
    /// The answer repeated somebody's text too closely.
    Recitation,
    /// What the model wanted to say has no valid form.
    InvalidOutput,
    /// The connection to the provider broke in the middle of the answer.
    ProviderDisconnected,
    /// One of a newer version.
    Unknown(Name),
}

impl TurnCode {
    /// The names of those that are no error's.
    pub const NAMES: &'static [&'static str] =
        &["length", "safety", "recitation", "invalid_output", "provider_disconnected"];

    /// The code as it stands in a body and a table.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Error(code) => code.as_str(),
            Self::Length => "length",
            Self::Safety => "safety",
            Self::Recitation => "recitation",
            Self::InvalidOutput => "invalid_output",
            Self::ProviderDisconnected => "provider_disconnected",
            Self::Unknown(name) => name.as_str(),
        }
    }

    /// Reads what [`Self::as_str`] wrote, this version's or a newer one's; `None` when it is no name at all.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "length" => Self::Length,
            "safety" => Self::Safety,
            "recitation" => Self::Recitation,
            "invalid_output" => Self::InvalidOutput,
            "provider_disconnected" => Self::ProviderDisconnected,
            _ => match ErrorCode::parse(text) {
                Some(code) => Self::Error(code),
                None => Self::Unknown(Name::new(text)?),
            },
        })
    }

    /// The sentence a client gets when nothing more precise is known.
    pub const fn default_detail(self) -> &'static str {
        match self {
            Self::Error(code) => code.default_detail(),
            Self::Length => "The answer reached its token limit",
            Self::Safety => "The model provider's safety rules stopped the answer",
            Self::Recitation => "The model provider stopped the answer because it repeats a known text",
            Self::InvalidOutput => "The model's answer has no valid form",
            Self::ProviderDisconnected => "The connection to the model provider broke",
            Self::Unknown(_) => "The answer did not complete",
        }
    }

    /// The error that a request is answered with when its turn failed for this reason.
    pub const fn as_error(self) -> ErrorCode {
        match self {
            Self::Error(code) => code,
            Self::ProviderDisconnected => ErrorCode::ProviderUnavailable,
            _ => ErrorCode::ProviderError,
        }
    }
}

impl From<ErrorCode> for TurnCode {
    fn from(code: ErrorCode) -> Self {
        Self::Error(code)
    }
}

serde_as_name!(
    TurnCode,
    "Why a turn did not complete: the code of an error, or why an answer that has begun is not whole.",
    TurnCode::NAMES.iter().copied().chain(ErrorCode::ALL.iter().map(|code| code.as_str()))
);

/// Why a turn did not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TurnError {
    /// The machine-readable name.
    pub code: TurnCode,
    /// One sentence for a person.
    pub detail: String,
}

impl TurnError {
    /// The error of this code; without a sentence of its own it has the code's.
    pub fn new(code: TurnCode, detail: Option<String>) -> Self {
        Self { code, detail: detail.unwrap_or_else(|| code.default_detail().to_owned()) }
    }
}

/// A turn: what the user says or asks for, and the answer to it.
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
    /// The user's message; `null` for a turn that added none.
    pub user_message_id: Option<Id>,
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
    /// The user's message; `null` for a turn that added none.
    pub user_message: Option<Message>,
    /// The answer.
    pub assistant_message: Message,
    /// What it used.
    pub usage: Option<Usage>,
    /// Whether the origin has stored it.
    pub persisted: bool,
}
