//! Health: of the process, and of the stores one by one.

use std::{future::Future, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use shared::api::health::{Check, Checks, Health, HealthStatus, Readiness};

use crate::{
    app::App,
    store::{StoreError, StoreResult},
};

/// How long a store may take to answer a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the process is alive
#[utoipa::path(get, path = "/api/v1/health", operation_id = "health", tag = "health", responses((status = 200, body = Health)))]
pub(super) async fn alive() -> Json<Health> {
    Json(Health { status: HealthStatus::Ok })
}

/// Whether the origin can serve
#[utoipa::path(
    get,
    path = "/api/v1/health/ready",
    operation_id = "health_ready",
    tag = "health",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)),
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

/// One store, under the name of the product that serves its port in production.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct DatabaseHealth {
    /// Whether it answered in time.
    status: HealthStatus,
    /// `connected` or `unavailable`.
    #[schema(example = "connected")]
    database: &'static str,
    /// What serves the port, such as `sqlite`.
    #[schema(example = "sqlite")]
    backend: String,
    /// How long the check took, in milliseconds.
    latency_ms: f64,
}

/// As [`DatabaseHealth`], of the conversations.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct MongoHealth {
    /// Whether it answered in time.
    status: HealthStatus,
    /// `connected` or `unavailable`.
    #[schema(example = "connected")]
    mongo: &'static str,
    /// What serves the port, such as `sqlite`.
    #[schema(example = "sqlite")]
    backend: String,
    /// How long the check took, in milliseconds.
    latency_ms: f64,
}

/// As [`DatabaseHealth`], of the short-lived state.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct RedisHealth {
    /// Whether it answered in time.
    status: HealthStatus,
    /// `connected` or `unavailable`.
    #[schema(example = "connected")]
    redis: &'static str,
    /// What serves the port, such as `memory`.
    #[schema(example = "memory")]
    backend: String,
    /// How long the check took, in milliseconds.
    latency_ms: f64,
}

/// Whether the accounts answer
#[utoipa::path(
    get,
    path = "/api/v1/health/db",
    operation_id = "health_db",
    tag = "health",
    responses((status = 200, body = DatabaseHealth), (status = 503, body = DatabaseHealth)),
)]
pub(super) async fn database(State(app): State<App>) -> (StatusCode, Json<DatabaseHealth>) {
    let Check { status, backend, latency_ms, .. } = accounts(&app).await;
    let body = DatabaseHealth { status, database: word(status), backend: backend.into_owned(), latency_ms };
    (status_code(status), Json(body))
}

/// Whether the conversations answer
#[utoipa::path(
    get,
    path = "/api/v1/health/mongo",
    operation_id = "health_mongo",
    tag = "health",
    responses((status = 200, body = MongoHealth), (status = 503, body = MongoHealth)),
)]
pub(super) async fn mongo(State(app): State<App>) -> (StatusCode, Json<MongoHealth>) {
    let Check { status, backend, latency_ms, .. } = chats(&app).await;
    let body = MongoHealth { status, mongo: word(status), backend: backend.into_owned(), latency_ms };
    (status_code(status), Json(body))
}

/// Whether the short-lived state answers
#[utoipa::path(
    get,
    path = "/api/v1/health/redis",
    operation_id = "health_redis",
    tag = "health",
    responses((status = 200, body = RedisHealth), (status = 503, body = RedisHealth)),
)]
pub(super) async fn redis(State(app): State<App>) -> (StatusCode, Json<RedisHealth>) {
    let Check { status, backend, latency_ms, .. } = ephemeral(&app).await;
    let body = RedisHealth { status, redis: word(status), backend: backend.into_owned(), latency_ms };
    (status_code(status), Json(body))
}

async fn accounts(app: &App) -> Check {
    check(app, app.stores.accounts.backend(), app.stores.accounts.ping()).await
}

async fn chats(app: &App) -> Check {
    check(app, app.stores.chats.backend(), app.stores.chats.ping()).await
}

async fn ephemeral(app: &App) -> Check {
    check(app, app.stores.ephemeral.backend(), app.stores.ephemeral.ping()).await
}

async fn check(app: &App, backend: &'static str, ping: impl Future<Output = StoreResult<()>>) -> Check {
    let started = app.clock.elapsed();
    let outcome = tokio::time::timeout(CHECK_TIMEOUT, ping).await.unwrap_or(Err(StoreError::Timeout));
    let latency = app.clock.elapsed().saturating_sub(started);
    if let Err(error) = &outcome {
        tracing::warn!(%error, backend, "a store failed its check");
    }
    Check {
        status: if outcome.is_ok() { HealthStatus::Ok } else { HealthStatus::Unavailable },
        backend: backend.into(),
        latency_ms: (latency.as_secs_f64() * 1_000_000.0).round() / 1_000.0,
        error: outcome.err().map(|error| error.kind().into()),
    }
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
