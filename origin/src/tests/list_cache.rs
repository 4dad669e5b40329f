//! Tests of the cached list of conversations: as it was sent, and never older than the last acknowledged write.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use serde_json::{Value, json};
use shared::id::Id;
use tokio::sync::Notify;

use super::{
    deliveries::{self, delivery},
    test_env::{Answer, Call, Member, TestEnv, problem},
};
use crate::{
    clock::Clock as _,
    routes::list_cache::write_and_invalidate,
    store::{StoreError, StoreResult, contract::down, ephemeral::CacheGroup},
};

const LIST: &str = "/api/v1/chat/conversations";

async fn list(env: &TestEnv, member: &Member, query: &str) -> Answer {
    let answer = env.send(Call::get(format!("{LIST}{query}")).token(&member.access)).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json"),
        "{:?}",
        answer.body
    );
    answer
}

async fn cached(env: &TestEnv, member: &Member, entry: &str) -> Option<Vec<u8>> {
    let now = env.clock.now();
    let group = CacheGroup::ConversationsOf(member.id);
    env.app.stores.ephemeral.cached(group, entry, env.app.random.id(now), now).await.value
}

/// Puts a page into the cache that no store has, to detect a response from the cache.
async fn plant(env: &TestEnv, member: &Member, entry: &str, page: &str) {
    let (group, now) = (CacheGroup::ConversationsOf(member.id), env.clock.now());
    let lease = env.app.stores.ephemeral.cached(group, entry, env.app.random.id(now), now).await.lease;
    let until = now.plus_millis(300_000);
    env.app.stores.ephemeral.fill(group, entry, lease, page.into(), until, now).await;
}

#[tokio::test]
async fn first_page_is_cached_unchanged_until_it_expires() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    for _ in 0..3 {
        env.open(&ada).await;
    }
    for (query, entry) in [
        ("", "conversations.20"),
        ("?limit=2", "conversations.2"),
        ("?archived=true", "conversations.archived.20"),
        ("?archived=false&limit=100", "conversations.active.100"),
    ] {
        assert_eq!(cached(&env, &ada, entry).await, None, "{query}");
        let miss = list(&env, &ada, query).await;
        assert_eq!(cached(&env, &ada, entry).await.as_deref(), Some(&miss.body[..]), "{query}");
        let hit = list(&env, &ada, query).await;
        assert_eq!(hit.body, miss.body, "{query}");
        let headers = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.remove("x-request-id");
            headers
        };
        assert_eq!(headers(&hit), headers(&miss), "{query}");
    }
    // A cached page is sent unchanged; a later page is not cached.
    let second = format!(
        "?limit=2&cursor={}",
        list(&env, &ada, "?limit=2").await.json()["next_cursor"].as_str().unwrap()
    );
    plant(&env, &ada, "conversations.2", "planted").await;
    assert_eq!(list(&env, &ada, "?limit=2").await.body, "planted");
    assert_eq!(list(&env, &ada, &second).await.json()["items"].as_array().unwrap().len(), 1);
    let eve = env.register("eve").await;
    assert_eq!(list(&env, &eve, "?limit=2").await.json()["items"], json!([]));
    env.clock.advance(300_000);
    assert_eq!(list(&env, &ada, "?limit=2").await.json()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn disabled_cache_is_not_read() {
    let env = TestEnv::with(&[("CACHE_TTL_SECONDS", "0")]).await;
    let ada = env.register("ada").await;
    env.open(&ada).await;
    plant(&env, &ada, "conversations.20", "planted").await;
    assert_eq!(list(&env, &ada, "").await.json()["items"].as_array().unwrap().len(), 1);
    // Another replica may have it on: writes clear it nevertheless.
    env.open(&ada).await;
    assert_eq!(cached(&env, &ada, "conversations.20").await, None);
}

#[tokio::test]
async fn write_clears_list_of_its_user_only() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let conversation = env.open(&ada).await;
    let path = format!("{LIST}/{conversation}");
    let turn = delivery(&env, &ada, conversation, 0);
    let absent = format!("{LIST}/{}", env.app.random.id(env.clock.now()));
    plant(&env, &eve, "conversations.20", "hers").await;
    let keyed = Call::post(LIST).header("Idempotency-Key", "k1").json(&json!({}));
    for (call, status) in [
        (keyed.clone(), 201),
        (keyed, 201),
        (Call::new("PATCH", &path).json(&json!({"pinned": true})), 200),
        (Call::new("PATCH", &absent).json(&json!({"pinned": true})), 404),
        (deliveries::call(&ada, &turn), 200),
        (deliveries::call(&ada, &turn), 200),
        (Call::new("DELETE", &path), 204),
        (Call::new("DELETE", &path), 404),
        (deliveries::call(&ada, &turn), 200),
    ] {
        plant(&env, &ada, "conversations.20", "stale").await;
        let what = format!("{call:?}");
        let call = if what.contains("internal") { call } else { call.token(&ada.access) };
        assert_eq!(env.send(env.sign(call, "203.0.113.7")).await.status, status, "{what}");
        assert_eq!(cached(&env, &ada, "conversations.20").await, None, "{what}");
    }
    assert_eq!(list(&env, &eve, "").await.body, "hers");
}

