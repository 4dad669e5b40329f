//! Conversations, messages and turns.

use garde::Validate;
use serde::{Deserialize, Serialize, de};

use super::{error::ErrorCode, usage::Usage};
use crate::{id::Id, time::Timestamp};

/// The most characters of a message's text.
pub const MAX_TEXT_CHARS: usize = 100_000;
/// The most parts of a message.
pub const MAX_PARTS: usize = 16;
/// The most characters of a conversation's instructions.
pub const MAX_SYSTEM_CHARS: usize = 20_000;
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

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// `POST chat/conversations`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateConversation {
    /// Its name.
    #[serde(default)]
    #[garde(inner(length(chars, max = 200)))]
    pub title: Option<String>,
    /// The model its messages go to when a message does not say.
    #[serde(default)]
    #[garde(custom(known_model))]
    #[cfg_attr(feature = "openapi", schema(example = "fast"))]
    pub model: Option<String>,
    /// Instructions the model gets before every message.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_SYSTEM_CHARS)))]
    pub system: Option<String>,
}

/// `PATCH chat/conversations/{id}`: only what is named changes; `null` clears.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateConversation {
    /// Its name.
    #[serde(default, deserialize_with = "named", skip_serializing_if = "Option::is_none")]
    #[garde(inner(inner(length(chars, max = 200))))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub title: Option<Option<String>>,
    /// Whether it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub pinned: Option<bool>,
    /// Whether it is put away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub archived: Option<bool>,
    /// The model its messages go to when a message does not say.
    #[serde(default, deserialize_with = "named", skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(known_model)))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub model: Option<Option<String>>,
    /// Instructions the model gets before every message.
    #[serde(default, deserialize_with = "named", skip_serializing_if = "Option::is_none")]
    #[garde(inner(inner(length(chars, max = MAX_SYSTEM_CHARS))))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub system: Option<Option<String>>,
}

/// What a message says: a string, or parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Content {
    /// Words only.
    Text(String),
    /// Words and pictures.
    Parts(Vec<Part>),
}

