//! The cache and its leases.

use std::sync::Arc;

use shared::{id::Id, time::Timestamp};

use super::Store;
use crate::store::{
    contract::{
        at_once,
        samples::{START, at, id},
    },
    ephemeral::{CacheGroup, MAX_ENTRIES_A_GROUP, MAX_ENTRY_BYTES},
};

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

pub(in crate::store::contract) async fn filled_entry_is_found(store: Store) {
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

pub(in crate::store::contract) async fn entry_after_expiry_is_absent(store: Store) {
    let (_, lease) = get(&store, PAGES(), "a", 100, START).await;
    store.fill(PAGES(), "a", lease, b"short".to_vec(), at(1_000), START).await;
    store.fill(PAGES(), "b", lease, b"long".to_vec(), at(2_000), START).await;
    store.fill(PAGES(), "c", lease, b"gone".to_vec(), START, START).await;
    assert!(get(&store, PAGES(), "a", 101, at(999)).await.0.is_some());
    assert_eq!(get(&store, PAGES(), "a", 102, at(1_000)).await.0, None);
    assert!(get(&store, PAGES(), "b", 103, at(1_000)).await.0.is_some());
    assert_eq!(get(&store, PAGES(), "c", 104, START).await.0, None);
}

pub(in crate::store::contract) async fn groups_are_apart(store: Store) {
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

pub(in crate::store::contract) async fn lease_from_before_invalidation_fills_nothing(store: Store) {
    let (_, lease) = get(&store, PAGES(), "a", 100, START).await;
    store.invalidate(PAGES()).await;
    store.fill(PAGES(), "a", lease, b"old".to_vec(), at(1_000), START).await;
    let (value, lease_now) = get(&store, PAGES(), "a", 101, START).await;
    assert_eq!((value, lease_now), (None, id(101)));
    store.fill(PAGES(), "a", lease, b"old".to_vec(), at(1_000), START).await;
    assert_eq!(get(&store, PAGES(), "a", 102, START).await, (None, id(101)));
    // Nor does one that was never issued.
    store.fill(PAGES(), "a", id(103), b"old".to_vec(), at(1_000), START).await;
    assert_eq!(get(&store, PAGES(), "a", 104, START).await.0, None);
}

pub(in crate::store::contract) async fn older_valid_lease_fills(store: Store) {
    let (_, first) = get(&store, PAGES(), "a", 100, START).await;
    let (_, second) = get(&store, PAGES(), "a", 101, START).await;
    assert_eq!(first, second);
    store.fill(PAGES(), "a", second, b"second".to_vec(), at(1_000), START).await;
    store.fill(PAGES(), "b", first, b"first".to_vec(), at(1_000), START).await;
    assert!(get(&store, PAGES(), "a", 102, START).await.0.is_some());
    assert!(get(&store, PAGES(), "b", 103, START).await.0.is_some());
}

pub(in crate::store::contract) async fn group_holds_a_bounded_number_of_entries(store: Store) {
    let (_, lease) = get(&store, PAGES(), "a", 100, START).await;
    for entry in 0..200 {
        store.fill(PAGES(), &format!("{entry}"), lease, vec![7], at(1_000), START).await;
        // Of many concurrent writes some may be skipped.
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

pub(in crate::store::contract) async fn oversized_value_is_not_cached(store: Store) {
    let (_, lease) = get(&store, PAGES(), "a", 100, START).await;
    store.fill(PAGES(), "large", lease, vec![7; MAX_ENTRY_BYTES + 1], at(1_000), START).await;
    store.fill(PAGES(), "fits", lease, vec![7; MAX_ENTRY_BYTES], at(1_000), START).await;
    assert_eq!(get(&store, PAGES(), "large", 101, START).await.0, None);
    assert_eq!(
        get(&store, PAGES(), "fits", 101, START).await.0.map(|value| value.len()),
        Some(MAX_ENTRY_BYTES)
    );
}

/// Readers that read, wait and fill, and a writer that writes and invalidates: no reader gets a value older than the last write
/// that was acknowledged before its read began.
pub(in crate::store::contract) async fn value_read_before_invalidation_is_never_served(store: Store) {
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
