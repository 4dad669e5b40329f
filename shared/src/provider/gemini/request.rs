//! The body of `generateContent` and `streamGenerateContent`, written and read.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::provider::{ChatMessage, ContentPart, ModelRequest, ResponseFormat, Role};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// The body that asks this. Empty texts and messages without parts are left out and neighbouring messages of one role
/// become one, because Gemini refuses the former and expects the roles to alternate.
pub fn request(request: &ModelRequest) -> Vec<u8> {
    let mut contents: Vec<Content<'_>> = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        let role = match message.role {
            Role::User => "user",
            Role::Model => "model",
        };
        let parts = message.parts.iter().filter_map(Part::write);
        match contents.last_mut() {
            Some(last) if last.role.as_deref() == Some(role) => last.parts.extend(parts),
            _ => {
                let parts: Vec<_> = parts.collect();
                if !parts.is_empty() {
                    contents.push(Content { role: Some(role.into()), parts });
                }
            }
        }
    }
    let system = request.system.as_deref().filter(|system| !system.is_empty());
    let body = Request {
        contents,
        system_instruction: system.map(|system| Content { role: None, parts: vec![Part::text(system)] }),
        generation_config: GenerationConfig::write(request),
    };
    // Writing into memory cannot fail, and every key is a string.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// A body that is not a request, or asks for what EdgeChat does not do. The text is for the developer who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not JSON, or not of this shape.
    #[error("Invalid JSON payload received: {0}")]
    Json(String),
    /// `contents` holds nothing to answer.
    #[error("contents must not be empty")]
    Empty,
    /// A role that is neither `user` nor `model`.
    #[error("Please use a valid role: user, model.")]
    Role,
    /// A part that is neither text nor inline data.
    #[error("contents[{content}].parts[{part}] is of a kind that is not supported")]
    Part {
        /// The place in `contents`.
        content: usize,
        /// The place in its `parts`.
        part: usize,
    },
    /// `generationConfig` holds something that changes the answer and is not supported.
    #[error("generationConfig.{0} is not supported")]
    Config(&'static str),
}

/// Reads a body into what it asks. Names are taken in camel case and in snake case, as Google takes them.
///
/// # Errors
/// [`RequestError`] says what is wrong or not supported. Fields that only tune the answer (`topP`, `safetySettings`) are
/// read past.
pub fn parse_request(body: &[u8]) -> Result<ModelRequest, RequestError> {
    let body: Request<'_> =
        serde_json::from_slice(body).map_err(|error| RequestError::Json(error.to_string()))?;
    let mut messages: Vec<ChatMessage> = Vec::with_capacity(body.contents.len());
    for (at, content) in body.contents.into_iter().enumerate() {
        let role = match content.role.as_deref() {
            Some("user") | None => Role::User,
            Some("model") => Role::Model,
            Some(_) => return Err(RequestError::Role),
        };
        let parts = read_parts(content.parts, at)?;
        match messages.last_mut() {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ if parts.is_empty() => {}
            _ => messages.push(ChatMessage { role, parts }),
        }
    }
    if messages.is_empty() {
        return Err(RequestError::Empty);
    }
    let system = body.system_instruction.map(|content| {
        let texts: Vec<_> = content.parts.into_iter().filter_map(|part| part.text).collect();
        texts.join("\n")
    });
    let config = body.generation_config.unwrap_or_default();
    Ok(ModelRequest {
        system: system.filter(|system| !system.is_empty()),
        messages,
        temperature: config.temperature,
        max_output_tokens: config.max_output_tokens,
        response_format: config.response_format()?,
    })
}

fn read_parts(parts: Vec<Part<'_>>, content: usize) -> Result<Vec<ContentPart>, RequestError> {
    let mut read = Vec::with_capacity(parts.len());
    for (at, part) in parts.into_iter().enumerate() {
        match part {
            // Clients send a model's thoughts back with its answer.
            Part { thought: true, .. } => {}
            Part { text: Some(text), .. } if text.is_empty() => {}
            Part { text: Some(text), .. } => read.push(ContentPart::Text(text.into_owned())),
            Part { inline_data: Some(data), .. } => read.push(ContentPart::InlineImage {
                mime_type: data.mime_type.into_owned(),
                data_base64: data.data.into_owned(),
            }),
            Part { .. } => return Err(RequestError::Part { content, part: at }),
        }
    }
    Ok(read)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(default)]
    contents: Vec<Content<'a>>,
    #[serde(default, alias = "system_instruction", skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    #[serde(default, alias = "generation_config", skip_serializing_if = "Option::is_none")]
    generation_config: Option<GenerationConfig<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Content<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Cow<'a, str>>,
    #[serde(default)]
    parts: Vec<Part<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(default, alias = "inline_data", skip_serializing_if = "Option::is_none")]
    inline_data: Option<InlineData<'a>>,
    #[serde(default, skip_serializing)]
    thought: bool,
}

impl<'a> Part<'a> {
    fn text(text: &'a str) -> Self {
        Self { text: Some(text.into()), inline_data: None, thought: false }
    }

    fn write(part: &'a ContentPart) -> Option<Self> {
        match part {
            ContentPart::Text(text) => (!text.is_empty()).then(|| Self::text(text)),
            ContentPart::InlineImage { mime_type, data_base64 } => {
                let data = InlineData { mime_type: mime_type.into(), data: data_base64.into() };
                Some(Self { text: None, inline_data: Some(data), thought: false })
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InlineData<'a> {
    #[serde(alias = "mime_type")]
    mime_type: Cow<'a, str>,
    data: Cow<'a, str>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(default, alias = "max_output_tokens", skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(default, alias = "response_mime_type", skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<Cow<'a, str>>,
    #[serde(default, alias = "response_json_schema", skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Cow<'a, Value>>,
    /// Google's older dialect of schema, which is not JSON Schema.
    #[serde(default, alias = "response_schema", skip_serializing)]
    response_schema: Option<IgnoredAny>,
}

impl<'a> GenerationConfig<'a> {
    fn write(request: &'a ModelRequest) -> Option<Self> {
        let format = request.response_format.as_ref();
        let config = Self {
            temperature: request.temperature.filter(|temperature| temperature.is_finite()),
            max_output_tokens: request.max_output_tokens,
            response_mime_type: format.map(|format| match format {
                ResponseFormat::Text => TEXT.into(),
                ResponseFormat::Json | ResponseFormat::JsonSchema { .. } => JSON.into(),
            }),
            response_json_schema: match format {
                Some(ResponseFormat::JsonSchema { schema }) => Some(Cow::Borrowed(schema)),
                _ => None,
            },
            response_schema: None,
        };
        let Self { temperature, max_output_tokens, response_mime_type, .. } = &config;
        let says_something =
            temperature.is_some() || max_output_tokens.is_some() || response_mime_type.is_some();
        says_something.then_some(config)
    }

    fn response_format(self) -> Result<Option<ResponseFormat>, RequestError> {
        if self.response_schema.is_some() {
            return Err(RequestError::Config("responseSchema"));
        }
        match (self.response_mime_type.as_deref(), self.response_json_schema) {
            (Some(JSON), Some(schema)) => {
                Ok(Some(ResponseFormat::JsonSchema { schema: schema.into_owned() }))
            }
            (Some(JSON), None) => Ok(Some(ResponseFormat::Json)),
            (_, Some(_)) => Err(RequestError::Config("responseJsonSchema without JSON as responseMimeType")),
            (Some(TEXT), None) => Ok(Some(ResponseFormat::Text)),
            (None, None) => Ok(None),
            (Some(_), None) => Err(RequestError::Config("responseMimeType of this kind")),
        }
    }
}
