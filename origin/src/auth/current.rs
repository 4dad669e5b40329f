//! The extractor of signed-in requests: the token is checked here, and its session must be alive.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{header::AUTHORIZATION, request::Parts},
};
use shared::{
    api::account::User,
    auth::{Claims, token::bearer},
};

use super::live;
use crate::{app::App, http::Failure};

/// Who is asking.
pub struct CurrentUser {
    /// The user, as the accounts have them.
    pub user: User,
    /// What their token says.
    pub claims: Claims,
}

impl FromRequestParts<App> for CurrentUser {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let now = app.clock.now();
        let claims = app.tokens.verify(bearer_of(parts)?, now)?;
        let user = live::user(app, &claims, now).await?;
        Ok(Self { user, claims })
    }
}

/// The bearer token of a request, unchecked, for the one route that has its own rule about when it must be valid.
pub struct Bearer(pub String);

impl FromRequestParts<App> for Bearer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        Ok(Self(bearer_of(parts)?.to_owned()))
    }
}

/// The bearer token that somebody shows who need not have one, unchecked.
pub struct ShownBearer(pub Option<String>);

impl FromRequestParts<App> for ShownBearer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self(bearer_of(parts).ok().map(str::to_owned)))
    }
}

fn bearer_of(parts: &Parts) -> Result<&str, Failure> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    Ok(bearer(header)?)
}
