//! A response that is encoded already, so that a cached value is sent as it is.

use axum::{
    body::Body,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::Error;

/// JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(pub Vec<u8>);

impl Encoded {
    /// The encoded value.
    pub fn of(value: &impl Serialize) -> Result<Self, Error> {
        serde_json::to_vec(value).map(Self).map_err(|error| Error::Internal(error.to_string()))
    }
}

impl IntoResponse for Encoded {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.0));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
