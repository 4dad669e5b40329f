//! Gemini's answers, written: what Gemini would have said for these events.

use std::num::NonZeroU64;

use serde::Serialize;
use serde_json::Value;

use super::error::status_of;
use crate::provider::{FinishReason, ModelEvent, RefusalReason, Usage};

/// The fields that Gemini repeats in every chunk of one answer.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// The provider's id of the model that answers.
    pub model_version: &'a str,
    /// The answer's id.
    pub response_id: &'a str,
}

/// Appends these events to a stream as one chunk (`data: {…}` and a blank line, line ends as Google sends them).
pub fn encode_chunk(out: &mut Vec<u8>, identity: Identity<'_>, events: &[ModelEvent]) {
    out.extend_from_slice(b"data: ");
    write(out, identity, events);
    out.extend_from_slice(b"\r\n\r\n");
}

/// The body of an answer that is not streamed.
pub fn encode_response(identity: Identity<'_>, events: &[ModelEvent]) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, identity, events);
    out
}

/// The body of an error with this HTTP status.
pub fn encode_error(status: u16, message: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: Error<'a>,
    }
    #[derive(Serialize)]
    struct Error<'a> {
        code: u16,
        message: &'a str,
        status: &'static str,
    }
    let envelope = Envelope { error: Error { code: status, message, status: status_of(status) } };
    // Writing into memory cannot fail, and every key is a string.
    serde_json::to_vec(&envelope).unwrap_or_default()
}

fn write(out: &mut Vec<u8>, Identity { model_version, response_id }: Identity<'_>, events: &[ModelEvent]) {
    let mut parts = Vec::new();
    let mut chunk =
        Chunk { candidates: None, prompt_feedback: None, usage_metadata: None, model_version, response_id };
    let mut finish_reason = None;
    for event in events {
        match event {
            ModelEvent::TextDelta(text) => parts.push(Part::Text(text)),
            ModelEvent::ToolCall { id, name, arguments } => {
                parts.push(Part::FunctionCall { id: id.as_deref(), name, args: arguments });
            }
            ModelEvent::Refused(reason) => {
                chunk.prompt_feedback = Some(PromptFeedback { block_reason: block_word(*reason) });
            }
            ModelEvent::Usage(usage) => chunk.usage_metadata = Some((*usage).into()),
            ModelEvent::Finish(reason) => finish_reason = Some(finish_word(*reason)),
        }
    }
    if finish_reason.is_some() || !parts.is_empty() {
        let content = Content { parts, role: "model" };
        chunk.candidates = Some([Candidate { content, finish_reason, index: 0 }]);
    }
    // Writing into memory cannot fail, and every key is a string.
    out.extend(serde_json::to_vec(&chunk).unwrap_or_default());
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates: Option<[Candidate<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_feedback: Option<PromptFeedback>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_metadata: Option<UsageMetadata>,
    model_version: &'a str,
    response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'static str>,
    index: u32,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part<'a>>,
    role: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Part<'a> {
    Text(&'a str),
    FunctionCall {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        name: &'a str,
        args: &'a Value,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: &'static str,
}

/// Gemini leaves counts of zero out.
#[expect(clippy::struct_field_names, reason = "the names are Gemini's")]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates_token_count: Option<NonZeroU64>,
    total_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content_token_count: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<NonZeroU64>,
}

impl From<Usage> for UsageMetadata {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_token_count: usage.input_tokens,
            candidates_token_count: NonZeroU64::new(usage.output_tokens),
            total_token_count: usage.total_tokens,
            cached_content_token_count: NonZeroU64::new(usage.cached_tokens),
            thoughts_token_count: NonZeroU64::new(usage.reasoning_tokens),
        }
    }
}

const fn finish_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::ToolCalls => "STOP",
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter => "SAFETY",
        FinishReason::Recitation => "RECITATION",
        FinishReason::InvalidOutput => "MALFORMED_RESPONSE",
        FinishReason::InvalidToolCall => "MALFORMED_FUNCTION_CALL",
        FinishReason::Language => "LANGUAGE",
        FinishReason::Other | FinishReason::Unknown(_) => "OTHER",
    }
}

const fn block_word(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Safety => "SAFETY",
        RefusalReason::Blocklist => "BLOCKLIST",
        RefusalReason::ProhibitedContent => "PROHIBITED_CONTENT",
        RefusalReason::Other => "OTHER",
    }
}
