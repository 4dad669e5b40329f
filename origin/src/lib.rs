//! EdgeChat's origin: the axum service that owns accounts, conversations and short-lived state.
//!
//! - [`config`]: variables, parsed once
//! - [`store`]: ports and adapters
//! - [`auth`]: passwords, sessions, tokens
//! - [`export`]: all that is stored of a user, line by line
//! - [`events`]: what a change means for user objects at the edge
//! - [`http`]: errors, extractors, middleware
//! - [`routes`]: one file a resource
//! - [`jobs`]: due work with leases
//! - [`notify`]: messages to people outside of the app
//! - [`oidc`]: Google and Apple, which tell who somebody is
//! - [`one_time_secrets`]: codes and tokens, derived from ids
//! - [`sealed`]: small secrets at rest
//! - [`app`]: what every handler has at hand
//! - [`clock`], [`random`]: time and randomness as arguments
//! - [`detached`]: work that goes on when whoever waits for it has gone
//! - [`http_client`]: how other servers are called
//! - [`telemetry`]: metrics and traces
//! - [`server`], [`logging`], [`cli`]: the process

pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod detached;
pub mod events;
pub mod export;
pub mod http;
pub mod http_client;
pub mod jobs;
pub mod logging;
pub mod notify;
pub mod oidc;
pub mod one_time_secrets;
pub mod random;
pub mod routes;
pub mod sealed;
pub mod server;
pub mod store;
pub mod telemetry;

#[cfg(test)]
mod tests;
