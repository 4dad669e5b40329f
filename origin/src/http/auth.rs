//! Extractors of bearer tokens. A signed-in request has a token that is valid now, of a session that is active.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{header::AUTHORIZATION, request::Parts},
};
use shared::{
    api::account::User,
    auth::{Claims, token::bearer},
};

use super::Error;
use crate::app::App;

/// The signed-in user.
pub struct CurrentUser {
    /// The user, as the accounts have them.
    pub user: User,
    /// The claims of their token.
    pub claims: Claims,
}

impl FromRequestParts<App> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let now = app.clock.now();
        let claims = app.auth.tokens.verify(&bearer_of(parts)?, now).await?;
        let user = app.auth.session_user(&claims, now).await?;
        Ok(Self { user, claims })
    }
}

/// The signed-in user of a request that may have none. A token that is there must be valid.
pub struct OptionalUser(pub Option<CurrentUser>);

impl FromRequestParts<App> for OptionalUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(Self(None));
        }
        CurrentUser::from_request_parts(parts, app).await.map(Some).map(Self)
    }
}

/// The bearer token of a request, unchecked, for the one route that has its own rule about the time of its validity.
pub struct Bearer(pub String);

impl FromRequestParts<App> for Bearer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        Ok(Self(bearer_of(parts)?))
    }
}

/// The bearer token of a request that needs none, unchecked.
pub struct ShownBearer(pub Option<String>);

impl FromRequestParts<App> for ShownBearer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self(bearer_of(parts).ok()))
    }
}

/// Reads the header as the Worker's platform does: several are one whose values are separated by commas (RFC 9110, section 5.3), and
/// letters beyond ASCII are no reason to overlook one.
fn bearer_of(parts: &Parts) -> Result<String, Error> {
    let values = parts.headers.get_all(AUTHORIZATION).iter();
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let header = (!values.is_empty()).then(|| values.join(", "));
    Ok(bearer(header.as_deref())?.to_owned())
}
