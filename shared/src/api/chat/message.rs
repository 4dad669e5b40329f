//! Messages: what is shown of them, and what sends one. The types that are sent are flat, each field with its rules, so that
//! what is wrong is named by its path and clients that are generated from the document compile.

use garde::Validate;
use serde::{Deserialize, Serialize};

use super::{
    answer::WhenRunning,
    conversation::known_model,
    part::{Content, Part, PartRequest, needed_by, validate_parts},
    turn::{FinishReason, TurnStatus},
};
use crate::{
    api::{open::open_names, usage::Usage},
    id::Id,
    time::Timestamp,
};

/// The highest temperature.
pub const MAX_TEMPERATURE: f64 = 2.0;
/// The highest `max_output_tokens`.
pub const MAX_OUTPUT_TOKENS: u32 = 65_536;

open_names! {
    /// The one who speaks.
    pub enum Role {
        /// The person.
        User = "user",
        /// The model.
        Assistant = "assistant",
        /// A tool the model called.
        Tool = "tool",
    }
}

/// A tool the model called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolCall {
    /// The call's id within the turn.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments of the model's call.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub arguments: serde_json::Value,
    /// Its result.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub result: Option<serde_json::Value>,
    /// The reason for which it failed.
    pub error: Option<String>,
    /// The time at which it was called.
    pub started_at: Timestamp,
    /// Its duration in milliseconds; `null` while it runs.
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
    /// The one who speaks.
    pub role: Role,
    /// All text of the parts, joined.
    pub content: String,
    /// The pieces.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<PartRequest>))]
    pub parts: Vec<Part>,
    /// Its status; a user's message is `completed` from the start.
    pub status: TurnStatus,
    /// The reason for which the model stopped.
    pub finish_reason: Option<FinishReason>,
    /// The model that spoke.
    pub model: Option<String>,
    /// Its usage.
    pub usage: Option<Usage>,
    /// The tools it called.
    pub tool_calls: Vec<ToolCall>,
    /// The time at which it was begun.
    pub created_at: Timestamp,
    /// The time of its last change.
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

    /// Returns whether it is an answer that the model can continue: one with text that broke off, and not because of what it says or
    /// of how the model says it.
    pub const fn can_continue(&self) -> bool {
        let broke_off =
            matches!(self.status, TurnStatus::Incomplete | TurnStatus::Cancelled | TurnStatus::Interrupted);
        let is_allowed = match self.finish_reason {
            None | Some(FinishReason::Length | FinishReason::Other) => true,
            Some(
                FinishReason::Stop
                | FinishReason::ContentFilter
                | FinishReason::Recitation
                | FinishReason::ToolCalls
                | FinishReason::InvalidOutput
                | FinishReason::InvalidToolCall
                | FinishReason::Language
                | FinishReason::Unknown(_),
            ) => false,
        };
        matches!(self.role, Role::Assistant) && broke_off && is_allowed && !self.content.is_empty()
    }

    /// Returns whether the provider's filter stopped it.
    pub const fn is_blocked(&self) -> bool {
        matches!(self.finish_reason, Some(FinishReason::ContentFilter))
    }

    /// Returns whether its one part is its text, so that whoever keeps the text need not keep the parts.
    pub fn is_plain(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Text { text }] if *text == self.content)
    }
}

