//! HTTP to Google Gemini.

use js_sys::Uint8Array;
use shared::{
    http::retry_after::retry_after_s,
    provider::{ModelRequest, ProviderFailure, gemini, registry::Model},
};
use wasm_bindgen_futures::JsFuture;
use worker::{Headers, Response, Result};

use crate::{config::Config, platform};

/// Bytes of an error's body that are looked at.
const ERROR_BYTES: usize = 64 * 1024;

/// Begins a call: it is on its way when this returns.
pub(super) fn begin(
    config: &Config,
    model: &Model,
    request: &ModelRequest,
    stream: bool,
    signal: Option<&web_sys::AbortSignal>,
) -> Result<JsFuture> {
    let path =
        gemini::path(model.model, stream).ok_or("the registry holds a model with an impossible name")?;
    let headers = Headers::new();
    headers.set("Content-Type", "application/json")?;
    headers.set(gemini::API_KEY_HEADER, &config.gemini_api_key)?;
    let body = Uint8Array::from(gemini::request(request).as_slice());
    let url = format!("{}{path}", config.gemini_api_base);
    let request = platform::outbound(&url, "POST", &headers, Some(body.into()))?;
    Ok(platform::begin_fetch(&request, signal))
}

/// The answer to a call that was begun, its body unread; or what its failure means.
pub(super) async fn answered(call: JsFuture) -> std::result::Result<Response, ProviderFailure> {
    let mut response = platform::fetched(call).await.map_err(|_| ProviderFailure::Disconnected)?;
    let status = response.status_code();
    if status == 200 {
        return Ok(response);
    }
    let header = |name: &str| response.headers().get(name).ok().flatten();
    let retry_after_s = header("Retry-After")
        .and_then(|value| retry_after_s(&value, header("Date").as_deref(), platform::now()));
    let body = platform::read_some(&mut response, ERROR_BYTES).await;
    Err(gemini::classify(status, retry_after_s, &body))
}
