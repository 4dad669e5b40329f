//! `GET /`: what answers here.

use axum::{Json, extract::State};
use shared::api::health::{About, HealthStatus};

use crate::app::App;

/// What answers here
#[utoipa::path(get, path = "/", tag = "health", responses((status = 200, body = About)))]
pub(super) async fn about(State(app): State<App>) -> Json<About> {
    Json(About {
        name: app.config.process.app_name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        status: HealthStatus::Ok,
        docs: "/docs".into(),
    })
}
