//! Bodies: bounded, of the right media type, validated.

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use bytes::{Bytes, BytesMut};
use garde::Validate;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use shared::api::{
    ApiError, ErrorCode,
    body::{MAX_BODY_BYTES, parse, too_large},
};

use super::Failure;
use crate::app::App;

/// How much more than the limit of a body is read and dropped, so that a client that is still sending gets to read why it was
/// refused instead of a broken connection.
const MAX_DRAINED_BYTES: usize = 8 * MAX_BODY_BYTES;

/// A JSON body.
pub struct Json<T>(pub T);

impl<T> FromRequest<App> for Json<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, _: &App) -> Result<Self, Failure> {
        if !has_media_type(request.headers(), "application/json") {
            return Err(ErrorCode::UnsupportedMediaType.into());
        }
        let body = read(request.into_body(), MAX_BODY_BYTES).await?;
        Ok(Self(parse(&body)?))
    }
}

/// Whether the body is declared to be of this media type.
pub fn has_media_type(headers: &HeaderMap, media_type: &str) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    declared.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}

/// Reads a body of at most `limit` bytes.
///
/// Errors: [`ErrorCode::PayloadTooLarge`] over that, [`ErrorCode::InvalidRequest`] when it breaks off.
pub async fn read(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::new(ErrorCode::InvalidRequest, "The body breaks off"))?;
        let Ok(data) = frame.into_data() else { continue };
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
    if length > limit { Err(too_large()) } else { Ok(whole.freeze()) }
}
