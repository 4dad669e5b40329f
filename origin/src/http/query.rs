//! Query strings, validated like bodies: a wrong parameter is a 422 that names it.

use axum::{extract::FromRequestParts, http::request::Parts};
use garde::Validate;
use serde::de::DeserializeOwned;
use shared::api::{ApiError, body::validate};

use super::Failure;
use crate::app::App;

/// The parameters of the query string.
pub struct Query<T>(pub T);

impl<T> FromRequestParts<App> for Query<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        Ok(Self(parse(parts.uri.query().unwrap_or_default())?))
    }
}

fn parse<T>(query: &str) -> Result<T, ApiError>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    let value: T = serde_path_to_error::deserialize(pairs).map_err(|error| {
        let field = error.path().to_string();
        ApiError::invalid_field(&field, format!("is not valid: {}", error.into_inner()))
    })?;
    validate(&value)?;
    Ok(value)
}
