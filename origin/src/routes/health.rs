//! Health: of the process, and of the stores one by one.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use shared::api::health::{Check, Checks, Health, HealthStatus, Readiness};

use crate::app::App;

/// Show that the process is alive
///
/// Asks no store.
#[utoipa::path(
    get,
    path = "/api/v1/health",
    operation_id = "health",
    tag = "health",
    responses((status = 200, description = "It is alive", body = Health)),
)]
pub(super) async fn alive() -> Json<Health> {
    Json(Health { status: HealthStatus::Ok })
}

/// Check that requests can be served
///
/// Every store is asked; one that is not needed may fail.
#[utoipa::path(
    get,
    path = "/api/v1/health/ready",
    operation_id = "health_ready",
    tag = "health",
    responses(
        (status = 200, description = "It can be used", body = Readiness),
        (status = 503, description = "It cannot be used now", body = Readiness),
    ),
)]
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let (accounts, chats, ephemeral) = tokio::join!(accounts(&app), chats(&app), ephemeral(&app));
    // What is short-lived fails open, so the origin serves without it.
    let needed = [accounts.status, chats.status];
    let status = if needed.contains(&HealthStatus::Unavailable) {
        HealthStatus::Unavailable
    } else {
        HealthStatus::Ok
    };
    (status_code(status), Json(Readiness { status, checks: Checks { accounts, chats, ephemeral } }))
}

/// The accounts, under the name of the product that serves them in production.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct DatabaseHealth {
    /// `connected` or `unavailable`.
    #[schema(example = "connected")]
    database: &'static str,
    #[serde(flatten)]
    check: Check,
}

/// The conversations, under the name of the product that serves them in production.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct MongoHealth {
    /// `connected` or `unavailable`.
    #[schema(example = "connected")]
    mongo: &'static str,
    #[serde(flatten)]
    check: Check,
}

/// The short-lived state, under the name of the product that serves it in production.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct RedisHealth {
    /// `connected` or `unavailable`.
    #[schema(example = "connected")]
    redis: &'static str,
    #[serde(flatten)]
    check: Check,
}

/// Check the store of accounts
///
/// Its name is that of the product that serves it in production; `backend` says which one does here.
#[utoipa::path(
    get,
    path = "/api/v1/health/db",
    operation_id = "health_db",
    tag = "health",
    responses(
        (status = 200, description = "It can be used", body = DatabaseHealth),
        (status = 503, description = "It cannot be used now", body = DatabaseHealth),
    ),
)]
pub(super) async fn database(State(app): State<App>) -> (StatusCode, Json<DatabaseHealth>) {
    let check = accounts(&app).await;
    (status_code(check.status), Json(DatabaseHealth { database: word(check.status), check }))
}

/// Check the store of conversations
///
/// Its name is that of the product that serves it in production; `backend` says which one does here.
#[utoipa::path(
    get,
    path = "/api/v1/health/mongo",
    operation_id = "health_mongo",
    tag = "health",
    responses(
        (status = 200, description = "It can be used", body = MongoHealth),
        (status = 503, description = "It cannot be used now", body = MongoHealth),
    ),
)]
pub(super) async fn mongo(State(app): State<App>) -> (StatusCode, Json<MongoHealth>) {
    let check = chats(&app).await;
    (status_code(check.status), Json(MongoHealth { mongo: word(check.status), check }))
}

/// Check the store of short-lived state
///
/// Its name is that of the product that serves it in production; `backend` says which one does here.
#[utoipa::path(
    get,
    path = "/api/v1/health/redis",
    operation_id = "health_redis",
    tag = "health",
    responses(
        (status = 200, description = "It can be used", body = RedisHealth),
        (status = 503, description = "It cannot be used now", body = RedisHealth),
    ),
)]
pub(super) async fn redis(State(app): State<App>) -> (StatusCode, Json<RedisHealth>) {
    let check = ephemeral(&app).await;
    (status_code(check.status), Json(RedisHealth { redis: word(check.status), check }))
}

async fn accounts(app: &App) -> Check {
    let store = Arc::clone(&app.stores.accounts);
    app.probes.accounts.check(&app.clock, store.backend(), async move { store.ping().await }).await
}

async fn chats(app: &App) -> Check {
    let store = Arc::clone(&app.stores.chats);
    app.probes.chats.check(&app.clock, store.backend(), async move { store.ping().await }).await
}

async fn ephemeral(app: &App) -> Check {
    let store = Arc::clone(&app.stores.ephemeral);
    app.probes.ephemeral.check(&app.clock, store.backend(), async move { store.ping().await }).await
}

const fn word(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Ok => "connected",
        HealthStatus::Unavailable => "unavailable",
    }
}

const fn status_code(status: HealthStatus) -> StatusCode {
    match status {
        HealthStatus::Ok => StatusCode::OK,
        HealthStatus::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}
