//! HTTP to Google Gemini.

use shared::{
    api::models::Model,
    http::retry_after::retry_after_s,
    provider::{ModelRequest, ProviderFailure, gemini},
};
use worker::Result;

use crate::{
    config::Config,
    platform::{self, HeaderLines, HttpCall, ResponseHead},
};

/// Bytes of an error's body that are looked at.
pub(super) const ERROR_BYTES: usize = 64 * 1024;

/// Headers of an answer that say when to come again.
const WANTED: &[&str] = &["Retry-After", "Date"];

/// Begins a call: it is on its way when this returns.
pub(super) fn begin(
    config: &Config,
    model: &Model,
    request: &ModelRequest,
    stream: bool,
) -> Result<HttpCall> {
    let path =
        gemini::path(model.model, stream).ok_or("the registry holds a model with an impossible name")?;
    let mut headers = HeaderLines::default();
    headers.set("Content-Type", "application/json")?;
    headers.set(gemini::API_KEY_HEADER, &config.gemini_api_key)?;
    let url = format!("{}{path}", config.gemini_api_base);
    Ok(HttpCall::begin("POST", &url, &headers, &gemini::request(request), WANTED))
}

/// Returns the failure that an answer with another status is.
pub(super) fn failure(head: &ResponseHead, body: &[u8]) -> ProviderFailure {
    let retry_after_s =
        head.get("Retry-After").and_then(|value| retry_after_s(value, head.get("Date"), platform::now()));
    gemini::classify(head.status, retry_after_s, body)
}
