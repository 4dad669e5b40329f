//! Idempotency keys: the client's name for a request that it may send again.

use axum::{extract::FromRequestParts, http::request::Parts};
use shared::http::{accept, headers::IDEMPOTENCY_KEY};

use super::Error;
use crate::app::App;

/// The `Idempotency-Key` of a request, where there is one. One of a wrong form is refused, and so are two.
pub struct IdempotencyKey(pub Option<String>);

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let sent: Vec<_> = parts
            .headers
            .get_all(IDEMPOTENCY_KEY)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let sent = (!sent.is_empty()).then(|| sent.join(", "));
        Ok(Self(accept::idempotency_key(sent.as_deref(), None)?))
    }
}
