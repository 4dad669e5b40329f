//! `GenerateContentResponse` as far as it is read: at once where it is as documented, else field by field, so that what
//! cannot be read costs only itself.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{error::WireError, words::Wtf8};
use crate::provider::{FinishReason, RefusalReason, Usage};

/// One chunk of a stream, or a whole answer.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chunk {
    pub(super) candidates: Option<Vec<Candidate>>,
    pub(super) prompt_feedback: Option<PromptFeedback>,
    pub(super) usage_metadata: Option<UsageMetadata>,
    #[serde(default, deserialize_with = "WireError::in_field")]
    pub(super) error: Option<WireError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate {
    #[serde(default)]
    pub(super) index: u32,
    pub(super) content: Option<Content>,
    pub(super) finish_reason: Option<FinishWord>,
}

#[derive(Deserialize)]
pub(super) struct Content {
    pub(super) parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    pub(super) text: Option<Wtf8>,
    #[serde(default)]
    pub(super) thought: bool,
    pub(super) function_call: Option<FunctionCall>,
}

#[derive(Deserialize)]
pub(super) struct FunctionCall {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) args: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback {
    pub(super) block_reason: Option<BlockWord>,
}

#[expect(clippy::struct_field_names, reason = "the names are Gemini's")]
#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UsageMetadata {
    prompt_token_count: u64,
    tool_use_prompt_token_count: u64,
    candidates_token_count: u64,
    cached_content_token_count: u64,
    thoughts_token_count: u64,
    total_token_count: u64,
}

impl Chunk {
    /// Reads what can be read of a chunk that is not as documented. ProtoJSON takes `null` for absent and lets numbers be
    /// strings; whatever else is of another kind than documented is taken for absent as well.
    pub(super) fn lenient(mut chunk: Map<String, Value>) -> Self {
        let candidates = list(chunk.remove("candidates")).into_iter().filter_map(Candidate::lenient);
        Self {
            candidates: Some(candidates.collect()),
            prompt_feedback: field(&mut chunk, "promptFeedback"),
            usage_metadata: object(chunk.remove("usageMetadata"))
                .and_then(|usage| UsageMetadata::lenient(&usage)),
            error: chunk.remove("error").and_then(WireError::lenient),
        }
    }
}

impl Candidate {
    fn lenient(value: Value) -> Option<Self> {
        let mut candidate = object(Some(value))?;
        let parts = object(candidate.remove("content")).map(|mut content| list(content.remove("parts")));
        let parts = parts.into_iter().flatten().filter_map(Part::lenient).collect();
        Some(Self {
            index: u32::try_from(count(&candidate, "index")).unwrap_or(u32::MAX),
            content: Some(Content { parts: Some(parts) }),
            finish_reason: field(&mut candidate, "finishReason"),
        })
    }
}

impl Part {
    fn lenient(value: Value) -> Option<Self> {
        let mut part = object(Some(value))?;
        Some(Self {
            text: field::<String>(&mut part, "text").map(|text| Wtf8(text.into_bytes())),
            thought: field(&mut part, "thought").unwrap_or_default(),
            function_call: field(&mut part, "functionCall"),
        })
    }
}

impl UsageMetadata {
    /// `None` when no count can be read: what was told before then still holds.
    fn lenient(usage: &Map<String, Value>) -> Option<Self> {
        let read = |name| count(usage, name);
        let counts = Self {
            prompt_token_count: read("promptTokenCount"),
            tool_use_prompt_token_count: read("toolUsePromptTokenCount"),
            candidates_token_count: read("candidatesTokenCount"),
            cached_content_token_count: read("cachedContentTokenCount"),
            thoughts_token_count: read("thoughtsTokenCount"),
            total_token_count: read("totalTokenCount"),
        };
        (counts != Self::default()).then_some(counts)
    }
}

fn object(value: Option<Value>) -> Option<Map<String, Value>> {
    match value? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn field<T: DeserializeOwned>(object: &mut Map<String, Value>, name: &str) -> Option<T> {
    serde_json::from_value(object.remove(name)?).ok()
}

fn count(object: &Map<String, Value>, name: &str) -> u64 {
    match object.get(name) {
        Some(Value::Number(number)) => number.as_u64().unwrap_or(0),
        Some(Value::String(digits)) => digits.parse().unwrap_or(0),
        _ => 0,
    }
}

impl From<UsageMetadata> for Usage {
    fn from(usage: UsageMetadata) -> Self {
        Self {
            input_tokens: usage.prompt_token_count.saturating_add(usage.tool_use_prompt_token_count),
            output_tokens: usage.candidates_token_count,
            cached_tokens: usage.cached_content_token_count,
            reasoning_tokens: usage.thoughts_token_count,
            total_tokens: usage.total_token_count,
            estimated: false,
        }
    }
}

/// A finish reason; the enumeration's zero is none. One that is not known is [`FinishReason::Other`].
pub(super) struct FinishWord(pub(super) Option<FinishReason>);

impl<'de> Deserialize<'de> for FinishWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer, |word| {
            Self(Some(match word {
                "" | "FINISH_REASON_UNSPECIFIED" => return Self(None),
                "STOP" => FinishReason::Stop,
                "MAX_TOKENS" => FinishReason::Length,
                "RECITATION" | "IMAGE_RECITATION" => FinishReason::Recitation,
                "SAFETY"
                | "BLOCKLIST"
                | "PROHIBITED_CONTENT"
                | "SPII"
                | "IMAGE_SAFETY"
                | "IMAGE_PROHIBITED_CONTENT" => FinishReason::ContentFilter,
                "MALFORMED_RESPONSE" => FinishReason::InvalidOutput,
                "MALFORMED_FUNCTION_CALL"
                | "UNEXPECTED_TOOL_CALL"
                | "TOO_MANY_TOOL_CALLS"
                | "MISSING_THOUGHT_SIGNATURE" => FinishReason::InvalidToolCall,
                "LANGUAGE" => FinishReason::Language,
                _ => FinishReason::Other,
            }))
        })
    }
}

/// The reason for which a prompt was blocked; the enumeration's zero says that it was not. A reason that is not known is
/// [`RefusalReason::Other`].
pub(super) struct BlockWord(pub(super) Option<RefusalReason>);

impl<'de> Deserialize<'de> for BlockWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer, |word| {
            Self(Some(match word {
                "" | "BLOCK_REASON_UNSPECIFIED" => return Self(None),
                "SAFETY" | "IMAGE_SAFETY" => RefusalReason::Safety,
                "BLOCKLIST" => RefusalReason::Blocklist,
                "PROHIBITED_CONTENT" => RefusalReason::ProhibitedContent,
                _ => RefusalReason::Other,
            }))
        })
    }
}

/// Reads a word of an enumeration.
fn word<'de, D: Deserializer<'de>, T>(deserializer: D, map: fn(&str) -> T) -> Result<T, D::Error> {
    std::borrow::Cow::<'de, str>::deserialize(deserializer).map(|word| map(&word))
}
