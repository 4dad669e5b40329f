//! Work that goes on when the client has gone: a write and what must follow it are never cut in two.

use std::future::Future;

use opentelemetry::context::FutureExt as _;
use tracing::Instrument as _;

use super::Failure;

/// Runs this to its end, also when the request that waits for it is given up.
pub async fn detached<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work.with_current_context().in_current_span())
        .await
        .map_err(|error| Failure::Internal(error.to_string()))
}
