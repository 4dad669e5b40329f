//! Google Gemini's REST API, version v1beta, both ways: EdgeChat speaks it to Google, and reads it where it is spoken
//! to in Gemini's words (the scripted provider of the tests, Gemini's own SDKs).
//!
//! Source: ai.google.dev/api/generate-content. Unknown fields are read past and unknown words of an enumeration are
//! kept apart, because Google adds both without notice.
//!
//! - [`request`], [`parse_request`]: the body of a call
//! - [`path`], [`parse_path`], [`API_KEY_HEADER`]: where it goes
//! - [`StreamDecoder`], [`decode_response`]: the answer, streamed or whole
//! - [`classify`]: an answer that is an error
//! - [`encode_chunk`], [`encode_response`], [`encode_error`]: the same answers, written
//!
//! # Tolerant places
//! Each costs at most itself; the words of everything else are whole.
//! - an event that is no JSON, is cut short, or is another kind of JSON than a chunk
//! - a field that is `null`, absent, unknown, or of another kind than documented; an item of a list likewise; counts that
//!   are strings (ProtoJSON writes 64-bit numbers so)
//! - an unknown name of an enumeration; the enumeration's zero is none
//! - empty events, comments, `[DONE]`, several chunks or a list of them in one event, a byte order mark
//! - halves of a surrogate pair in two strings (joined), or alone (U+FFFD); bytes that are not UTF-8 (U+FFFD)
//! - text beside the events: read at the end as one more event, an error or an answer
//! - JSON in place of events; an error that is no object, or that the end of the stream cuts off
//! - a connection that stays open after the model has finished ([`StreamDecoder::finished`])
//!
//! # Intolerant places
//! - an error, wherever it stands and whatever came before it: the answer ends with it
//! - a page of HTML in place of events ([`ProviderFailure::Malformed`](super::ProviderFailure::Malformed))
//! - an event or a body over its bound ([`ProviderFailure::TooLarge`](super::ProviderFailure::TooLarge))
//! - something that could not be read where nothing said how the answer ended (`Malformed`)
//! - an answer in the event that the end of the stream cuts off: it may lack its last words

mod chunk;
mod decode;
mod encode;
mod error;
mod request;
mod words;

pub use decode::{Finished, MAX_EVENT_BYTES, StreamDecoder, decode_response};
pub use encode::{Identity, encode_chunk, encode_error, encode_response};
pub use error::classify;
pub use request::{RequestError, parse_request, request};

/// The header that carries the API key.
pub const API_KEY_HEADER: &str = "x-goog-api-key";
/// The address at which Google serves the API; [`path`] follows it.
pub const DEFAULT_BASE: &str = "https://generativelanguage.googleapis.com";

const PREFIX: &str = "/v1beta/models/";
const MAX_MODEL_NAME_BYTES: usize = 128;

/// Path and query of the call that asks `model`, streamed or whole. `None` when `model` is not a model name: then it
/// could name another path.
pub fn path(model: &str, stream: bool) -> Option<String> {
    let method = if stream { ":streamGenerateContent?alt=sse" } else { ":generateContent" };
    is_model_name(model).then(|| [PREFIX, model, method].concat())
}

/// The model a path (without its query) asks, and whether its answer is to be streamed.
pub fn parse_path(path: &str) -> Option<(&str, bool)> {
    let (model, method) = path.strip_prefix(PREFIX)?.split_once(':')?;
    let stream = match method {
        "streamGenerateContent" => true,
        "generateContent" => false,
        _ => return None,
    };
    is_model_name(model).then_some((model, stream))
}

fn is_model_name(name: &str) -> bool {
    (1..=MAX_MODEL_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests;
