//! Waiting for a condition: always with a bound, never for a fixed time.

use std::{future::Future, time::Duration};

use tokio::time::{sleep, timeout};

/// The longest wait for one condition: far above what any takes, so that a slow machine fails no test.
pub const BOUND: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// Waits for `future`, at most [`BOUND`].
///
/// # Panics
/// Panics when it takes longer; the message names `what`.
pub fn bounded<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    bounded_by(BOUND, what, future)
}

/// Waits for `future`, at most `bound`. The future is boxed: a whole request is a large value.
///
/// # Panics
/// Panics when it takes longer; the message names `what`.
pub fn bounded_by<F: Future>(bound: Duration, what: &str, future: F) -> impl Future<Output = F::Output> {
    let future = Box::pin(future);
    async move { timeout(bound, future).await.unwrap_or_else(|_| panic!("waited {bound:?} for {what}")) }
}

/// Repeats `ask` until it returns a value, at most `bound`.
///
/// # Panics
/// Panics when it takes longer; the message names `what`.
pub async fn until<T, F: Future<Output = Option<T>>>(
    bound: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    bounded_by(bound, what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            sleep(POLL).await;
        }
    })
    .await
}
