//! EdgeChat's origin: the axum service that owns accounts, conversations and short-lived state.
//!
//! - [`config`]: variables, parsed once
//! - [`store`]: ports and adapters
//! - [`auth`]: passwords, sessions, tokens
//! - [`http`]: errors, extractors, middleware
//! - [`routes`]: one file a resource
//! - [`app`]: the state shared by all handlers
//! - [`ambient`]: time and randomness
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

#[cfg(test)]
mod tests;
