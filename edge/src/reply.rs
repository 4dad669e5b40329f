//! The only place that turns errors and values into responses.

use serde::Serialize;
use shared::{
    api::{ApiError, ErrorCode, error::PROBLEM_CONTENT_TYPE},
    limits::platform::is_refusal,
};
use worker::{Headers, Response, ResponseBuilder, Result};

use crate::log::Scope;

/// The seconds after which a client may retry when the platform refuses work.
const REFUSAL_RETRY_S: u64 = 30;

/// The error of a request.
#[derive(Debug)]
pub enum Error {
    /// An error for the client.
    Client(ApiError),
    /// An internal error, of which the client gets no details.
    Internal(worker::Error),
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Client(error)
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::Client(code.into())
    }
}

impl From<worker::Error> for Error {
    fn from(error: worker::Error) -> Self {
        Self::Internal(error)
    }
}

impl Error {
    /// Returns the error for the client. An internal error is logged here, once: `what` failed.
    pub fn for_client(self, what: &str, scope: &Scope) -> ApiError {
        let error = match self {
            Self::Client(error) => return error,
            Self::Internal(error) => error.to_string(),
        };
        scope.error(what, &error);
        if is_refusal(&error) {
            return ApiError::from(ErrorCode::Overloaded).retry_after(REFUSAL_RETRY_S);
        }
        ErrorCode::Internal.into()
    }
}

/// Returns the response of a request, or its error as a problem.
pub fn answer<R: From<Response>>(served: std::result::Result<R, Error>, scope: &Scope) -> Result<R> {
    match served {
        Ok(response) => Ok(response),
        Err(error) => Ok(problem(&error.for_client("the request failed", scope), scope.request_id())?.into()),
    }
}

/// Encodes an error as a problem body.
pub fn problem(error: &ApiError, request_id: &str) -> Result<Response> {
    let headers = Headers::new();
    headers.set("Content-Type", PROBLEM_CONTENT_TYPE)?;
    headers.set("Cache-Control", "no-store")?;
    for (name, value) in error.headers() {
        headers.set(name, &value)?;
    }
    let body = serde_json::to_vec(&error.problem(request_id))?;
    Ok(ResponseBuilder::new().with_status(error.code.status()).with_headers(headers).fixed(body))
}

/// Encodes a value as JSON.
pub fn json<T: Serialize>(status: u16, value: &T) -> Result<Response> {
    let headers = Headers::new();
    headers.set("Content-Type", "application/json")?;
    headers.set("Cache-Control", "no-store")?;
    Ok(ResponseBuilder::new().with_status(status).with_headers(headers).fixed(serde_json::to_vec(value)?))
}

/// Builds the response of encoded server-sent events.
pub fn events(headers: &[(&str, &str)]) -> Result<ResponseBuilder> {
    let all = Headers::new();
    all.set("Content-Type", "text/event-stream; charset=utf-8")?;
    // A proxy that compresses or rewrites delays events (RFC 9111, section 5.2.2.6).
    all.set("Cache-Control", "no-store, no-transform")?;
    all.set("X-Accel-Buffering", "no")?;
    for (name, value) in headers {
        all.set(name, value)?;
    }
    Ok(ResponseBuilder::new().with_headers(all))
}
