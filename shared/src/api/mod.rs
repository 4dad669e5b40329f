//! The API that clients see: objects, requests, answers, error codes, routes. The origin derives OpenAPI from these types.
//!
//! - [`error`]: error codes and the problem body every error is rendered as
//! - [`body`]: from bytes to a validated request
//! - [`account`]: users, sessions and tokens
//! - [`chat`]: conversations, messages, turns
//! - [`usage`]: usage of a user
//! - [`health`]: health checks
//! - [`page`]: lists and their cursors
//! - [`sync`]: changes for a user
//! - [`models`]: the models users can choose
//! - [`open`]: names from a set that grows
//! - [`routes`]: every route, once
//! - [`internal`]: requests and answers between Worker and origin; no client sees them

pub mod account;
pub mod body;
pub mod chat;
pub mod error;
pub mod health;
pub mod internal;
pub mod models;
pub mod open;
pub mod page;
pub mod routes;
pub mod sync;
pub mod usage;

pub use error::{ApiError, ErrorCode, FieldError, Problem};
