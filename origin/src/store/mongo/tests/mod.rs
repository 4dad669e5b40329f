//! Tests of this adapter only: indexes, silent and killed servers, crashes between any two steps.

mod faults;
mod followers;
mod proxy;
mod repairs;
mod schema;
mod served;
mod test_env;

use std::{future::Future, time::Duration};

use crate::store::error::StoreResult;

/// The bound of a method, above its deadline.
const BOUND: Duration = Duration::from_secs(20);

/// Awaits the work within the bound.
async fn bounded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, work).await.expect("it ends within its time")
}

/// Repeats the work until it succeeds, within the bound: a server that was down has to be found again.
async fn eventually<T, F>(work: impl Fn() -> F) -> T
where
    F: Future<Output = StoreResult<T>>,
{
    bounded(async {
        loop {
            match work().await {
                Ok(value) => return value,
                Err(error) => assert!(is_absence(error.kind()), "{error}"),
            }
        }
    })
    .await
}

/// Returns true for the kinds of errors of an unreachable server.
fn is_absence(kind: &str) -> bool {
    matches!(kind, "unavailable" | "timeout" | "overloaded")
}
