//! What clients send to conversations: flat types, each field with its rules, so that what is wrong is named by its path
//! and clients that are generated from the document compile.

use garde::{Path, Report, Validate};
use serde::{Deserialize, Serialize, de};

use super::Part;
use crate::id::Id;

/// The most characters of a message's text.
pub const MAX_TEXT_CHARS: usize = 100_000;
/// The most parts of a message.
pub const MAX_PARTS: usize = 16;
/// The most characters of a conversation's instructions.
pub const MAX_SYSTEM_CHARS: usize = 20_000;
/// The most characters of a conversation's name.
pub const MAX_TITLE_CHARS: usize = 200;
/// The highest temperature.
pub const MAX_TEMPERATURE: f64 = 2.0;
/// The highest `max_output_tokens`.
pub const MAX_OUTPUT_TOKENS: u32 = 65_536;
/// The media types of pictures.
pub const IMAGE_TYPES: [&str; 5] = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"];

/// `POST chat/conversations`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateConversation {
    /// Its name.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_TITLE_CHARS)))]
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
    #[garde(inner(inner(length(chars, max = MAX_TITLE_CHARS))))]
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
    /// The last message of the branch to show: any message of the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub head_id: Option<Id>,
}

/// What kind of piece a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PartType {
    /// Words.
    Text,
    /// A picture.
    Image,
}

/// A piece of a message: words, or a picture. Fields of the other kind are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Part, example = json!({"type": "text", "text": "Hello"})))]
pub struct PartRequest {
    /// `text` or `image`.
    #[serde(rename = "type")]
    #[garde(skip)]
    pub kind: PartType,
    /// The words; with `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(needed_by(self.kind, PartType::Text)))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub text: Option<String>,
    /// The picture's media type; with `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(needed_by(self.kind, PartType::Image)), custom(image_type))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub mime_type: Option<String>,
    /// The picture in base64; with `image`. An answer leaves the data of old pictures out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(needed_by(self.kind, PartType::Image)), custom(base64))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub data: Option<String>,
}

impl PartRequest {
    fn chars(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.chars().count())
    }

    fn is_silent(&self) -> bool {
        self.kind == PartType::Text && self.text.as_ref().is_some_and(|text| text.trim().is_empty())
    }
}

impl From<PartRequest> for Part {
    fn from(part: PartRequest) -> Self {
        match part.kind {
            PartType::Text => Self::Text { text: part.text.unwrap_or_default() },
            PartType::Image => Self::Image { mime_type: part.mime_type, data: part.data, file_id: None },
        }
    }
}

/// `content` of a message: words. A list of parts is taken as well, from clients that were made before `parts` was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Words only.
    Text(String),
    /// Words and pictures.
    Parts(Vec<PartRequest>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Content;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
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

impl Validate for Content {
    type Context = ();

    fn validate_into(&self, context: &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        match self {
            Self::Text(text) => {
                if let Err(error) = text_rule(text.chars().count(), text.trim().is_empty()) {
                    report.append(parent(), error);
                }
            }
            Self::Parts(parts) => {
                if let Err(error) = parts_rule(parts) {
                    report.append(parent(), error);
                }
                parts.validate_into(context, parent, report);
            }
        }
    }
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

/// `POST chat/conversations/{id}/messages`. What the user says stands in `content` or in `parts`: one of them is needed, and
/// not both.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"content": "Hello", "stream": false})))]
pub struct SendMessage {
    /// What the user says, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(one_of_two(self.parts.is_some())), dive)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub content: Option<Content>,
    /// What the user says, in words and pictures, instead of `content`: 1 to 16 parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(parts_rule_where_given), dive)]
    pub parts: Option<Vec<PartRequest>>,
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
}

impl SendMessage {
    /// What the user says, as parts, whichever field it stands in.
    pub fn to_parts(&self) -> Vec<Part> {
        let parts = match (&self.content, &self.parts) {
            (Some(Content::Text(text)), _) => return vec![Part::Text { text: text.clone() }],
            (Some(Content::Parts(parts)), _) | (None, Some(parts)) => parts,
            (None, None) => return Vec::new(),
        };
        parts.iter().cloned().map(Part::from).collect()
    }
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
        Some(name) if crate::api::models::resolve(name).is_none() => {
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

/// The rule of a field that parts or formats of one kind need: `self.kind` is `actual`.
fn needed_by<K: PartialEq, T>(actual: K, kind: K) -> impl FnOnce(&Option<T>, &()) -> garde::Result {
    move |value, ()| match value {
        None if actual == kind => Err(garde::Error::new("is required")),
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
fn parts_rule_where_given(parts: &Option<Vec<PartRequest>>, _context: &()) -> garde::Result {
    parts.as_deref().map_or(Ok(()), parts_rule)
}

fn parts_rule(parts: &[PartRequest]) -> garde::Result {
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(garde::Error::new(format!("must have 1 to {MAX_PARTS} parts")));
    }
    text_rule(parts.iter().map(PartRequest::chars).sum(), parts.iter().all(PartRequest::is_silent))
}

fn text_rule(chars: usize, silent: bool) -> garde::Result {
    if silent {
        return Err(garde::Error::new("must not be empty"));
    }
    if chars > MAX_TEXT_CHARS {
        return Err(garde::Error::new(format!("must have at most {MAX_TEXT_CHARS} characters of text")));
    }
    Ok(())
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "garde calls custom rules like this"
)]
fn image_type(mime_type: &Option<String>, _context: &()) -> garde::Result {
    match mime_type {
        Some(text) if !IMAGE_TYPES.contains(&text.as_str()) => {
            Err(garde::Error::new(format!("must be one of {}", IMAGE_TYPES.join(", "))))
        }
        _ => Ok(()),
    }
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "garde calls custom rules like this"
)]
fn base64(data: &Option<String>, _context: &()) -> garde::Result {
    let Some(data) = data else { return Ok(()) };
    let body = data.trim_end_matches('=');
    let alphabet = body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
    if body.is_empty() || !data.len().is_multiple_of(4) || data.len() - body.len() > 2 || !alphabet {
        return Err(garde::Error::new("must be base64"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
