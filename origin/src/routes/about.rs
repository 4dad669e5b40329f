//! `GET /`: the name of the service.

use axum::{Json, extract::State};
use shared::api::health::{About, HealthStatus};

use crate::app::App;

/// Show the service
///
/// The name and the version of the service, and where its documentation is.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "about",
    tag = "health",
    responses((status = 200, description = "What answers here", body = About)),
)]
pub(super) async fn about(State(app): State<App>) -> Json<About> {
    Json(About {
        name: app.config.process.app_name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        status: HealthStatus::Ok,
        docs: "/docs".into(),
    })
}
