//! Ids in paths.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use shared::{api::ErrorCode, id::Id};

use super::Error;
use crate::app::App;

/// The one id of a path. A malformed id is not found, like an unknown one.
pub struct PathId(pub Id);

/// The two ids of a path, likewise.
pub struct PathIds(pub Id, pub Id);

impl FromRequestParts<App> for PathId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let text = Path::<String>::from_request_parts(parts, app).await.ok();
        let id = text.and_then(|Path(text)| Id::parse(&text));
        id.map(Self).ok_or_else(|| ErrorCode::NotFound.into())
    }
}

impl FromRequestParts<App> for PathIds {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let texts = Path::<(String, String)>::from_request_parts(parts, app).await.ok();
        let ids = texts.and_then(|Path((one, other))| Id::parse(&one).zip(Id::parse(&other)));
        ids.map(|(one, other)| Self(one, other)).ok_or_else(|| ErrorCode::NotFound.into())
    }
}
