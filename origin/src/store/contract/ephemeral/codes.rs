//! One-time codes.

use std::sync::Arc;

use super::Store;
use crate::store::{
    contract::{
        at_once,
        samples::{START, at},
    },
    ephemeral::{CodeOutcome, OneTimeCode},
};

/// Returns a code of this hash that allows so many guesses.
pub(super) fn code(hash: u8, tries: u32, expires: i64) -> OneTimeCode {
    OneTimeCode { hash: [hash; 32], tries, expires_at: at(expires) }
}

/// Returns the outcomes of so many concurrent guesses.
async fn guesses(store: &Store, count: usize, hash: u8) -> Vec<CodeOutcome> {
    at_once(count, |_| {
        let store = Arc::clone(store);
        async move { store.try_code("key", [hash; 32], START).await.unwrap() }
    })
    .await
}

pub(in crate::store::contract) async fn of_many_right_guesses_one_is_accepted(store: Store) {
    store.put_code("key", code(1, 5, 60_000), START).await.unwrap();
    let outcomes = guesses(&store, 32, 1).await;
    let accepted = outcomes.iter().filter(|outcome| **outcome == CodeOutcome::Accepted);
    assert_eq!(accepted.count(), 1);
    let absent = outcomes.iter().filter(|outcome| **outcome == CodeOutcome::Absent);
    assert_eq!(absent.count(), 31);
}

pub(in crate::store::contract) async fn concurrent_guesses_are_limited_to_tries_of_code(store: Store) {
    store.put_code("key", code(1, 5, 60_000), START).await.unwrap();
    let outcomes = guesses(&store, 32, 2).await;
    let mut left: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            CodeOutcome::Wrong { tries_left } => Some(*tries_left),
            _ => None,
        })
        .collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4]);
    assert_eq!(store.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Absent);
}

pub(in crate::store::contract) async fn code_after_last_try_is_absent(store: Store) {
    assert_eq!(store.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Absent);
    store.put_code("key", code(1, 2, 60_000), START).await.unwrap();
    assert_eq!(store.try_code("other", [1; 32], START).await.unwrap(), CodeOutcome::Absent);
    assert_eq!(store.try_code("key", [2; 32], START).await.unwrap(), CodeOutcome::Wrong { tries_left: 1 });
    assert_eq!(store.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Accepted);
    assert_eq!(store.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Absent);

    store.put_code("key", code(1, 1, 60_000), START).await.unwrap();
    assert_eq!(store.try_code("key", [2; 32], START).await.unwrap(), CodeOutcome::Wrong { tries_left: 0 });
    assert_eq!(store.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Absent);
}

pub(in crate::store::contract) async fn code_after_expiry_is_absent(store: Store) {
    store.put_code("key", code(1, 9, 1_000), START).await.unwrap();
    assert_eq!(store.try_code("key", [2; 32], at(999)).await.unwrap(), CodeOutcome::Wrong { tries_left: 8 });
    assert_eq!(store.try_code("key", [1; 32], at(1_000)).await.unwrap(), CodeOutcome::Absent);
}

pub(in crate::store::contract) async fn new_code_replaces_old_one(store: Store) {
    store.put_code("key", code(1, 1, 60_000), START).await.unwrap();
    store.put_code("key", code(2, 3, 1_000), START).await.unwrap();
    assert_eq!(store.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Wrong { tries_left: 2 });
    assert_eq!(store.try_code("key", [2; 32], at(1_000)).await.unwrap(), CodeOutcome::Absent);
}
