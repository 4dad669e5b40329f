//! What every route shares: errors, extractors, middleware.
//!
//! - [`failure`]: what a handler may fail with
//! - [`observe`]: request ids, the one place that renders errors, the log line of a request
//! - [`signature`]: requests of the Worker, and the client's address
//! - [`overload`]: more requests than can be served
//! - [`detached`]: writes that no client cuts off
//! - [`probe`]: checks of stores
//! - [`body`], [`query`], [`path`], [`cursor`], [`idempotency`]: extractors
//! - [`encoded`]: answers that are encoded already

pub mod body;
pub mod cursor;
pub mod detached;
pub mod encoded;
pub mod failure;
pub mod idempotency;
pub mod observe;
pub mod overload;
pub mod path;
pub mod probe;
pub mod query;
pub mod signature;

pub use body::{Json, OptionalJson};
pub use detached::detached;
pub use encoded::Encoded;
pub use failure::Failure;
pub use idempotency::IdempotencyKey;
pub use path::PathId;
pub use query::Query;
pub use signature::ClientIp;