impl Content {
    /// The content as parts.
    pub fn into_parts(self) -> Vec<Part> {
        match self {
            Self::Text(text) => vec![Part::Text { text }],
            Self::Parts(parts) => parts,
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Content;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a list of parts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Content, A::Error> {
                Deserialize::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Content::Parts)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The form the answer should have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ResponseFormat {
    /// Words.
    Text,
    /// Any JSON.
    Json,
    /// JSON of this schema.
    JsonSchema {
        /// A JSON schema.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        schema: serde_json::Value,
    },
}

/// `POST chat/conversations/{id}/messages`.
#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SendMessage {
    /// What the user says.
    #[garde(custom(speakable))]
    pub content: Content,
    /// The model to ask, when not the conversation's.
    #[serde(default)]
    #[garde(custom(known_model))]
    #[cfg_attr(feature = "openapi", schema(example = "fast"))]
    pub model: Option<String>,
    /// Whether to answer as a stream of events. Without it the `Accept` header decides.
    #[serde(default)]
    #[garde(skip)]
    pub stream: Option<bool>,
    /// How freely the model speaks, 0 to 2.
    #[serde(default)]
    #[garde(inner(range(min = 0.0, max = 2.0)))]
    pub temperature: Option<f64>,
    /// The most tokens of the answer.
    #[serde(default)]
    #[garde(inner(range(min = 1, max = 65_536)))]
    pub max_output_tokens: Option<u32>,
    /// The form the answer should have.
    #[serde(default)]
    #[garde(skip)]
    pub response_format: Option<ResponseFormat>,
    /// Tools the model may call; this server has none, and says so instead of ignoring the wish.
    #[serde(default)]
    #[garde(custom(no_tools))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Object>>))]
    pub tools: Option<Vec<serde_json::Value>>,
    /// The same as an `Idempotency-Key` header.
    #[serde(default)]
    #[garde(inner(length(min = 1, max = 255)))]
    pub client_message_id: Option<String>,
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

/// Tells a field that is `null` from one that is not there.
#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
fn named<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "garde calls custom rules like this"
)]
fn known_model(model: &Option<String>, _context: &()) -> garde::Result {
    match model {
        Some(name) if crate::provider::registry::resolve(name).is_none() => {
            Err(garde::Error::new("is not a model of this server; ai/models lists them"))
        }
        _ => Ok(()),
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
fn speakable(content: &Content, _context: &()) -> garde::Result {
    let parts = match content {
        Content::Text(text) => return text_rule(text.chars().count(), text.trim().is_empty()),
        Content::Parts(parts) => parts,
    };
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(garde::Error::new(format!("must have 1 to {MAX_PARTS} parts")));
    }
    let (mut chars, mut silent) = (0, true);
    for part in parts {
        match part {
            Part::Text { text } => {
                chars += text.chars().count();
                silent &= text.trim().is_empty();
            }
            Part::Image { mime_type: Some(mime), data: Some(data), file_id: None } => {
                silent = false;
                picture_rule(mime, data)?;
            }
            Part::Image { .. } => {
                return Err(garde::Error::new("an image part needs mime_type and data (base64)"));
            }
        }
    }
    text_rule(chars, silent)
}

fn text_rule(chars: usize, silent: bool) -> garde::Result {
    if silent {
        return Err(garde::Error::new("must not be empty"));
    }
    if chars > MAX_TEXT_CHARS {
        return Err(garde::Error::new(format!("has more than {MAX_TEXT_CHARS} characters")));
    }
    Ok(())
}

fn picture_rule(mime: &str, data: &str) -> garde::Result {
    const MEDIA_TYPES: [&str; 5] = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"];
    if !MEDIA_TYPES.contains(&mime) {
        return Err(garde::Error::new(format!("an image must be one of {}", MEDIA_TYPES.join(", "))));
    }
    let body = data.trim_end_matches('=');
    let base64 = body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
    if body.is_empty() || !data.len().is_multiple_of(4) || data.len() - body.len() > 2 || !base64 {
        return Err(garde::Error::new("an image's data must be base64"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::api::{ErrorCode, body::parse};

    #[rstest]
    #[case(r#"{"content":"hi"}"#, "")]
    #[case(r#"{"content":[{"type":"text","text":"hi"}],"model":"fast","later":1}"#, "")]
    #[case(r#"{"content":[{"type":"image","mime_type":"image/png","data":"AAAA"}]}"#, "")]
    #[case(r#"{"content":"   "}"#, "content")]
    #[case(r#"{"content":7}"#, "content")]
    #[case(r#"{"content":[]}"#, "content")]
    #[case(r#"{"content":[{"type":"sound"}]}"#, "content[0].type")]
    #[case(r#"{"content":[{"type":"image","mime_type":"image/png","data":"A!=="}]}"#, "content")]
    #[case(r#"{"content":[{"type":"image","mime_type":"text/html","data":"AAAA"}]}"#, "content")]
    #[case(r#"{"content":"hi","model":"no-such-model"}"#, "model")]
    #[case(r#"{"content":"hi","temperature":2.5}"#, "temperature")]
    #[case(r#"{"content":"hi","temperature":"hot"}"#, "temperature")]
    #[case(r#"{"content":"hi","client_message_id":""}"#, "client_message_id")]
    fn a_message_is_checked_field_by_field(#[case] body: &str, #[case] wrong: &str) {
        match parse::<SendMessage>(body.as_bytes()) {
            Ok(_) => assert_eq!(wrong, ""),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::ValidationFailed);
                assert!(error.errors[0].field.starts_with(wrong) && !wrong.is_empty(), "{error:?}");
            }
        }
    }

    #[test]
    fn an_update_tells_null_from_absent() {
        let update: UpdateConversation = parse(br#"{"title":null,"pinned":true}"#).unwrap();
        assert_eq!(update.title, Some(None));
        assert_eq!(update.system, None);
        assert_eq!(serde_json::to_string(&update).unwrap(), r#"{"title":null,"pinned":true}"#);
    }

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
