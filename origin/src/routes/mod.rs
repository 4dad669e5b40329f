//! The routes of the origin, in groups by the layer that they stand behind. One file a resource. A test holds the groups to
//! `shared::api::routes`: every route there that the origin serves, and no other, each behind the layer of its caller.

mod about;
mod account;
mod account_deletion;
mod account_events;
mod account_export;
mod app_links;
mod auth;
mod consents;
mod conversations;
mod docs;
mod edge_openapi;
mod health;
mod idempotency;
mod internal;
mod keys;
pub(crate) mod list_cache;
mod mailbox;
mod messages;
mod models;
mod pages;
mod stats;
mod sync;
mod usage;

use std::time::Duration;

use axum::{
    Router,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::get,
};
use shared::api::ErrorCode;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    http::{Error, observe::observe, overload::shed, signature, user_events},
    telemetry::deliveries,
};

/// The timeout of a request, its body included. The timeouts of stores are much shorter.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Builds all routes, with every layer.
///
/// # Errors
///
/// Fails when the documentation cannot be written as JSON, which a test rules out.
pub fn router(app: App) -> Result<Router, serde_json::Error> {
    let (always, always_document) = always().split_for_parts();
    let (open, open_document) = open().split_for_parts();
    let (public, public_document) = public().split_for_parts();
    let documents = [public_document, edge_openapi::document(), open_document, always_document];
    let document = docs::document(&app.config.process.app_name, documents)?;
    let public = public
        .merge(pages::router())
        .layer(from_fn_with_state(app.clone(), user_events::hand_over))
        .layer(from_fn_with_state(app.clone(), signature::accept));
    let routes = open
        .merge(public)
        .merge(Router::from(internal()).layer(from_fn_with_state(app.clone(), signature::require)))
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

/// Routes that say that the process is alive, under any load: an orchestrator would otherwise kill it, with its waiting
/// requests.
fn always() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health::alive))
}

/// Routes that need no signature: load balancers and key caches call them.
fn open() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(about::about))
        .routes(routes!(keys::jwks))
        .routes(routes!(app_links::apple))
        .routes(routes!(app_links::android))
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
        .routes(routes!(auth::logout::logout))
        .routes(routes!(auth::logout::logout_all))
        .routes(routes!(auth::password::change))
        .routes(routes!(auth::password::forgot))
        .routes(routes!(auth::password::reset))
        .routes(routes!(auth::codes::send))
        .routes(routes!(auth::codes::verify))
        .routes(routes!(auth::guest::begin))
        .routes(routes!(auth::oidc::google))
        .routes(routes!(auth::oidc::apple))
        .routes(routes!(auth::verify::verify))
        .routes(routes!(account::auth_me))
        .routes(routes!(auth::sessions::list))
        .routes(routes!(auth::sessions::end))
        .routes(routes!(auth::passkeys::begin_registration))
        .routes(routes!(auth::passkeys::register))
        .routes(routes!(auth::passkeys::begin_login))
        .routes(routes!(auth::passkeys::login))
        .routes(routes!(auth::passkeys::list))
        .routes(routes!(auth::passkeys::rename, auth::passkeys::remove))
        .routes(routes!(account::users_me, account::update, account_deletion::delete))
        .routes(routes!(account_export::export))
        .routes(routes!(account_events::list))
        .routes(routes!(consents::list, consents::give))
        .routes(routes!(conversations::create, conversations::list))
        .routes(routes!(conversations::show, conversations::update, conversations::delete))
        .routes(routes!(conversations::undelete))
        .routes(routes!(messages::list))
        .routes(routes!(messages::delete))
        .routes(routes!(stats::show))
        .routes(routes!(sync::follow))
        .routes(routes!(models::list))
        .routes(routes!(usage::show))
}

/// Routes that the Worker alone calls. They are in no document.
fn internal() -> OpenApiRouter<App> {
    let deliver = OpenApiRouter::new().routes(routes!(internal::deliver)).layer(from_fn(deliveries::count));
    OpenApiRouter::new().merge(deliver).routes(routes!(internal::turn)).routes(routes!(internal::context))
}

fn panicked() -> Response {
    Error::Internal("the handler panicked".to_owned()).into_response()
}

#[cfg(test)]
mod tests;
