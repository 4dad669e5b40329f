//! Windows, failures and rates.

use std::sync::Arc;

use shared::limits::{failures::FailureDelay, gcra::Gcra, window::FixedWindow};

use super::Store;
use crate::store::contract::{
    at_once,
    samples::{START, at},
};

pub(in crate::store::contract) async fn exactly_as_many_are_allowed_as_the_window_holds(store: Store) {
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

pub(in crate::store::contract) async fn window_starts_at_first_request(store: Store) {
    let window = FixedWindow::new(1, 60_000);
    let first = store.count("key", window, at(500)).await.unwrap();
    assert_eq!((first.allowed, first.remaining, first.reset_s), (true, 0, 60));
    let second = store.count("key", window, at(30_500)).await.unwrap();
    assert_eq!((second.allowed, second.reset_s), (false, 30));
    assert!(!store.count("key", window, at(60_499)).await.unwrap().allowed);
    assert!(store.count("key", window, at(60_500)).await.unwrap().allowed);
}

pub(in crate::store::contract) async fn undone_count_makes_room_for_one(store: Store) {
    let window = FixedWindow::new(2, 60_000);
    store.undo_count("key", window, START).await.unwrap();
    for _ in 0..2 {
        assert!(store.count("key", window, START).await.unwrap().allowed);
    }
    assert!(!store.count("key", window, START).await.unwrap().allowed);
    store.undo_count("key", window, at(10_000)).await.unwrap();
    let again = store.count("key", window, at(20_000)).await.unwrap();
    assert_eq!((again.allowed, again.remaining, again.reset_s), (true, 0, 40));
    at_once(2, |_| {
        let store = Arc::clone(&store);
        async move { store.undo_count("key", window, at(30_000)).await.unwrap() }
    })
    .await;
    let anew = store.count("key", window, at(30_000)).await.unwrap();
    assert_eq!((anew.allowed, anew.remaining, anew.reset_s), (true, 1, 60));
    // A window that is closed has nothing to give back.
    store.undo_count("key", window, at(90_000)).await.unwrap();
    assert_eq!(store.count("key", window, at(90_000)).await.unwrap().remaining, 1);
}

/// Three free failures, then a second, doubled, up to a minute; one is forgiven in ten seconds.
const DELAYS: FailureDelay = FailureDelay::new(3, 1_000, 60_000, 10_000);

pub(in crate::store::contract) async fn as_many_failures_at_once_are_allowed_as_are_free(store: Store) {
    let allowed = at_once(32, |_| {
        let store = Arc::clone(&store);
        async move { store.count_failure("key", DELAYS, START).await.unwrap().allowed }
    })
    .await;
    // The first one that is not free begins the delay.
    assert_eq!(allowed.iter().filter(|allowed| **allowed).count(), 4);
    assert!(store.count_failure("other key", DELAYS, START).await.unwrap().allowed);
}

pub(in crate::store::contract) async fn failures_decide_as_arithmetic(store: Store) {
    let mut state = None;
    for offset in UNEVEN {
        let checked = store.check_failures("key", DELAYS, at(offset)).await.unwrap();
        assert_eq!(checked, DELAYS.check(state, at(offset)), "at {offset}");
        let expected = DELAYS.count(state, at(offset));
        state = Some(expected.state);
        assert_eq!(store.count_failure("key", DELAYS, at(offset)).await.unwrap(), expected, "at {offset}");
    }
}

pub(in crate::store::contract) async fn undone_failure_leaves_no_trace(store: Store) {
    let nothing = DELAYS.count(None, START).state;
    store.undo_failure("key", DELAYS, nothing, START).await.unwrap();
    for _ in 0..3 {
        store.count_failure("key", DELAYS, START).await.unwrap();
    }
    for offset in [5, 6] {
        let right = store.count_failure("key", DELAYS, at(offset)).await.unwrap();
        assert!(right.allowed);
        assert!(!store.check_failures("key", DELAYS, at(offset)).await.unwrap().allowed);
        store.undo_failure("key", DELAYS, right.state, at(offset)).await.unwrap();
    }
    let wrong = store.count_failure("key", DELAYS, at(7)).await.unwrap();
    // One that is counted after it keeps its delay.
    store.undo_failure("key", DELAYS, nothing, at(7)).await.unwrap();
    let checked = store.check_failures("key", DELAYS, at(7)).await.unwrap();
    assert_eq!((checked.allowed, checked.state.next_at), (false, wrong.state.next_at));
}

/// Offsets that come in bursts, far apart, and back in time.
const UNEVEN: [i64; 16] =
    [0, 0, 1, 40, 400, 400, 399, 1_000, 1_001, 9_000, 9_000, 9_000, 9_000, 8_000, 500, 20_000];

pub(in crate::store::contract) async fn window_decides_as_arithmetic(store: Store) {
    let window = FixedWindow::new(3, 1_000);
    let mut state = None;
    for offset in UNEVEN {
        let expected = window.check(state, at(offset));
        state = Some(expected.state);
        assert_eq!(store.count("key", window, at(offset)).await.unwrap(), expected, "at {offset}");
    }
}

pub(in crate::store::contract) async fn rate_decides_as_arithmetic(store: Store) {
    // Thirds, so that the interval is no whole number of milliseconds.
    let rate = Gcra::new(3, 1_000, 2);
    let mut tat = None;
    for offset in UNEVEN {
        let expected = rate.check(tat, at(offset));
        tat = Some(expected.tat);
        assert_eq!(store.admit("key", rate, at(offset)).await.unwrap(), expected, "at {offset}");
    }
}

pub(in crate::store::contract) async fn of_many_at_once_as_many_are_admitted_as_the_burst_holds(
    store: Store,
) {
    let rate = Gcra::new(10, 1_000, 5);
    let admitted = at_once(32, |_| {
        let store = Arc::clone(&store);
        async move { store.admit("key", rate, START).await.unwrap().allowed }
    })
    .await;
    assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 5);
    assert!(store.admit("other key", rate, START).await.unwrap().allowed);
}
