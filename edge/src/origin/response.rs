//! Responses of the origin: checked to be its own, and passed on to a client.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use shared::{
    api::error::PROBLEM_CONTENT_TYPE,
    http::headers::{MISSING_CONSENTS, SIGNATURE_ERROR, USER_EVENTS},
};
use wasm_bindgen_futures::JsFuture;
use worker::{FixedLengthStream, Response, Result, worker_sys};

use super::{Call, OriginError};
use crate::platform::{self, AbortOnDrop, ResponseHead};

/// The longest response that is buffered before it is forwarded to a client: if it breaks, the client gets an error and not a
/// part of it.
const MAX_BUFFERED_BYTES: u64 = 64 * 1024;
/// The headers that show whether a response is the origin's own, and what it says about its user.
pub(super) const JUDGED: &[&str] = &[SIGNATURE_ERROR, "Content-Type", MISSING_CONSENTS];
/// The same, for one that is passed on.
pub(super) const FORWARDED: &[&str] =
    &[SIGNATURE_ERROR, USER_EVENTS, MISSING_CONSENTS, "Content-Type", "Content-Length"];

/// Makes a response for a client of a fetched one. A short body is read first: if it breaks off, the client gets an error and
/// not half of it.
pub(super) async fn buffered(
    call: &Call<'_>,
    response: web_sys::Response,
    head: &ResponseHead,
    abort: AbortOnDrop,
) -> std::result::Result<web_sys::Response, OriginError> {
    let length: Option<u64> = head.get("Content-Length").and_then(|length| length.parse().ok());
    if call.method == "HEAD" || matches!(head.status, 204 | 304) || length == Some(0) {
        abort.disarm();
        return Ok(platform::own(&response)?);
    }
    if length.is_some_and(|length| length <= MAX_BUFFERED_BYTES) {
        let whole = JsFuture::from(response.array_buffer().map_err(worker::Error::from)?);
        let body = timeout(call.timeout, whole).await.ok_or(OriginError::Timeout(call.timeout))?;
        abort.disarm();
        return Ok(platform::own_with_body(&response, &body.map_err(worker::Error::from)?)?);
    }
    let headers = response.headers();
    let pieces = pieces(response, abort, call.timeout)?;
    let builder = Response::builder().with_status(head.status).with_headers(worker::Headers(headers));
    Ok(match length {
        Some(length) => {
            let sized: worker_sys::FixedLengthStream = FixedLengthStream::wrap(pieces, length).into();
            builder.stream(sized.readable())
        }
        None => builder.from_stream(pieces)?,
    }
    .into())
}

/// Checks that a response is the origin's own.
pub(super) fn judge<'a>(
    method: &str,
    status: u16,
    header: impl Fn(&str) -> Option<&'a str>,
) -> std::result::Result<(), OriginError> {
    if let Some(reason) = header(SIGNATURE_ERROR) {
        return Err(OriginError::SignatureRefused(reason.to_owned()));
    }
    let is_ours = header("Content-Type").is_some_and(|media_type| {
        media_type.starts_with(PROBLEM_CONTENT_TYPE) || media_type.starts_with("application/json")
    });
    if (502..=504).contains(&status) && !is_ours && method != "HEAD" {
        return Err(OriginError::Gateway(status));
    }
    Ok(())
}

/// Streams the chunks of a response's body.
fn pieces(
    response: web_sys::Response,
    abort: AbortOnDrop,
    silence: Duration,
) -> Result<impl futures_util::Stream<Item = Result<Vec<u8>>> + 'static> {
    let body = Response::from(response).stream()?;
    Ok(stream::unfold(Some((body, abort)), move |state| async move {
        let (mut body, abort) = state?;
        match timeout(silence, body.next()).await {
            Some(Some(Ok(piece))) => Some((Ok(piece), Some((body, abort)))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => {
                abort.disarm();
                None
            }
            None => Some((Err(OriginError::Timeout(silence).into()), None)),
        }
    }))
}

/// Waits for a future for at most this long.
pub(super) async fn timeout<F: Future>(limit: Duration, waited: F) -> Option<F::Output> {
    platform::timeout(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), waited).await
}
