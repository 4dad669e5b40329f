//! HTTP to Google Gemini.

use std::borrow::Cow;

use shared::{
    api::models::Model,
    http::retry_after::retry_after_s,
    provider::{ModelRequest, ProviderFailure, gemini},
    telemetry::{TRACEPARENT, TraceContext},
};
use worker::Result;

use crate::{
    config::Config,
    log::Scope,
    platform::{self, HeaderLines, HttpCall, ResponseHead},
    telemetry::OpenSpan,
};

/// The most bytes of an error's body that are read.
pub(super) const ERROR_BYTES: usize = 64 * 1024;

/// The headers of a response with the time of a retry.
const WANTED: &[&str] = &["Retry-After", "Date"];

/// Begins the span of a call, by the semantic conventions of generative AI.
pub(super) fn span(config: &Config, model: &Model, scope: &Scope) -> OpenSpan {
    let mut span = OpenSpan::call(scope, || Cow::Owned(format!("chat {}", model.model)));
    if span.is_recorded() {
        span.set("gen_ai.operation.name", "chat");
        span.set("gen_ai.provider.name", "gcp.gemini");
        span.set("gen_ai.request.model", model.model);
        span.set("url.full", config.gemini_api_base.clone());
    }
    span
}

/// Begins a call, which is sent when this returns.
pub(super) fn begin(
    config: &Config,
    model: &Model,
    request: &ModelRequest,
    stream: bool,
    trace: Option<TraceContext>,
) -> Result<HttpCall> {
    let path =
        gemini::path(model.model, stream).ok_or("the registry holds a model with an impossible name")?;
    let mut headers = HeaderLines::default();
    headers.set("Content-Type", "application/json")?;
    headers.set(gemini::API_KEY_HEADER, &config.gemini_api_key)?;
    if let Some(trace) = trace {
        headers.set(TRACEPARENT, &trace.to_string())?;
    }
    let url = format!("{}{path}", config.gemini_api_base);
    Ok(HttpCall::begin("POST", &url, &headers, &gemini::request(request), WANTED))
}

/// Returns the failure of a response with another status.
pub(super) fn failure(head: &ResponseHead, body: &[u8]) -> ProviderFailure {
    let retry_after_s =
        head.get("Retry-After").and_then(|value| retry_after_s(value, head.get("Date"), platform::now()));
    gemini::classify(head.status, retry_after_s, body)
}
