//! What a client sees: objects, requests, answers, error codes. The origin derives OpenAPI from these types.
//!
//! - [`error`]: error codes and the problem body every error is rendered as
//! - [`body`]: from bytes to a validated request
//! - [`account`]: users, sessions and tokens
//! - [`chat`]: conversations, messages, turns
//! - [`usage`]: what was used
//! - [`health`]: health checks
//! - [`page`]: lists and their cursors
//! - [`sync`]: what changed for a user
//! - [`models`]: the models users can choose
//! - [`open`]: names from a set that grows
//! - [`routes`]: every route, once
//! - [`internal`]: what the Worker and the origin say to each other; no client sees it

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
