//! Gemini's answer, streamed or whole, into events.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::WireError;
use crate::provider::{FinishReason, ModelEvent, ProviderFailure, RefusalReason, StreamEnd, Usage};
use crate::sse;

/// The bound on one event of a stream that fits every answer in words, in bytes.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// Reads the body of a `streamGenerateContent` call with status 200, in whatever pieces it comes.
///
/// Where Gemini breaks its own protocol and answers JSON instead of events (it does so with errors), that JSON is read
/// at the end. A failure is final: every later call returns it again.
#[derive(Debug, Clone)]
pub struct StreamDecoder {
    max_event_bytes: usize,
    body: Body,
    progress: Progress,
}

#[derive(Debug, Clone)]
enum Body {
    /// Nothing but blanks so far.
    Unknown,
    Events(sse::Decoder),
    Json(Vec<u8>),
    Failed(ProviderFailure),
}

impl Default for StreamDecoder {
    fn default() -> Self {
        Self::new(MAX_EVENT_BYTES)
    }
}

impl StreamDecoder {
    /// `max_event_bytes` bounds one event of the stream, or the whole of a body that is JSON.
    pub const fn new(max_event_bytes: usize) -> Self {
        Self { max_event_bytes, body: Body::Unknown, progress: Progress::new() }
    }

    /// Appends what these bytes complete to `out`; each chunk of Gemini's gives at most one [`ModelEvent::TextDelta`].
    ///
    /// # Errors
    /// Gemini's own error within the stream, [`ProviderFailure::Malformed`] or [`ProviderFailure::TooLarge`]. What was
    /// complete before it is in `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<ModelEvent>) -> Result<(), ProviderFailure> {
        let result = self.take(bytes, out);
        if let Err(failure) = result {
            self.body = Body::Failed(failure);
        }
        result
    }

    fn take(&mut self, mut bytes: &[u8], out: &mut Vec<ModelEvent>) -> Result<(), ProviderFailure> {
        if matches!(self.body, Body::Unknown) {
            let Some(start) = bytes.iter().position(|byte| !is_blank(*byte)) else { return Ok(()) };
            bytes = bytes.get(start..).unwrap_or_default();
            self.body = match bytes.first() {
                Some(b'{' | b'[') => Body::Json(Vec::new()),
                Some(b'<') => return Err(ProviderFailure::Malformed),
                _ => Body::Events(sse::Decoder::new(self.max_event_bytes)),
            };
        }
        match &mut self.body {
            Body::Unknown => Ok(()),
            Body::Failed(failure) => Err(*failure),
            Body::Json(body) if body.len().saturating_add(bytes.len()) > self.max_event_bytes => {
                Err(ProviderFailure::TooLarge)
            }
            Body::Json(body) => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            Body::Events(events) => {
                while let Some(frame) = events.read(&mut bytes).map_err(|_| ProviderFailure::TooLarge)? {
                    self.progress.chunk(frame.data.as_bytes(), out)?;
                }
                Ok(())
            }
        }
    }

    /// The body has ended: says how, and appends to `out` what only the end completes.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self, out: &mut Vec<ModelEvent>) -> Result<StreamEnd, ProviderFailure> {
        match std::mem::replace(&mut self.body, Body::Unknown) {
            Body::Failed(failure) => {
                self.body = Body::Failed(failure);
                return Err(failure);
            }
            Body::Json(body) => self.progress.body(&body, out)?,
            Body::Unknown | Body::Events(_) => {}
        }
        Ok(self.progress.end())
    }
}

/// Reads the body of a `generateContent` call with status 200.
///
/// # Errors
/// As [`StreamDecoder::push`]; a body over `max_bytes` is [`ProviderFailure::TooLarge`].
pub fn decode_response(
    body: &[u8],
    max_bytes: usize,
) -> Result<(Vec<ModelEvent>, StreamEnd), ProviderFailure> {
    if body.len() > max_bytes {
        return Err(ProviderFailure::TooLarge);
    }
    let mut events = Vec::new();
    let mut progress = Progress::new();
    progress.body(body, &mut events)?;
    Ok((events, progress.end()))
}

/// Blanks, and the bytes of a byte order mark.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xBB | 0xBF)
}

/// What must be remembered from chunk to chunk.
#[derive(Debug, Clone)]
struct Progress {
    refused: bool,
    called_tool: bool,
    finish: Option<FinishReason>,
}

impl Progress {
    const fn new() -> Self {
        Self { refused: false, called_tool: false, finish: None }
    }

    const fn end(&self) -> StreamEnd {
        match self.finish {
            _ if self.refused => StreamEnd::Refused,
            Some(reason) => StreamEnd::Completed(reason),
            None => StreamEnd::Incomplete,
        }
    }

    /// One chunk, or an array of them.
    fn body(&mut self, body: &[u8], out: &mut Vec<ModelEvent>) -> Result<(), ProviderFailure> {
        if body.trim_ascii_start().first() != Some(&b'[') {
            return self.chunk(body, out);
        }
        let chunks: Vec<Chunk> = serde_json::from_slice(body).map_err(|_| ProviderFailure::Malformed)?;
        chunks.into_iter().try_for_each(|chunk| self.apply(chunk, out))
    }

