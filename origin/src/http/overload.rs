//! More requests than can be served: the rest is told so at once, instead of all getting slow.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use shared::api::ErrorCode;

use super::Failure;
use crate::app::App;

/// Requests that may run at once.
pub const MAX_IN_FLIGHT: usize = 1_024;

/// The layer.
pub async fn shed(State(app): State<App>, request: Request, next: Next) -> Result<Response, Failure> {
    let _place = app.in_flight.try_acquire().map_err(|_| Failure::from(ErrorCode::Overloaded))?;
    Ok(next.run(request).await)
}
