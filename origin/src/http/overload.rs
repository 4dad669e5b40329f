//! A bound on concurrent requests: the rest is refused at once, instead of all getting slow.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use shared::api::ErrorCode;

use super::Error;
use crate::app::App;

/// The layer.
pub async fn shed(State(app): State<App>, request: Request, next: Next) -> Result<Response, Error> {
    let _place = app.in_flight.try_acquire().map_err(|_| Error::from(ErrorCode::Overloaded))?;
    Ok(next.run(request).await)
}
