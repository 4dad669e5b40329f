//! The routes, and one list of them that reads like the table in the design. One file a resource.

mod about;
mod account;
mod auth;
mod conversations;
mod docs;
mod health;
mod idempotency;
mod internal;
mod keys;
pub(crate) mod list_cache;
mod mailbox;
mod messages;
mod models;
mod sync;
mod usage;
mod worker;

use std::time::Duration;

use axum::{
    Router,
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use shared::api::ErrorCode;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    http::{Error, observe::observe, overload::shed, signature},
};

/// How long a request may take, its body included. Every store gives up long before.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// All routes, with every layer.
///
/// Errors: the documentation cannot be written as JSON, which a test rules out.
pub fn router(app: App) -> Result<Router, serde_json::Error> {
    let (always, always_document) = always().split_for_parts();
    let (open, open_document) = open().split_for_parts();
    let (public, public_document) = public().split_for_parts();
    let documents = [public_document, worker::WorkerRoutes::openapi(), open_document, always_document];
    let document = docs::document(&app.config.process.app_name, documents)?;
    let routes = open
        .merge(public.layer(from_fn_with_state(app.clone(), signature::accept)))
        .merge(internal().layer(from_fn_with_state(app.clone(), signature::require)))
        .merge(docs::router(&document)?)
        .route("/dev/mailbox", get(mailbox::list));
    Ok(layered(app, always, routes))
}

/// The layers of every route, the innermost first. Those that `always` answer do so however many requests there are.
pub(crate) fn layered(app: App, always: Router<App>, routes: Router<App>) -> Router {
    routes
        .fallback(|| async { Error::from(ErrorCode::NotFound) })
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(from_fn_with_state(app.clone(), shed))
        .merge(always)
        .layer(from_fn_with_state(app.clone(), observe))
        .with_state(app)
}

/// What says that the process is alive: an orchestrator that is told otherwise ends it, which helps nobody who waits.
fn always() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health::alive))
}

/// Routes that need no signature: load balancers and key caches call them.
fn open() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(about::about))
        .routes(routes!(keys::jwks))
        .routes(routes!(health::ready))
        .routes(routes!(health::database))
        .routes(routes!(health::mongo))
        .routes(routes!(health::redis))
}

/// Routes that clients call through the Worker.
fn public() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(auth::register::register))
        .routes(routes!(auth::login::login))
        .routes(routes!(auth::token::token))
        .routes(routes!(auth::refresh::refresh))
        .routes(routes!(auth::verify::verify))
        .routes(routes!(account::auth_me))
        .routes(routes!(account::users_me))
        .routes(routes!(conversations::create, conversations::list))
        .routes(routes!(conversations::show, conversations::update, conversations::delete))
        .routes(routes!(messages::list))
        .routes(routes!(sync::follow))
        .routes(routes!(models::list))
        .routes(routes!(usage::show))
}

/// Routes that the Worker alone calls. They are in no document.
fn internal() -> Router<App> {
    Router::new()
        .route("/internal/v1/turns", post(internal::deliver))
        .route("/internal/v1/turns/{id}", get(internal::turn))
        .route("/internal/v1/conversations/{id}/context", get(internal::context))
}

fn panicked() -> Response {
    Error::Internal("the handler panicked".to_owned()).into_response()
}
