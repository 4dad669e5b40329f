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

impl FromRequestParts<App> for PathId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let text = Path::<String>::from_request_parts(parts, app).await.ok();
        let id = text.and_then(|Path(text)| Id::parse(&text));
        id.map(Self).ok_or_else(|| ErrorCode::NotFound.into())
    }
}
