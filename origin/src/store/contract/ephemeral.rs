//! The suite of the ephemeral port.

use std::sync::Arc;

use shared::{
    id::Id,
    limits::{gcra::Gcra, window::FixedWindow},
    time::Timestamp,
};

use super::{
    at_once,
    samples::{START, at, id},
};
use crate::store::{
    Ephemeral,
    ephemeral::{CacheGroup, CodeOutcome, MAX_ENTRIES_A_GROUP, MAX_ENTRY_BYTES, OneTimeCode},
};

/// The cases; `$open` is a fresh store and what keeps it alive.
macro_rules! suite {
    ($open:expr) => {
        $crate::store::contract::run_suite! { ephemeral on $open;
            exactly_as_many_are_allowed_as_the_window_holds
            a_window_starts_with_its_first
            what_is_taken_back_makes_room_for_one
            what_is_forgotten_starts_anew
            of_many_at_once_one_is_the_first
            what_was_seen_is_remembered_for_its_time
            a_window_decides_as_the_arithmetic_does
            a_rate_decides_as_the_arithmetic_does
            of_many_at_once_as_many_are_admitted_as_the_burst_holds
            of_many_that_remember_all_get_the_same
            what_is_remembered_lasts_its_time
            what_is_remembered_is_recalled_for_its_time
            names_of_any_kind_are_apart
            of_many_right_guesses_one_is_accepted
            no_more_guesses_are_heard_than_the_code_bears
            a_code_ends_with_its_tries
            a_code_ends_with_its_time
            a_new_code_takes_the_place_of_the_old
            what_is_filled_is_found
            an_entry_ends_with_its_time
            groups_are_apart
            a_lease_from_before_an_invalidation_fills_nothing
            an_older_lease_that_stands_fills
            a_group_holds_a_bounded_number_of_entries
            what_is_too_large_is_not_cached
            what_was_read_before_an_invalidation_is_never_served
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

pub(super) async fn what_is_taken_back_makes_room_for_one(store: Store) {
    let window = FixedWindow::new(2, 60_000);
    store.take_back("key", window, START).await.unwrap();
    for _ in 0..2 {
        assert!(store.count("key", window, START).await.unwrap().allowed);
    }
    assert!(!store.count("key", window, START).await.unwrap().allowed);
    store.take_back("key", window, at(10_000)).await.unwrap();
    let again = store.count("key", window, at(20_000)).await.unwrap();
    assert_eq!((again.allowed, again.remaining, again.reset_s), (true, 0, 40));
    at_once(2, |_| {
        let store = Arc::clone(&store);
        async move { store.take_back("key", window, at(30_000)).await.unwrap() }
    })
    .await;
    let anew = store.count("key", window, at(30_000)).await.unwrap();
    assert_eq!((anew.allowed, anew.remaining, anew.reset_s), (true, 1, 60));
    // A window that is closed has nothing to give back.
    store.take_back("key", window, at(90_000)).await.unwrap();
    assert_eq!(store.count("key", window, at(90_000)).await.unwrap().remaining, 1);
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

/// Offsets that come in bursts, far apart, and back in time.
const UNEVEN: [i64; 16] =
    [0, 0, 1, 40, 400, 400, 399, 1_000, 1_001, 9_000, 9_000, 9_000, 9_000, 8_000, 500, 20_000];

pub(super) async fn a_window_decides_as_the_arithmetic_does(store: Store) {
    let window = FixedWindow::new(3, 1_000);
    let mut state = None;
    for offset in UNEVEN {
        let expected = window.check(state, at(offset));
        state = Some(expected.state);
        assert_eq!(store.count("key", window, at(offset)).await.unwrap(), expected, "at {offset}");
    }
}

pub(super) async fn a_rate_decides_as_the_arithmetic_does(store: Store) {
    // Thirds, so that the interval is no whole number of milliseconds.
    let rate = Gcra::new(3, 1_000, 2);
    let mut tat = None;
    for offset in UNEVEN {
        let expected = rate.check(tat, at(offset));
        tat = Some(expected.tat);
        assert_eq!(store.admit("key", rate, at(offset)).await.unwrap(), expected, "at {offset}");
    }
}

pub(super) async fn of_many_at_once_as_many_are_admitted_as_the_burst_holds(store: Store) {
    let rate = Gcra::new(10, 1_000, 5);
    let admitted = at_once(32, |_| {
        let store = Arc::clone(&store);
        async move { store.admit("key", rate, START).await.unwrap().allowed }
    })
    .await;
    assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 5);
    assert!(store.admit("other key", rate, START).await.unwrap().allowed);
}

pub(super) async fn of_many_that_remember_all_get_the_same(store: Store) {
    let got =
        at_once(32, |index| {
            let store = Arc::clone(&store);
            async move {
                store.remember("key", vec![u8::try_from(index).unwrap()], at(60_000), START).await.unwrap()
            }
        })
        .await;
    assert!(got.iter().all(|value| *value == got[0] && value.len() == 1), "{got:?}");
}

pub(super) async fn what_is_remembered_lasts_its_time(store: Store) {
    let remember =
        |value: &'static [u8], until, now| store.remember("key", value.to_vec(), at(until), at(now));
    // Any bytes, those that might part a stored form among them.
    assert_eq!(remember(b":\0\xff:1", 1_000, 0).await.unwrap(), b":\0\xff:1");
    assert_eq!(remember(b"second", 5_000, 999).await.unwrap(), b":\0\xff:1");
    assert_eq!(remember(b"third", 2_000, 1_000).await.unwrap(), b"third");
    assert_eq!(remember(b"fourth", 9_000, 1_999).await.unwrap(), b"third");
    assert_eq!(remember(b"", 9_000, 2_000).await.unwrap(), b"");
    assert_eq!(remember(b"sixth", 9_000, 2_000).await.unwrap(), b"");
}

pub(super) async fn what_is_remembered_is_recalled_for_its_time(store: Store) {
    let recall = |now| {
        let store = Arc::clone(&store);
        async move { store.recall("key", at(now)).await.unwrap() }
    };
    assert_eq!(recall(0).await, None);
    // To look leaves nothing behind.
    store.remember("key", b":1\xff".to_vec(), at(1_000), START).await.unwrap();
    assert_eq!(recall(999).await.as_deref(), Some(&b":1\xff"[..]));
    assert_eq!(store.recall("other", START).await.unwrap(), None);
    store.remember("key", b"second".to_vec(), at(9_000), at(500)).await.unwrap();
    assert_eq!(recall(999).await.as_deref(), Some(&b":1\xff"[..]));
    assert_eq!(recall(1_000).await, None);
    store.remember("key", vec![], at(2_000), at(1_000)).await.unwrap();
    assert_eq!(recall(1_000).await.as_deref(), Some(&[][..]));
}

pub(super) async fn names_of_any_kind_are_apart(store: Store) {
    let (long, longer) = ("x".repeat(20_000), "x".repeat(20_001));
    let names = ["", " ", "a", "{a}", "{a}b", "a}{b", "a:b", "a\0b", "\u{1f600}", &long, &longer];
    for name in names {
        assert!(store.first_seen(name, at(1_000), START).await.unwrap(), "{name:.20}");
        let window = FixedWindow::new(1, 1_000);
        assert!(store.count(name, window, START).await.unwrap().allowed, "{name:.20}");
        assert_eq!(store.remember(name, name.into(), at(1_000), START).await.unwrap(), name.as_bytes());
        store.put_code(name, code(1, 1, 1_000), START).await.unwrap();
    }
    for name in names {
        assert!(!store.first_seen(name, at(1_000), START).await.unwrap(), "{name:.20}");
        assert_eq!(store.remember(name, vec![], at(1_000), START).await.unwrap(), name.as_bytes());
        assert_eq!(store.try_code(name, [1; 32], START).await.unwrap(), CodeOutcome::Accepted);
    }
}

/// A code of this hash that bears so many guesses.
fn code(hash: u8, tries: u32, expires: i64) -> OneTimeCode {
    OneTimeCode { hash: [hash; 32], tries, expires_at: at(expires) }
}

/// What each of so many guesses at once came to.
async fn guesses(store: &Store, count: usize, hash: u8) -> Vec<CodeOutcome> {
    at_once(count, |_| {
        let store = Arc::clone(store);
        async move { store.try_code("key", [hash; 32], START).await.unwrap() }
    })
    .await
}

pub(super) async fn of_many_right_guesses_one_is_accepted(store: Store) {
    store.put_code("key", code(1, 5, 60_000), START).await.unwrap();
    let outcomes = guesses(&store, 32, 1).await;
    let accepted = outcomes.iter().filter(|outcome| **outcome == CodeOutcome::Accepted);
    assert_eq!(accepted.count(), 1);
    let absent = outcomes.iter().filter(|outcome| **outcome == CodeOutcome::Absent);
    assert_eq!(absent.count(), 31);
}

pub(super) async fn no_more_guesses_are_heard_than_the_code_bears(store: Store) {
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

pub(super) async fn a_code_ends_with_its_tries(store: Store) {
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

pub(super) async fn a_code_ends_with_its_time(store: Store) {
    store.put_code("key", code(1, 9, 1_000), START).await.unwrap();
    assert_eq!(store.try_code("key", [2; 32], at(999)).await.unwrap(), CodeOutcome::Wrong { tries_left: 8 });
    assert_eq!(store.try_code("key", [1; 32], at(1_000)).await.unwrap(), CodeOutcome::Absent);
}

pub(super) async fn a_new_code_takes_the_place_of_the_old(store: Store) {
    store.put_code("key", code(1, 1, 60_000), START).await.unwrap();
    store.put_code("key", code(2, 3, 1_000), START).await.unwrap();
    assert_eq!(store.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Wrong { tries_left: 2 });
    assert_eq!(store.try_code("key", [2; 32], at(1_000)).await.unwrap(), CodeOutcome::Absent);
}

/// The cached pages of user 1.
const PAGES: fn() -> CacheGroup = || CacheGroup::ConversationsOf(id(1));

/// Reads the cache, and gives what it has and the lease.
async fn get(
    store: &Store,
    group: CacheGroup,
    entry: &str,
    lease: u32,
    now: Timestamp,
) -> (Option<Vec<u8>>, Id) {
    let cached = store.cached(group, entry, id(lease), now).await;
    (cached.value, cached.lease)
}

pub(super) async fn what_is_filled_is_found(store: Store) {
    let (value, lease) = get(&store, PAGES(), "a", 100, START).await;
    assert_eq!((value, lease), (None, id(100)));
    store.fill(PAGES(), "a", lease, b"page\0".to_vec(), at(1_000), START).await;
    assert_eq!(get(&store, PAGES(), "a", 101, START).await, (Some(b"page\0".to_vec()), id(100)));
    assert_eq!(get(&store, PAGES(), "b", 102, START).await, (None, id(100)));
    store.fill(PAGES(), "a", lease, b"newer".to_vec(), at(1_000), START).await;
    assert_eq!(get(&store, PAGES(), "a", 103, START).await.0, Some(b"newer".to_vec()));

    store.invalidate(PAGES()).await;
    assert_eq!(get(&store, PAGES(), "a", 104, START).await, (None, id(104)));
}

pub(super) async fn an_entry_ends_with_its_time(store: Store) {
    let (_, lease) = get(&store, PAGES(), "a", 100, START).await;
    store.fill(PAGES(), "a", lease, b"short".to_vec(), at(1_000), START).await;
    store.fill(PAGES(), "b", lease, b"long".to_vec(), at(2_000), START).await;
    store.fill(PAGES(), "c", lease, b"gone".to_vec(), START, START).await;
    assert!(get(&store, PAGES(), "a", 101, at(999)).await.0.is_some());
    assert_eq!(get(&store, PAGES(), "a", 102, at(1_000)).await.0, None);
    assert!(get(&store, PAGES(), "b", 103, at(1_000)).await.0.is_some());
    assert_eq!(get(&store, PAGES(), "c", 104, START).await.0, None);
}

pub(super) async fn groups_are_apart(store: Store) {
    let groups = [
        CacheGroup::ConversationsOf(id(1)),
        CacheGroup::ConversationsOf(id(2)),
        CacheGroup::SessionsOf(id(1)),
        CacheGroup::SessionsOf(id(2)),
    ];
    for (value, group) in (0u8..).zip(groups) {
        let (_, lease) = get(&store, group, "a", 100 + u32::from(value), START).await;
        store.fill(group, "a", lease, vec![value], at(1_000), START).await;
    }
    store.invalidate(groups[2]).await;
    for (value, group) in (0u8..).zip(groups) {
        let expected = (value != 2).then(|| vec![value]);
        assert_eq!(get(&store, group, "a", 200, START).await.0, expected, "{group:?}");
    }
}

pub(super) async fn a_lease_from_before_an_invalidation_fills_nothing(store: Store) {
    let (_, lease) = get(&store, PAGES(), "a", 100, START).await;
    store.invalidate(PAGES()).await;
    store.fill(PAGES(), "a", lease, b"old".to_vec(), at(1_000), START).await;
    let (value, lease_now) = get(&store, PAGES(), "a", 101, START).await;
    assert_eq!((value, lease_now), (None, id(101)));
    store.fill(PAGES(), "a", lease, b"old".to_vec(), at(1_000), START).await;
    assert_eq!(get(&store, PAGES(), "a", 102, START).await, (None, id(101)));
    // Nor does one that nobody was given.
    store.fill(PAGES(), "a", id(103), b"old".to_vec(), at(1_000), START).await;
    assert_eq!(get(&store, PAGES(), "a", 104, START).await.0, None);
}

pub(super) async fn an_older_lease_that_stands_fills(store: Store) {
    let (_, first) = get(&store, PAGES(), "a", 100, START).await;
    let (_, second) = get(&store, PAGES(), "a", 101, START).await;
    assert_eq!(first, second);
    store.fill(PAGES(), "a", second, b"second".to_vec(), at(1_000), START).await;
    store.fill(PAGES(), "b", first, b"first".to_vec(), at(1_000), START).await;
    assert!(get(&store, PAGES(), "a", 102, START).await.0.is_some());
    assert!(get(&store, PAGES(), "b", 103, START).await.0.is_some());
}

pub(super) async fn a_group_holds_a_bounded_number_of_entries(store: Store) {
    let (_, lease) = get(&store, PAGES(), "a", 100, START).await;
    for entry in 0..200 {
        store.fill(PAGES(), &format!("{entry}"), lease, vec![7], at(1_000), START).await;
        // Of many that are on their way at once some may be left out.
        assert!(get(&store, PAGES(), &format!("{entry}"), 101, START).await.0.is_some());
    }
    let mut found = 0;
    for entry in 0..200 {
        let (value, lease_now) = get(&store, PAGES(), &format!("{entry}"), 101, START).await;
        assert_eq!(lease_now, lease);
        found += usize::from(value.is_some());
    }
    assert!((1..=MAX_ENTRIES_A_GROUP).contains(&found), "{found} are found");
    assert!(get(&store, PAGES(), "199", 102, START).await.0.is_some());
}

pub(super) async fn what_is_too_large_is_not_cached(store: Store) {
    let (_, lease) = get(&store, PAGES(), "a", 100, START).await;
    store.fill(PAGES(), "large", lease, vec![7; MAX_ENTRY_BYTES + 1], at(1_000), START).await;
    store.fill(PAGES(), "fits", lease, vec![7; MAX_ENTRY_BYTES], at(1_000), START).await;
    assert_eq!(get(&store, PAGES(), "large", 101, START).await.0, None);
    assert_eq!(
        get(&store, PAGES(), "fits", 101, START).await.0.map(|value| value.len()),
        Some(MAX_ENTRY_BYTES)
    );
}

/// Readers that read, wait and fill, and a writer that writes and invalidates: nobody reads what is older than the last
/// write that was acknowledged before the reading began.
pub(super) async fn what_was_read_before_an_invalidation_is_never_served(store: Store) {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    let (truth, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    at_once(8, |task| {
        let (store, truth, acknowledged) =
            (Arc::clone(&store), Arc::clone(&truth), Arc::clone(&acknowledged));
        async move {
            for round in 0..150u32 {
                if task == 0 {
                    let written = truth.fetch_add(1, SeqCst) + 1;
                    store.invalidate(PAGES()).await;
                    acknowledged.store(written, SeqCst);
                    continue;
                }
                let lease = 10_000 + u32::try_from(task).unwrap() * 1_000 + round;
                let floor = acknowledged.load(SeqCst);
                let (value, lease) = get(&store, PAGES(), "a", lease, START).await;
                if let Some(value) = value {
                    let read = u64::from_be_bytes(value.try_into().unwrap());
                    assert!(read >= floor, "read {read} after {floor} was acknowledged");
                    continue;
                }
                let read = truth.load(SeqCst);
                for _ in 0..task {
                    tokio::task::yield_now().await;
                }
                store.fill(PAGES(), "a", lease, read.to_be_bytes().to_vec(), at(1_000), START).await;
            }
        }
    })
    .await;
}