#[tokio::test]
async fn failed_usage_count_leaves_no_stale_list() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let before = list(&env, &ada, "").await;
    assert_eq!(before.json()["items"][0]["message_count"], 0);
    let cut_off = env.on_stores(|stores| stores.accounts = down::accounts());
    let call = deliveries::call(&ada, &delivery(&env, &ada, conversation, 0));
    let failed = cut_off.send(env.sign(call, "203.0.113.7")).await;
    assert_eq!(failed.problem(), problem(503, "store_unavailable"));
    assert_eq!(list(&env, &ada, "").await.json()["items"][0]["message_count"], 2);
}

#[tokio::test]
async fn timed_out_write_that_succeeded_is_listed() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    list(&env, &ada, "").await;
    let (id, now) = (ada.id, env.clock.now());
    let outcome = write_and_invalidate(&env.app, id, |chats| async move {
        assert!(chats.delete_conversation(id, conversation, now).await.unwrap());
        StoreResult::<()>::Err(StoreError::Timeout)
    });
    assert!(outcome.await.is_err());
    assert_eq!(list(&env, &ada, "").await.json()["items"], json!([]));
}

#[tokio::test]
async fn write_of_disconnected_client_clears_list() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (id, app, now) = (ada.id, env.app.clone(), env.clock.now());
    let (reaching, going_on) = (Arc::clone(&reached), Arc::clone(&go_on));
    let request = tokio::spawn(async move {
        write_and_invalidate(&app, id, |chats| async move {
            reaching.notify_one();
            going_on.notified().await;
            chats.delete_conversation(id, conversation, now).await
        })
        .await
    });
    reached.notified().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    assert_eq!(list(&env, &ada, "").await.json()["items"].as_array().unwrap().len(), 1);
    go_on.notify_one();
    for _ in 0..1_000 {
        if list(&env, &ada, "").await.json()["items"] == json!([]) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the old list stays");
}

/// The number of renamings of each conversation in the list.
fn renamings(page: &Value) -> Vec<(Id, u64)> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| {
            let title = item["title"].as_str().map_or(0, |title| title.parse().unwrap());
            (Id::parse(item["id"].as_str().unwrap()).unwrap(), title)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn list_after_write_is_never_stale() {
    const WRITERS: usize = 4;
    const READERS: usize = 6;
    const WRITES: u64 = 60;
    let env = Arc::new(TestEnv::new().await);
    let ada = env.register("ada").await;
    let mut opened = Vec::new();
    for _ in 0..WRITERS {
        opened.push(env.open(&ada).await);
    }
    let opened = Arc::new(opened);
    // By conversation, the last renaming that was acknowledged.
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (env, ada) = (Arc::clone(&env), ada.clone());
            let (opened, acknowledged) = (Arc::clone(&opened), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let path = format!("{LIST}/{}", opened[writer]);
                for number in 1..=WRITES {
                    let rename = json!({"title": number.to_string()});
                    let call = Call::new("PATCH", &path).token(&ada.access).json(&rename);
                    assert_eq!(env.send(call).await.status, 200);
                    acknowledged[writer].store(number, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (env, ada, done) = (Arc::clone(&env), ada.clone(), Arc::clone(&done));
            let (opened, acknowledged) = (Arc::clone(&opened), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut reads = 0_u64;
                while !done.load(Ordering::SeqCst) {
                    let before: Vec<_> =
                        acknowledged.iter().map(|number| number.load(Ordering::SeqCst)).collect();
                    let shown = renamings(&list(&env, &ada, "").await.json());
                    for (conversation, least) in opened.iter().zip(before) {
                        let number = shown.iter().find(|(id, _)| id == conversation).unwrap().1;
                        assert!(number >= least, "shows {number} after {least} was acknowledged");
                    }
                    reads += 1;
                    // A cache hit never awaits anything; this lets the writers run.
                    tokio::task::yield_now().await;
                }
                reads
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    assert_eq!(
        renamings(&list(&env, &ada, "").await.json()).iter().map(|(_, number)| number).sum::<u64>(),
        240
    );
    assert!(cached(&env, &ada, "conversations.20").await.is_some(), "it is cached in the end");
}
