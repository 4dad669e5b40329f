//! Work that goes on when whoever waits for it has gone: a write and what must follow it are never cut in two.

use std::future::Future;

use opentelemetry::context::FutureExt as _;
use tracing::Instrument as _;

/// The work did not come to its end: it panicked.
#[derive(Debug, thiserror::Error)]
#[error("detached work failed: {0}")]
pub struct DetachedError(#[from] tokio::task::JoinError);

/// Runs this to its end, also when the request that waits for it is given up.
///
/// # Errors
///
/// Fails when the work panics.
pub async fn detached<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, DetachedError> {
    Ok(tokio::spawn(work.with_current_context().in_current_span()).await?)
}
