//! Behaviour while Redis is away, and when it is back.

use std::{sync::Arc, time::Duration};

use shared::{
    id::Id,
    limits::{failures::FailureDelay, gcra::Gcra, window::FixedWindow},
};
use tokio::task::JoinSet;

use super::{
    IMPATIENT, START, at, id, open, patient,
    private::{PrivateRedis, until},
    way::Way,
};
use crate::store::{
    Ephemeral,
    ephemeral::{CacheGroup, CodeOutcome, OneTimeCode},
    redis::RedisEphemeral,
};

/// Far less than as many calls would take that each waited, far more than they take that do not.
const BOUND: Duration = Duration::from_secs(2);
const PAGES: CacheGroup = CacheGroup::ConversationsOf(Id::from_bytes([1; 16]));
const CODE: OneTimeCode = OneTimeCode { hash: [1; 32], tries: 3, expires_at: START.plus_millis(60_000) };

fn window() -> FixedWindow {
    FixedWindow::new(3, 60_000)
}

async fn allowed(store: &RedisEphemeral, key: &str, times: usize) -> usize {
    let mut allowed = 0;
    for _ in 0..times {
        allowed += usize::from(store.count(key, window(), START).await.unwrap().allowed);
    }
    allowed
}

/// Calls every operation, as many requests do, and returns whether the answers are those of a process without Redis.
async fn ask_everything(store: &RedisEphemeral) {
    assert_eq!(store.ping().await.unwrap_err().kind(), "unavailable");
    assert_eq!(allowed(store, "fresh", 10).await, 3);
    store.undo_count("fresh", window(), START).await.unwrap();
    assert_eq!(allowed(store, "fresh", 10).await, 1);
    let rule = FailureDelay::new(2, 1_000, 60_000, 60_000);
    let mut last = None;
    for _ in 0..10 {
        last = Some(store.count_failure("fresh", rule, START).await.unwrap());
    }
    let last = last.unwrap();
    assert_eq!((last.allowed, last.retry_after_ms), (false, 1_000));
    store.undo_failure("fresh", rule, last.state, START).await.unwrap();
    assert_eq!(store.check_failures("fresh", rule, START).await.unwrap().remaining, 0);
    let rate = Gcra::new(1, 1_000, 2);
    let mut admitted = 0;
    for _ in 0..10 {
        admitted += usize::from(store.admit("fresh", rate, START).await.unwrap().allowed);
    }
    assert_eq!(admitted, 2);
    assert!(store.insert_nonce("fresh", at(1_000), START).await.unwrap());
    assert!(!store.insert_nonce("fresh", at(1_000), START).await.unwrap());
    assert_eq!(store.get_or_insert("fresh", vec![1], at(1_000), START).await.unwrap(), [1]);
    assert_eq!(store.get_or_insert("fresh", vec![2], at(1_000), START).await.unwrap(), [1]);
    assert_eq!(store.get("fresh", START).await.unwrap(), Some(vec![1]));
    assert_eq!(store.put_code("fresh", CODE, START).await.unwrap_err().kind(), "unavailable");
    assert_eq!(store.try_code("fresh", [1; 32], START).await.unwrap_err().kind(), "unavailable");
    for entry in ["a", "b"] {
        let cached = store.cached(PAGES, entry, id(2), START).await;
        assert_eq!(cached.value, None);
        store.fill(PAGES, entry, cached.lease, vec![1], at(1_000), START).await;
        assert_eq!(store.cached(PAGES, entry, id(2), START).await.value, None);
        store.invalidate(PAGES).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn silent_server_is_awaited_once_and_limits_hold() {
    let server = PrivateRedis::start(&[]).await;
    let way = Way::to(server.addr()).await;
    let store = Arc::new(open(&way.url(), "test", IMPATIENT).await.unwrap());
    until(async || store.ping().await.is_ok()).await;
    // Seen by this process before: two of three are used up.
    assert_eq!(allowed(&store, "known", 2).await, 2);
    assert!(store.insert_nonce("known", at(60_000), START).await.unwrap());
    let value = store.get_or_insert("known", vec![1], at(60_000), START).await.unwrap();

    way.close().await;
    let asking = async {
        // Concurrent commands wait together.
        let mut running = JoinSet::new();
        for index in 0..50 {
            let store = Arc::clone(&store);
            running.spawn(async move { store.count(&format!("key{index}"), window(), START).await.unwrap() });
        }
        assert!(running.join_all().await.iter().all(|decision| decision.allowed));
        ask_everything(&store).await;
    };
    tokio::time::timeout(BOUND, asking).await.expect("each call waited");
    assert_eq!(allowed(&store, "known", 10).await, 1);
    assert!(!store.insert_nonce("known", at(60_000), START).await.unwrap());
    assert_eq!(store.get_or_insert("known", vec![2], at(60_000), START).await.unwrap(), value);

    way.open();
    until(async || store.ping().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn server_stopped_and_continued_is_used_again() {
    let server = PrivateRedis::start(&[]).await;
    let store = open(&server.url(), "test", IMPATIENT).await.unwrap();
    until(async || store.ping().await.is_ok()).await;
    server.signal("STOP");
    until(async || store.ping().await.is_err()).await;
    tokio::time::timeout(BOUND, ask_everything(&store)).await.expect("each call waited");
    server.signal("CONT");
    until(async || store.ping().await.is_ok()).await;
    until(async || store.put_code("key", CODE, START).await.is_ok()).await;
}

/// No caller waits for a cache write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn filling_takes_no_time() {
    let server = PrivateRedis::start(&[]).await;
    let way = Way::to(server.addr()).await;
    let store = patient(&way.url(), "test").await;
    let lease = store.cached(PAGES, "a", id(2), START).await.lease;
    way.close().await;
    let filling = async {
        // More than the limit of commands in flight.
        for _ in 0..1_000 {
            store.fill(PAGES, "a", lease, vec![1], at(1_000), START).await;
        }
    };
    tokio::time::timeout(BOUND, filling).await.expect("it waited for the server");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn restarted_server_is_used_again() {
    let mut server = PrivateRedis::start(&[]).await;
    let store = patient(&server.url(), "test").await;
    assert_eq!(allowed(&store, "key", 2).await, 2);
    server.kill();
    until(async || store.ping().await.is_err()).await;
    ask_everything(&store).await;
    server.restart().await;
    until(async || store.ping().await.is_ok()).await;
    // The scripts are gone with the server, and are there again; so is all that it has forgotten.
    store.put_code("key", CODE, START).await.unwrap();
    assert_eq!(store.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Accepted);
    assert_eq!(allowed(&store, "key", 9).await, 3);
    // What this process was given meanwhile is not new.
    assert!(!store.insert_nonce("fresh", at(1_000), START).await.unwrap());
    assert_eq!(store.get("fresh", START).await.unwrap(), Some(vec![1]));
}

/// Puts one page into the cache and sees that it is there.
async fn fill(store: &RedisEphemeral, lease: u128) {
    let cached = store.cached(PAGES, "a", id(lease), START).await;
    store.fill(PAGES, "a", cached.lease, b"old".to_vec(), at(60_000), START).await;
    assert_eq!(store.cached(PAGES, "a", id(lease + 1), START).await.value, Some(b"old".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lost_invalidation_is_repeated_before_reads() {
    let server = PrivateRedis::start(&[]).await;
    let way = Way::to(server.addr()).await;
    let store = open(&way.url(), "test", IMPATIENT).await.unwrap();
    let other = patient(&server.url(), "test").await;
    until(async || store.ping().await.is_ok()).await;
    fill(&other, 10).await;
    until(async || store.cached(PAGES, "a", id(12), START).await.value == Some(b"old".to_vec())).await;

    way.close().await;
    store.invalidate(PAGES).await;
    assert_eq!(store.cached(PAGES, "a", id(13), START).await.value, None);
    // The server never received it: another process still finds the page.
    assert!(other.cached(PAGES, "a", id(14), START).await.value.is_some());

    way.open();
    until(async || {
        assert_eq!(store.cached(PAGES, "a", id(15), START).await.value, None);
        store.ping().await.is_ok()
    })
    .await;
    assert_eq!(store.cached(PAGES, "a", id(16), START).await.value, None);
    assert_eq!(other.cached(PAGES, "a", id(17), START).await.value, None);
}

/// A process with a pending invalidation and an unreachable server, and another one that still finds the page.
async fn owing(server: &PrivateRedis) -> (Way, RedisEphemeral, RedisEphemeral) {
    let way = Way::to(server.addr()).await;
    let store = open(&way.url(), "test", IMPATIENT).await.unwrap();
    let other = patient(&server.url(), "test").await;
    until(async || store.ping().await.is_ok()).await;
    fill(&other, 10).await;
    way.close().await;
    store.invalidate(PAGES).await;
    assert!(other.cached(PAGES, "a", id(14), START).await.value.is_some());
    (way, store, other)
}

/// No process knows of the invalidation any more: entries from before a process began may be stale.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn invalidation_lost_with_its_process_leaves_no_stale_reads() {
    let server = PrivateRedis::start(&[]).await;
    let (way, store, other) = owing(&server).await;
    // Another has read before the write, and has not filled yet.
    let before = other.cached(PAGES, "b", id(15), START).await.lease;
    drop(store);
    way.open();
    let next = patient(&server.url(), "test").await;
    assert_eq!(next.cached(PAGES, "a", id(16), START).await.value, None);
    other.fill(PAGES, "b", before, b"old".to_vec(), at(60_000), START).await;
    let cached = next.cached(PAGES, "b", id(17), START).await;
    assert_eq!((cached.value, cached.lease), (None, id(16)));
    // What is read from then on is cached for both.
    next.fill(PAGES, "a", cached.lease, b"new".to_vec(), at(60_000), START).await;
    for store in [next, other] {
        assert_eq!(store.cached(PAGES, "a", id(18), START).await.value, Some(b"new".to_vec()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pending_invalidation_is_sent_before_exit() {
    let server = PrivateRedis::start(&[]).await;
    let (way, store, other) = owing(&server).await;
    tokio::time::timeout(BOUND, store.flush()).await.expect("waits for Redis without a bound");
    way.open();
    store.flush().await;
    drop(store);
    assert_eq!(other.cached(PAGES, "a", id(15), START).await.value, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn invalidation_of_dropped_request_is_sent() {
    let server = PrivateRedis::start(&[]).await;
    let store = Arc::new(patient(&server.url(), "test").await);
    for round in 0..50 {
        fill(&store, 100 * (round + 1)).await;
        let invalidating = tokio::spawn({
            let store = Arc::clone(&store);
            async move {
                // Polled once, then dropped.
                let _ = tokio::time::timeout(Duration::ZERO, store.invalidate(PAGES)).await;
            }
        });
        invalidating.await.unwrap();
        until(async || store.cached(PAGES, "a", id(9), START).await.value.is_none()).await;
    }
}

/// A server may come back with stale data: from a file, or as a replica that lagged.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn server_restored_from_snapshot_serves_nothing_stale() {
    let mut server = PrivateRedis::start(&[]).await;
    let store = patient(&server.url(), "test").await;
    fill(&store, 10).await;
    let mut connection = server.connect().await.unwrap();
    redis::cmd("SAVE").exec_async(&mut connection).await.unwrap();
    store.invalidate(PAGES).await;
    server.kill();
    until(async || store.ping().await.is_err()).await;
    server.restart().await;
    until(async || store.ping().await.is_ok()).await;

    assert!(server.has("test:list:*").await, "the old state is back");
    let cached = store.cached(PAGES, "a", id(20), START).await;
    assert_eq!((cached.value, cached.lease), (None, id(20)));
}

/// A server's writes as the master are lost when it has followed another one and is the master again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn server_that_was_a_replica_serves_nothing_stale() {
    let at_once = ["--repl-diskless-sync-delay", "0"];
    let (first, second) = (PrivateRedis::start(&at_once).await, PrivateRedis::start(&at_once).await);
    second.follow(Some(&first)).await;
    let store = patient(&first.url(), "test").await;
    fill(&store, 10).await;
    until(async || second.has("test:list:*").await).await;

    second.follow(None).await;
    store.invalidate(PAGES).await;
    assert!(!first.has("test:list:*").await);
    first.follow(Some(&second)).await;
    until(async || first.has("test:list:*").await).await;
    assert_eq!(store.cached(PAGES, "a", id(20), START).await.value, None);
    first.follow(None).await;
    until(async || store.put_code("key", CODE, START).await.is_ok()).await;
    let cached = store.cached(PAGES, "a", id(21), START).await;
    assert_eq!((cached.value, cached.lease), (None, id(21)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scripts_that_a_server_has_forgotten_are_sent_again() {
    let server = PrivateRedis::start(&[]).await;
    let store = patient(&server.url(), "test").await;
    let mut connection = server.connect().await.unwrap();
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.unwrap();
    store.put_code("key", CODE, START).await.unwrap();
    assert_eq!(store.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Accepted);
}

/// A server that accepts no writes counts as away: the process answers alone, and nothing flaps.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn read_only_server_counts_as_away() {
    let server = PrivateRedis::start(&[]).await;
    let store = patient(&server.url(), "test").await;
    let mut connection = server.connect().await.unwrap();
    let mut refuse = redis::cmd("CONFIG");
    refuse.arg("SET").arg("min-replicas-to-write").arg(1).exec_async(&mut connection).await.unwrap();
    assert_eq!(allowed(&store, "key", 9).await, 3);
    ask_everything(&store).await;
    let mut accept = redis::cmd("CONFIG");
    accept.arg("SET").arg("min-replicas-to-write").arg(0).exec_async(&mut connection).await.unwrap();
    until(async || store.ping().await.is_ok()).await;
}

/// A key of another type fails alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn value_of_other_type_fails_alone() {
    let server = PrivateRedis::start(&[]).await;
    let store = patient(&server.url(), "test").await;
    store.put_code("key", CODE, START).await.unwrap();
    let mut connection = server.connect().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("test:code:*").query_async(&mut connection).await.unwrap();
    redis::cmd("SET").arg(&keys[0]).arg("text").exec_async(&mut connection).await.unwrap();
    assert_eq!(store.try_code("key", [1; 32], START).await.unwrap_err().kind(), "unavailable");
    store.ping().await.unwrap();
    store.put_code("other", CODE, START).await.unwrap();
}
