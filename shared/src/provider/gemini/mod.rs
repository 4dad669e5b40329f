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

mod decode;
mod encode;
mod error;
mod request;

pub use decode::{MAX_EVENT_BYTES, StreamDecoder, decode_response};
pub use encode::{Identity, encode_chunk, encode_error, encode_response};
pub use error::classify;
pub use request::{RequestError, parse_request, request};

/// The header that carries the API key.
pub const API_KEY_HEADER: &str = "x-goog-api-key";
/// Where Google serves the API; [`path`] follows it.
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
