//! Visibility between processes on one server, effects of dropped calls, and evictions of a full server.

use std::sync::Arc;

use shared::{limits::window::FixedWindow, time::DAY_MS};
use tokio::task::JoinSet;

use super::{
    START, at, id, patient,
    private::{PrivateRedis, connect, until},
    shared_server,
};
use crate::store::{
    Ephemeral,
    ephemeral::{CacheGroup, CodeOutcome, OneTimeCode},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn limit_holds_across_processes() {
    let (url, prefix) = shared_server();
    let mut running = JoinSet::new();
    for _ in 0..4 {
        let store = Arc::new(patient(&url, &prefix).await);
        for _ in 0..10 {
            let store = Arc::clone(&store);
            running.spawn(async move {
                let counted = store.count("key", FixedWindow::new(7, 60_000), START).await.unwrap().allowed;
                (counted, store.insert_nonce("nonce", at(60_000), START).await.unwrap())
            });
        }
    }
    let all = running.join_all().await;
    assert_eq!(all.iter().filter(|(counted, _)| *counted).count(), 7);
    assert_eq!(all.iter().filter(|(_, is_first)| *is_first).count(), 1);
}

#[tokio::test]
async fn entry_of_one_process_is_found_and_invalidated_by_another() {
    let (url, prefix) = shared_server();
    let (one, other) = (patient(&url, &prefix).await, patient(&url, &prefix).await);
    let group = CacheGroup::SessionsOf(id(1));
    let lease = one.cached(group, "a", id(2), START).await.lease;
    one.fill(group, "a", lease, vec![7], at(1_000), START).await;
    assert_eq!(other.cached(group, "a", id(3), START).await.value, Some(vec![7]));
    other.invalidate(group).await;
    assert_eq!(one.cached(group, "a", id(4), START).await.value, None);

    one.put_code("key", OneTimeCode { hash: [1; 32], tries: 3, expires_at: at(1_000) }, START).await.unwrap();
    assert_eq!(other.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Accepted);

    assert_eq!(one.get_or_insert("key", vec![1], at(1_000), START).await.unwrap(), [1]);
    assert_eq!(other.get("key", START).await.unwrap(), Some(vec![1]));
    assert_eq!(other.get_or_insert("key", vec![2], at(1_000), START).await.unwrap(), [1]);
}

/// Every key is gone some time after what it holds has ended.
#[tokio::test]
async fn keys_expire() {
    let (url, prefix) = shared_server();
    let store = patient(&url, &prefix).await;
    store.count("a", FixedWindow::new(1, 60_000), START).await.unwrap();
    store.admit("a", shared::limits::gcra::Gcra::new(1, 60_000, 1), START).await.unwrap();
    store.insert_nonce("a", at(60_000), START).await.unwrap();
    store.get_or_insert("a", vec![1], at(60_000), START).await.unwrap();
    store
        .put_code("a", OneTimeCode { hash: [1; 32], tries: 3, expires_at: at(60_000) }, START)
        .await
        .unwrap();
    store.try_code("a", [2; 32], START).await.unwrap();
    let group = CacheGroup::ConversationsOf(id(1));
    let lease = store.cached(group, "a", id(2), START).await.lease;
    store.fill(group, "a", lease, vec![7], at(900_000), START).await;

    let mut connection = connect(&url).await.unwrap();
    let mut keys = Vec::<String>::new();
    let mut cursor = 0u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}:*")).arg("COUNT").arg(1_000);
        let (next, found): (u64, Vec<String>) = scan.query_async(&mut connection).await.unwrap();
        keys.extend(found);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    keys.retain(|key| !key.contains(":probe:"));
    assert_eq!(keys.len(), 6, "{keys:?}");
    for key in keys {
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!((1..=910_000).contains(&left), "{key}: {left}");
    }
}

/// Requests that are dropped midway do not shift the responses of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_belong_to_their_questions_after_calls_are_dropped() {
    const CALLERS: usize = 400;
    let (url, prefix) = shared_server();
    let store = Arc::new(patient(&url, &prefix).await);
    let value = |index: usize| format!("value {index}").into_bytes();
    let mut dropped = Vec::new();
    let mut kept = JoinSet::new();
    for index in 0..CALLERS {
        let (one, other) = (Arc::clone(&store), Arc::clone(&store));
        let key = format!("key{index}");
        dropped.push(tokio::spawn({
            let key = key.clone();
            async move { one.get_or_insert(&key, value(index), at(60_000), START).await.map(drop) }
        }));
        kept.spawn(async move {
            (index, other.get_or_insert(&key, value(index), at(60_000), START).await.unwrap())
        });
        // Some are dropped before they are sent, some before the response arrives, some after it.
        if let Some(task) = dropped.get(index.saturating_sub(index % 7)) {
            task.abort();
        }
        if index % 5 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut cancelled = 0;
    for task in dropped {
        cancelled += usize::from(task.await.is_err_and(|error| error.is_cancelled()));
    }
    assert!(cancelled > CALLERS / 10, "only {cancelled} were dropped");
    for (index, got) in kept.join_all().await {
        assert_eq!(got, value(index));
    }
    for index in 0..CALLERS {
        let got = store.get_or_insert(&format!("key{index}"), vec![], at(60_000), START).await.unwrap();
        assert_eq!(got, value(index));
    }
    store.ping().await.unwrap();
}

/// Returns the eviction policy in docker-compose.yml.
fn documented_policy() -> &'static str {
    let text = include_str!("../../../../../docker-compose.yml");
    let (_, rest) = text.split_once("- --maxmemory-policy\n").unwrap();
    rest.lines().next().unwrap().trim_start_matches([' ', '-'])
}

/// Other keys in Redis, however many, evict no full window that is in use.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn full_server_keeps_limits_in_use() {
    const FILLERS: usize = 100;
    let arguments =
        ["--maxmemory", "12mb", "--maxmemory-samples", "64", "--maxmemory-policy", documented_policy()];
    let server = PrivateRedis::start(&arguments).await;
    let store = patient(&server.url(), "test").await;
    let get_or_insert = async |index: usize| {
        store.get_or_insert(&format!("filler {index}"), vec![7; 100_000], at(DAY_MS), START).await.unwrap();
    };
    let is_full = async || {
        let window = FixedWindow::new(3, 60_000);
        !store.count("key", window, START).await.unwrap().allowed
    };
    for index in 0..FILLERS {
        get_or_insert(index).await;
    }
    // The server measures age in whole seconds.
    until(async || server.idle_s("test:value:*").await >= 2).await;
    for _ in 0..3 {
        assert!(!is_full().await);
    }
    for index in FILLERS..FILLERS * 3 / 2 {
        get_or_insert(index).await;
        assert!(is_full().await, "after {index}");
    }
    assert!(server.evicted().await >= FILLERS / 4, "there was room for all");
}
