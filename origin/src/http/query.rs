//! Query strings, validated like bodies: a wrong parameter is a 422 that names it.

use axum::{extract::FromRequestParts, http::request::Parts};
use garde::Validate;
use serde::de::DeserializeOwned;
use shared::api::body::parse_pairs;

use super::Error;
use crate::app::App;

/// The parameters of the query string.
pub struct Query<T>(pub T);

impl<T> FromRequestParts<App> for Query<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        Ok(Self(parse_pairs(form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()))?))
    }
}