    fn chunk(&mut self, json: &[u8], out: &mut Vec<ModelEvent>) -> Result<(), ProviderFailure> {
        let chunk = serde_json::from_slice(json).map_err(|_| ProviderFailure::Malformed)?;
        self.apply(chunk, out)
    }

    fn apply(&mut self, chunk: Chunk, out: &mut Vec<ModelEvent>) -> Result<(), ProviderFailure> {
        if let Some(error) = chunk.error {
            return Err(error.in_stream());
        }
        if let Some(reason) = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason) {
            self.refused = true;
            out.push(ModelEvent::Refused(reason.0));
        }
        // EdgeChat asks for one candidate.
        let candidate = chunk.candidates.into_iter().flatten().find(|candidate| candidate.index == 0);
        let (content, finish) = candidate.map_or((None, None), |found| (found.content, found.finish_reason));
        self.parts(content.and_then(|content| content.parts).unwrap_or_default(), out);
        if let Some(usage) = chunk.usage_metadata {
            out.push(ModelEvent::Usage(usage.into()));
        }
        if let Some(FinishWord(reason)) = finish {
            let reason = match reason {
                FinishReason::Stop if self.called_tool => FinishReason::ToolCalls,
                reason => reason,
            };
            self.finish = Some(reason);
            out.push(ModelEvent::Finish(reason));
        }
        Ok(())
    }

    fn parts(&mut self, parts: Vec<Part>, out: &mut Vec<ModelEvent>) {
        let mut text = String::new();
        let mut calls = Vec::new();
        for part in parts.into_iter().filter(|part| !part.thought) {
            match part.text {
                Some(piece) if text.is_empty() => text = piece,
                Some(piece) => text.push_str(&piece),
                None => {}
            }
            calls.extend(part.function_call);
        }
        if !text.is_empty() {
            out.push(ModelEvent::TextDelta(text));
        }
        self.called_tool |= !calls.is_empty();
        out.extend(calls.into_iter().map(|FunctionCall { id, name, args }| {
            let arguments = args.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            ModelEvent::ToolCall { id, name, arguments }
        }));
    }
}

/// `GenerateContentResponse`, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<UsageMetadata>,
    error: Option<WireError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    index: u32,
    content: Option<Content>,
    finish_reason: Option<FinishWord>,
}

#[derive(Deserialize)]
struct Content {
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    function_call: Option<FunctionCall>,
}

#[derive(Deserialize)]
struct FunctionCall {
    id: Option<String>,
    name: String,
    args: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<BlockWord>,
}

#[expect(clippy::struct_field_names, reason = "the names are Gemini's")]
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct UsageMetadata {
    prompt_token_count: u64,
    tool_use_prompt_token_count: u64,
    candidates_token_count: u64,
    cached_content_token_count: u64,
    thoughts_token_count: u64,
    total_token_count: u64,
}

impl From<UsageMetadata> for Usage {
    fn from(usage: UsageMetadata) -> Self {
        Self {
            input_tokens: usage.prompt_token_count.saturating_add(usage.tool_use_prompt_token_count),
            output_tokens: usage.candidates_token_count,
            cached_tokens: usage.cached_content_token_count,
            reasoning_tokens: usage.thoughts_token_count,
            total_tokens: usage.total_token_count,
        }
    }
}

struct FinishWord(FinishReason);

impl<'de> Deserialize<'de> for FinishWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer, |word| {
            Self(match word {
                "STOP" => FinishReason::Stop,
                "MAX_TOKENS" => FinishReason::Length,
                "SAFETY"
                | "RECITATION"
                | "BLOCKLIST"
                | "PROHIBITED_CONTENT"
                | "SPII"
                | "IMAGE_SAFETY"
                | "IMAGE_PROHIBITED_CONTENT"
                | "IMAGE_RECITATION" => FinishReason::ContentFilter,
                _ => FinishReason::Other,
            })
        })
    }
}

struct BlockWord(RefusalReason);

impl<'de> Deserialize<'de> for BlockWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer, |word| {
            Self(match word {
                "SAFETY" | "IMAGE_SAFETY" => RefusalReason::Safety,
                "BLOCKLIST" => RefusalReason::Blocklist,
                "PROHIBITED_CONTENT" => RefusalReason::ProhibitedContent,
                _ => RefusalReason::Other,
            })
        })
    }
}

/// Reads a word of an enumeration without keeping it.
fn word<'de, D: Deserializer<'de>, T>(deserializer: D, map: fn(&str) -> T) -> Result<T, D::Error> {
    struct Word<T>(fn(&str) -> T);
    impl<T> Visitor<'_> for Word<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a word")
        }

        fn visit_str<E: Error>(self, word: &str) -> Result<T, E> {
            Ok((self.0)(word))
        }
    }
    deserializer.deserialize_str(Word(map))
}
