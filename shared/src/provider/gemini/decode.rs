//! Gemini's answer, streamed or whole, into events.

use serde_json::{Map, Value};

use super::{
    chunk::{Chunk, Content, FunctionCall, Part},
    error::WireError,
    words::{Joiner, without_lone_halves},
};
use crate::{
    provider::{FinishReason, ModelEvent, ProviderFailure, RefusalReason, StreamEnd},
    sse,
};

/// The bound on one event of a stream that fits every answer in words, in bytes.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// The last event of other providers, and of proxies with them.
const DONE: &[u8] = b"[DONE]";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads the body of a `streamGenerateContent` call with status 200, in whatever pieces it comes.
///
/// If Gemini breaks its own protocol and answers JSON instead of events (it does so with errors), or has text beside
/// its events, that is read at the end. An event that cannot be read is passed over; where nothing said how the answer
/// ended, that is then the failure. A failure is final: every later call returns it again.
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
    pub fn new(max_event_bytes: usize) -> Self {
        Self { max_event_bytes, body: Body::Unknown, progress: Progress::default() }
    }

    /// Appends what these bytes complete to `out`; each chunk of Gemini's gives at most one [`ModelEvent::TextDelta`].
    ///
    /// # Errors
    /// Gemini's own error within the stream, [`ProviderFailure::Malformed`] for a page of HTML, or
    /// [`ProviderFailure::TooLarge`]. What was complete before it is in `out`.
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
                    self.progress.event(frame.data.as_bytes(), out)?;
                }
                Ok(())
            }
        }
    }

    /// The finish reason that came, and whether any usage did. Nothing more is needed then, though usage or words may follow.
    pub const fn finished(&self) -> Option<Finished> {
        match self.progress.finish {
            Some(_) => Some(Finished { counted: self.progress.counted }),
            None => None,
        }
    }

    /// The body has ended: says how, and appends to `out` what only the end completes.
    ///
    /// # Errors
    /// As [`Self::push`], and [`ProviderFailure::Malformed`] when something could not be read and nothing said how the
    /// answer ended.
    pub fn finish(&mut self, out: &mut Vec<ModelEvent>) -> Result<StreamEnd, ProviderFailure> {
        let result = match std::mem::replace(&mut self.body, Body::Unknown) {
            Body::Failed(failure) => Err(failure),
            Body::Json(body) => self.progress.event(&body, out),
            Body::Unknown => Ok(()),
            Body::Events(events) => self.progress.rest(&events.beside(), &events.cut_off(), out),
        };
        let end = result.and_then(|()| self.progress.end(out));
        if let Err(failure) = end {
            self.body = Body::Failed(failure);
        }
        end
    }
}

/// An answer whose model has said why it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// True when the usage came as well.
    pub counted: bool,
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
    if body.iter().all(|byte| is_blank(*byte)) {
        return Err(ProviderFailure::Malformed);
    }
    let mut events = Vec::new();
    let mut progress = Progress::default();
    progress.event(body, &mut events)?;
    let end = progress.end(&mut events)?;
    Ok((events, end))
}

/// Blanks, and the bytes of a byte order mark.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xBB | 0xBF)
}

/// The state from chunk to chunk.
#[derive(Debug, Clone, Default)]
struct Progress {
    refused: Option<RefusalReason>,
    called_tool: bool,
    counted: bool,
    /// True when something could not be read.
    unreadable: bool,
    finish: Option<FinishReason>,
    words: Joiner,
}

impl Progress {
    fn end(&mut self, out: &mut Vec<ModelEvent>) -> Result<StreamEnd, ProviderFailure> {
        let text = self.words.join([], true);
        if !text.is_empty() {
            out.push(ModelEvent::TextDelta(text));
        }
        match self.finish {
            _ if self.refused.is_some() => Ok(StreamEnd::Refused),
            Some(reason) => Ok(StreamEnd::Completed(reason)),
            None if self.unreadable => Err(ProviderFailure::Malformed),
            None => Ok(StreamEnd::Incomplete),
        }
    }