/// `POST chat/conversations/{id}/messages`. What the user says stands in `content` or in `parts`: one of them is needed, and
/// not both.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"content": "Hello", "stream": false})))]
pub struct SendMessage {
    /// The user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(one_of_two(self.parts.is_some())), dive)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub content: Option<Content>,
    /// The user's words and pictures, instead of `content`: 1 to 16 parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(validate_given_parts), dive)]
    pub parts: Option<Vec<PartRequest>>,
    /// The model to ask, when not the conversation's.
    #[serde(default)]
    #[garde(custom(known_model))]
    #[cfg_attr(feature = "openapi", schema(example = "fast"))]
    pub model: Option<String>,
    /// True for an answer as a stream of events. Without it the `Accept` header decides.
    #[serde(default)]
    #[garde(skip)]
    pub stream: Option<bool>,
    /// Sampling temperature, 0 to 2: the higher, the more freely the model speaks.
    #[serde(default)]
    #[garde(inner(range(min = 0.0, max = MAX_TEMPERATURE)))]
    pub temperature: Option<f64>,
    /// The most tokens of the answer.
    #[serde(default)]
    #[garde(inner(range(min = 1, max = MAX_OUTPUT_TOKENS)))]
    pub max_output_tokens: Option<u32>,
    /// The form that the answer should have.
    #[serde(default)]
    #[garde(dive)]
    pub response_format: Option<FormatRequest>,
    /// Tools the model may call; this server has none, and says so instead of ignoring the wish.
    #[serde(default)]
    #[garde(custom(no_tools))]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub tools: Option<Vec<serde_json::Value>>,
    /// The same as an `Idempotency-Key` header.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = 255)))]
    pub client_message_id: Option<String>,
    /// While another answer runs in the conversation: `reject` (the default) for a 409, `queue` to wait for its turn.
    #[serde(default)]
    #[garde(skip)]
    pub when_running: Option<WhenRunning>,
}

impl SendMessage {
    /// Returns the user's words and pictures as parts, whichever field they stand in.
    pub fn to_parts(&self) -> Vec<Part> {
        let parts = match (&self.content, &self.parts) {
            (Some(Content::Text(text)), _) => return vec![Part::Text { text: text.clone() }],
            (Some(Content::Parts(parts)), _) | (None, Some(parts)) => parts,
            (None, None) => return Vec::new(),
        };
        parts.iter().cloned().map(Part::from).collect()
    }
}

/// The answer to a message that was not streamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SentMessage {
    /// The turn.
    pub turn_id: Id,
    /// Its status at the end.
    pub status: TurnStatus,
    /// The user's message; `null` for a turn that added none.
    pub user_message: Option<Message>,
    /// The answer.
    pub assistant_message: Message,
    /// Its usage.
    pub usage: Option<Usage>,
    /// True once the origin has stored it.
    pub persisted: bool,
}

/// The form that the answer should have.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseFormat {
    /// Words.
    Text,
    /// Any JSON.
    Json,
    /// JSON of this schema.
    JsonSchema {
        /// A JSON schema.
        schema: serde_json::Value,
    },
}

/// The name of a [`ResponseFormat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FormatType {
    /// Words.
    Text,
    /// Any JSON.
    Json,
    /// JSON of a schema.
    JsonSchema,
}

/// The form that the answer should have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ResponseFormat, example = json!({"type": "text"})))]
pub struct FormatRequest {
    /// `text`, `json`, or `json_schema` for JSON of a schema.
    #[serde(rename = "type")]
    #[garde(skip)]
    pub kind: FormatType,
    /// The JSON schema; with `json_schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(needed_by(self.kind, FormatType::JsonSchema)))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub schema: Option<serde_json::Map<String, serde_json::Value>>,
}

impl From<FormatRequest> for ResponseFormat {
    fn from(format: FormatRequest) -> Self {
        match format.kind {
            FormatType::Text => Self::Text,
            FormatType::Json => Self::Json,
            FormatType::JsonSchema => {
                Self::JsonSchema { schema: serde_json::Value::Object(format.schema.unwrap_or_default()) }
            }
        }
    }
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "garde calls custom rules like this"
)]
fn no_tools(tools: &Option<Vec<serde_json::Value>>, _context: &()) -> garde::Result {
    match tools {
        Some(list) if !list.is_empty() => Err(garde::Error::new("this server offers no tools")),
        _ => Ok(()),
    }
}

/// The rule of `content` beside `parts`.
fn one_of_two(parts: bool) -> impl FnOnce(&Option<Content>, &()) -> garde::Result {
    move |content, ()| match (content, parts) {
        (None, false) => Err(garde::Error::new("is required, or parts instead")),
        (Some(_), true) => Err(garde::Error::new("must not stand beside parts")),
        _ => Ok(()),
    }
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "garde calls custom rules like this"
)]
fn validate_given_parts(parts: &Option<Vec<PartRequest>>, _context: &()) -> garde::Result {
    parts.as_deref().map_or(Ok(()), validate_parts)
}
