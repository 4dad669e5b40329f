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

/// The most bytes of an error's body that are read.
pub(super) const ERROR_BYTES: usize = 64 * 1024;

/// The headers of a response with the time of a retry.
const WANTED: &[&str] = &["Retry-After", "Date"];

/// Begins a call, which is sent when this returns.
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

/// Returns the failure of a response with another status.
pub(super) fn failure(head: &ResponseHead, body: &[u8]) -> ProviderFailure {
    let retry_after_s =
        head.get("Retry-After").and_then(|value| retry_after_s(value, head.get("Date"), platform::now()));
    gemini::classify(head.status, retry_after_s, body)
}
