//! The parts that all routes share: errors, extractors, middleware.
//!
//! - [`error`]: the errors of handlers
//! - [`observe`]: request ids, the one place that renders errors, the log line of a request
//! - [`signature`]: requests of the Worker, and the client's address
//! - [`user_events`]: the events that a request causes for user objects at the edge
//! - [`overload`]: the bound on concurrent requests
//! - [`auth`]: bearer tokens, and the signed-in user
//! - [`missing_consents`]: the documents that a user is to agree to, for the user object
//! - [`requester`]: who asks, for sessions and the audit trail
//! - [`body`], [`query`], [`path`], [`cursor`], [`idempotency`]: extractors
//! - [`encoded`]: responses that are encoded already

pub mod auth;
pub mod body;
pub mod cursor;
pub mod encoded;
pub mod error;
pub mod idempotency;
pub mod missing_consents;
pub mod observe;
pub mod overload;
pub mod path;
pub mod query;
pub mod requester;
pub mod signature;
pub mod user_events;

pub use auth::CurrentUser;
pub use body::{Json, OptionalJson};
pub use encoded::Encoded;
pub use error::Error;
pub use idempotency::IdempotencyKey;
pub use missing_consents::MissingConsents;
pub use path::{PathId, PathIds};
pub use query::Query;
pub use signature::ClientIp;
