//! EdgeChat's origin: the axum service that owns accounts, conversations and short-lived state.
//!
//! - [`config`]: variables, parsed once
//! - [`store`]: ports and adapters
//! - [`auth`]: passwords, sessions, tokens
//! - [`http`]: errors, extractors, middleware
//! - [`routes`]: one file a resource
//! - [`app`]: what every handler has at hand
//! - [`ambient`]: time and randomness
//! - [`telemetry`]: figures for an operator
//! - [`server`], [`logging`], [`cli`]: the process

pub mod ambient;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod http;
pub mod logging;
pub mod routes;
pub mod server;
pub mod store;
pub mod telemetry;

#[cfg(test)]
mod tests;
