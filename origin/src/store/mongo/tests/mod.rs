//! What only this adapter can be asked: indexes, silent and dying servers, crashes between any two steps.

mod faults;
mod followers;
mod proxy;
mod repairs;
mod schema;
mod served;
mod world;

use std::{future::Future, time::Duration};

use crate::store::error::StoreResult;

/// More than any method may take.
const BOUND: Duration = Duration::from_secs(20);

/// What this comes to within the bound.
async fn bounded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, work).await.expect("it ends within its time")
}

/// Repeats this until it does, within the bound: a server that was away has to be found again.
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

/// Whether this kind of failure is what a server that is away looks like.
fn is_absence(kind: &str) -> bool {
    matches!(kind, "unavailable" | "timeout" | "overloaded")
}
