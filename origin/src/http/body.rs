//! Bodies: bounded, of the right media type, validated.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{
        HeaderMap,
        header::{CONTENT_ENCODING, CONTENT_TYPE},
    },
};
use bytes::{Bytes, BytesMut};
use garde::Validate;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use shared::{
    api::{
        ApiError, ErrorCode,
        body::{MAX_BODY_BYTES, parse, too_large},
        routes::{Found, find, max_body_bytes},
    },
    http::body::{BODY_SILENCE_MS, check_content_coding, cut_off, too_slow},
};
use tokio::time::timeout;

use super::Error;
use crate::app::App;

/// The most bytes beyond the limit of a body that are read and dropped, so that a client that is still sending can read the error
/// response instead of a broken connection.
const MAX_DRAINED_BYTES: usize = 8 * MAX_BODY_BYTES;
/// The timeout of a whole body, less than that of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// The timeout between two parts of a body.
const BODY_SILENCE: Duration = Duration::from_millis(BODY_SILENCE_MS);

/// A JSON body.
pub struct Json<T>(pub T);

impl<T> FromRequest<App> for Json<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Error;

    async fn from_request(request: Request, _: &App) -> Result<Self, Error> {
        Ok(Self(parse(&json(request).await?)?))
    }
}

/// A JSON body that may be absent: then it is the default.
pub struct OptionalJson<T>(pub T);

impl<T> FromRequest<App> for OptionalJson<T>
where
    T: Default + DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Error;

    async fn from_request(request: Request, _: &App) -> Result<Self, Error> {
        let body = json(request).await?;
        Ok(Self(if body.is_empty() { T::default() } else { parse(&body)? }))
    }
}

/// Reads the bytes of a JSON body. Only a body that is not empty needs a media type.
async fn json(request: Request) -> Result<Bytes, Error> {
    let is_json = has_media_type(request.headers(), "application/json");
    let body = read_request(request).await?;
    if body.is_empty() || is_json { Ok(body) } else { Err(ErrorCode::UnsupportedMediaType.into()) }
}

/// Refuses a body that is compressed.
pub fn check_coding(headers: &HeaderMap) -> Result<(), ApiError> {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .try_for_each(|value| check_content_coding(value.to_str().ok().or(Some("?"))))
}

/// Returns true when the body is declared to be of this media type.
pub fn has_media_type(headers: &HeaderMap, media_type: &str) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    declared.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}

/// Reads the body of a request, of at most as many bytes as its route takes.
///
/// # Errors
///
/// Fails as [`read`] does.
pub async fn read_request(request: Request) -> Result<Bytes, ApiError> {
    let route = match find(request.method().as_str(), request.uri().path()) {
        Found::Route(route, _) => Some(route),
        Found::OtherMethods { .. } | Found::Nothing => None,
    };
    read(request.into_body(), max_body_bytes(route, true)).await
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
///
/// Fails with [`ErrorCode::PayloadTooLarge`] over that, and with [`ErrorCode::InvalidRequest`] when it breaks off or does not
/// arrive in time.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    if body.size_hint().exact().is_some_and(|length| length > limit.saturating_add(MAX_DRAINED_BYTES) as u64)
    {
        return Err(too_large(limit));
    }
    timeout(BODY_TIMEOUT, read_frames(body, limit)).await.unwrap_or_else(|_| Err(too_slow()))
}

async fn read_frames(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = timeout(BODY_SILENCE, body.frame()).await.map_err(|_| too_slow())? {
        let Ok(data) = frame.map_err(|_| cut_off())?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > limit.saturating_add(MAX_DRAINED_BYTES) {
            break;
        }
        if length > limit {
            whole = BytesMut::new();
        } else if whole.is_empty() && body.is_end_stream() {
            // The usual case: one frame, which is not copied.
            return Ok(data);
        } else {
            whole.extend_from_slice(&data);
        }
    }
    if length > limit { Err(too_large(limit)) } else { Ok(whole.freeze()) }
}