    /// Reads one event: a chunk, several, or a list of them.
    fn event(&mut self, json: &[u8], out: &mut Vec<ModelEvent>) -> Result<(), ProviderFailure> {
        let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json).trim_ascii();
        if json.is_empty() || json == DONE {
            return Ok(());
        }
        // A list is no chunk, though serde would take its items for the fields.
        if json.starts_with(b"{")
            && let Ok(chunk) = serde_json::from_slice::<Chunk>(json)
        {
            return self.apply(chunk, out);
        }
        let json = without_lone_halves(json);
        for value in serde_json::Deserializer::from_slice(&json).into_iter::<Value>() {
            match value {
                Ok(value) => self.value(value, out)?,
                Err(_) => self.unreadable = true,
            }
        }
        Ok(())
    }

    fn value(&mut self, value: Value, out: &mut Vec<ModelEvent>) -> Result<(), ProviderFailure> {
        let items = match value {
            Value::Array(items) => items,
            other => vec![other],
        };
        for item in items {
            match item {
                Value::Object(chunk) => self.apply(Chunk::lenient(chunk), out)?,
                _ => self.unreadable = true,
            }
        }
        Ok(())
    }

    /// Reads the text beside the events, and the event that the end of the body cut off. Of that an error counts;
    /// an answer may lack its last words.
    fn rest(
        &mut self,
        beside: &[u8],
        cut_off: &[u8],
        out: &mut Vec<ModelEvent>,
    ) -> Result<(), ProviderFailure> {
        self.event(beside, out)?;
        match serde_json::from_slice::<Map<String, Value>>(cut_off) {
            Ok(mut chunk) => match chunk.remove("error").and_then(WireError::lenient) {
                Some(error) => Err(error.in_stream()),
                None => Ok(()),
            },
            Err(_) => Ok(()),
        }
    }

    fn apply(&mut self, chunk: Chunk, out: &mut Vec<ModelEvent>) -> Result<(), ProviderFailure> {
        if let Some(error) = chunk.error {
            return Err(error.in_stream());
        }
        let blocked = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason);
        if let Some(reason) = blocked.and_then(|word| word.0) {
            self.refused = Some(reason);
            out.push(ModelEvent::Refused(reason));
        }
        // EdgeChat asks for one candidate.
        let candidate = chunk.candidates.into_iter().flatten().find(|candidate| candidate.index == 0);
        let (content, finish) = candidate.map_or((None, None), |found| (found.content, found.finish_reason));
        let finish = finish.and_then(|word| word.0);
        let parts = content.and_then(|Content { parts }| parts);
        self.parts(parts.unwrap_or_default(), finish.is_some(), out);
        if let Some(usage) = chunk.usage_metadata {
            self.counted = true;
            out.push(ModelEvent::Usage(usage.into()));
        }
        if let Some(reason) = finish {
            let reason = match reason {
                FinishReason::Stop if self.called_tool => FinishReason::ToolCalls,
                reason => reason,
            };
            self.finish = Some(reason);
            out.push(ModelEvent::Finish(reason));
        }
        Ok(())
    }

    fn parts(&mut self, parts: Vec<Part>, last: bool, out: &mut Vec<ModelEvent>) {
        let mut texts = Vec::new();
        let mut calls = Vec::new();
        for part in parts.into_iter().filter(|part| !part.thought) {
            texts.extend(part.text);
            calls.extend(part.function_call);
        }
        let text = self.words.join(texts, last);
        if !text.is_empty() {
            out.push(ModelEvent::TextDelta(text));
        }
        self.called_tool |= !calls.is_empty();
        out.extend(calls.into_iter().map(|FunctionCall { id, name, args }| {
            let arguments = args.unwrap_or_else(|| Value::Object(Map::new()));
            ModelEvent::ToolCall { id, name, arguments }
        }));
    }
}
