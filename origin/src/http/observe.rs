//! The outermost layer: gives a request its id, renders every error in the one form, counts it, ends its span and logs one line.
//!
//! The line has allow-listed fields only: no query, no header, no body, no address, no e-mail.

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    response::Response,
};
use opentelemetry::context::FutureExt as _;
use shared::{
    api::{ApiError, ErrorCode, error::PROBLEM_CONTENT_TYPE},
    http::{
        headers::{SIGNATURE_ERROR, X_REQUEST_ID},
        request_id,
    },
};
use tracing::Instrument as _;

use super::Error;
use crate::{
    app::App,
    telemetry::{metrics::metrics, traces},
};

/// The id of a request, for handlers.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// The layer.
pub async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = app.clock.elapsed();
    let id = request_id::accept(request.headers().get(X_REQUEST_ID).and_then(|value| value.to_str().ok()))
        .map_or_else(|| app.random.id(app.clock.now()).to_string(), str::to_owned);
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str);
    let trace = traces::begin_request(request.headers(), &method, route);
    let trace_id = traces::recorded_trace(&trace);
    let span = tracing::info_span!("request", request_id = id, trace_id);

    let response = next.run(request).with_context(trace.clone()).instrument(span).await;
    let (mut response, code, reason) = render(response, &id);
    set_defaults(&mut response, &id);

    let status = response.status().as_u16();
    let latency = app.clock.elapsed().saturating_sub(started);
    let code = code.map(ErrorCode::as_str);
    metrics().count_request(&method, route, status, latency);
    traces::end_request(&trace, status, code);
    let latency_ms = latency.as_secs_f64() * 1_000.0;
    // A wrong signature is our own parts' trouble, whatever the caller is told.
    if status >= 500 || response.headers().contains_key(SIGNATURE_ERROR) {
        tracing::error!(request_id = id, trace_id, %method, route, status, latency_ms, code, reason, "request");
    } else {
        tracing::info!(request_id = id, trace_id, %method, route, status, latency_ms, code, reason, "request");
    }
    response
}

/// Turns errors into a problem body. A response that has a body of its own, JSON or a page for people, is left as it is.
fn render(response: Response, request_id: &str) -> (Response, Option<ErrorCode>, Option<String>) {
    if response.status().as_u16() < 400 {
        return (response, None, None);
    }
    let (error, reason) = match response.extensions().get::<Arc<Error>>() {
        Some(error) => (error.to_api_error(), error.reason().map(Cow::into_owned)),
        None if has_own_body(&response) => return (response, None, None),
        None => (Error::from(of_status(response.status())).to_api_error(), None),
    };
    let signature_error = match response.extensions().get::<Arc<Error>>().map(AsRef::as_ref) {
        Some(Error::Signature(error)) => HeaderValue::try_from(error.to_string()).ok(),
        _ => None,
    };
    let code = error.code;
    let mut rendered = problem(&error, &response, request_id);
    if let Some(reason) = signature_error {
        rendered.headers_mut().insert(SIGNATURE_ERROR, reason);
    }
    (rendered, Some(code), reason)
}

/// Returns the error of a rejection by the framework: an unknown path, a wrong method, a timeout.
fn of_status(status: StatusCode) -> ErrorCode {
    match status {
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Overloaded,
        status if status.is_client_error() => ErrorCode::InvalidRequest,
        _ => ErrorCode::Internal,
    }
}

fn has_own_body(response: &Response) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    media_type.starts_with(b"application/json") || media_type.starts_with(b"text/html")
}

fn problem(error: &ApiError, failed: &Response, request_id: &str) -> Response {
    // Only numbers, codes and sentences go in, so this cannot fail.
    let body = serde_json::to_vec(&error.problem(request_id)).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = super::error::status(error.code);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_CONTENT_TYPE));
    for (name, value) in error.headers() {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value))
        {
            headers.insert(name, value);
        }
    }
    for name in [ALLOW, HeaderName::from_static("x-edgechat-user-events")] {
        if let Some(value) = failed.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    response
}

fn set_defaults(response: &mut Response, request_id: &str) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
