//! EdgeChat's Worker: two deployments of one build.
//!
//! The *front* (this module's `fetch`) is stateless: it verifies tokens, counts requests by address and sends each request
//! on, either to the user's Durable Object or to the origin. The *user object* ([`user::UserObject`]) holds all that must be
//! exact for one user. It is deployed as a second Worker, because a panic in WASM resets its whole isolate: what breaks a
//! request at the front must not end the turns that run.
//!
//! Decisions are functions in `shared`; this crate decodes, calls and performs.

mod body;
mod config;
mod front;
mod log;
mod origin;
mod platform;
mod provider;
mod reply;
mod routes;
mod telemetry;
mod user;

use worker::{Context, Env, Result, event};

/// The front's entry.
#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    front::handle(request, env, &context).await
}
