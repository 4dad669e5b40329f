//! The suite of the ephemeral port.

use std::sync::Arc;

use shared::limits::window::FixedWindow;

use super::{
    at_once,
    samples::{START, at},
};
use crate::store::Ephemeral;

/// The cases; `$open` is a fresh store and what keeps it alive.
macro_rules! suite {
    ($open:expr) => {
        $crate::store::contract::run_suite! { ephemeral on $open;
            exactly_as_many_are_allowed_as_the_window_holds
            a_window_starts_with_its_first
            what_is_forgotten_starts_anew
            of_many_at_once_one_is_the_first
            what_was_seen_is_remembered_for_its_time
        }
    };
}
pub(super) use suite;

type Store = Arc<dyn Ephemeral>;

pub(super) async fn exactly_as_many_are_allowed_as_the_window_holds(store: Store) {
    store.ping().await.unwrap();
    let window = FixedWindow::new(10, 60_000);
    let allowed = at_once(32, |_| {
        let store = Arc::clone(&store);
        async move { store.count("key", window, START).await.unwrap().allowed }
    })
    .await;
    assert_eq!(allowed.iter().filter(|allowed| **allowed).count(), 10);
    assert!(store.count("other key", window, START).await.unwrap().allowed);
}

pub(super) async fn a_window_starts_with_its_first(store: Store) {
    let window = FixedWindow::new(1, 60_000);
    let first = store.count("key", window, at(500)).await.unwrap();
    assert_eq!((first.allowed, first.remaining, first.reset_s), (true, 0, 60));
    let second = store.count("key", window, at(30_500)).await.unwrap();
    assert_eq!((second.allowed, second.reset_s), (false, 30));
    assert!(!store.count("key", window, at(60_499)).await.unwrap().allowed);
    assert!(store.count("key", window, at(60_500)).await.unwrap().allowed);
}

pub(super) async fn what_is_forgotten_starts_anew(store: Store) {
    let window = FixedWindow::new(1, 60_000);
    assert!(store.count("key", window, START).await.unwrap().allowed);
    store.forget("key").await.unwrap();
    store.forget("key").await.unwrap();
    assert!(store.count("key", window, START).await.unwrap().allowed);
    assert!(!store.count("key", window, START).await.unwrap().allowed);
}

pub(super) async fn of_many_at_once_one_is_the_first(store: Store) {
    let first = at_once(32, |_| {
        let store = Arc::clone(&store);
        async move { store.first_seen("nonce", at(60_000), START).await.unwrap() }
    })
    .await;
    assert_eq!(first.iter().filter(|first| **first).count(), 1);
}

pub(super) async fn what_was_seen_is_remembered_for_its_time(store: Store) {
    assert!(store.first_seen("nonce", at(1_000), START).await.unwrap());
    assert!(store.first_seen("other", at(1_000), START).await.unwrap());
    assert!(!store.first_seen("nonce", at(1_500), at(999)).await.unwrap());
    assert!(store.first_seen("nonce", at(2_000), at(1_000)).await.unwrap());
}
