//! What every route shares: errors, extractors, middleware.
//!
//! - [`failure`]: what a handler may fail with
//! - [`observe`]: request ids, the one place that renders errors, the log line of a request
//! - [`signature`]: requests of the Worker, and the client's address
//! - [`overload`]: more requests than can be served
//! - [`body`], [`query`], [`path`], [`cursor`]: extractors

pub mod body;
pub mod cursor;
pub mod failure;
pub mod observe;
pub mod overload;
pub mod path;
pub mod query;
pub mod signature;

pub use body::Json;
pub use failure::Failure;
pub use path::PathId;
pub use query::Query;
pub use signature::ClientIp;
