//! Tests of conversations created with an idempotency key: one per key, whatever is repeated and when.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::time::DAY_MS;

use super::test_env::{Answer, Call, Member, TestEnv, problem};
use crate::store::contract::down;

const LIST: &str = "/api/v1/chat/conversations";

async fn open(env: &TestEnv, member: &Member, key: &str, body: Value) -> Answer {
    env.send(Call::post(LIST).token(&member.access).header("Idempotency-Key", key).json(&body)).await
}

async fn list(env: &TestEnv, member: &Member) -> Vec<Value> {
    let answer = env.send(Call::get(LIST).token(&member.access)).await;
    answer.json()["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_concurrent_requests_with_one_key_create_one() {
    let env = Arc::new(TestEnv::new().await);
    let ada = env.register("ada").await;
    let racing: Vec<_> = (0..10)
        .map(|_| {
            let (env, ada) = (Arc::clone(&env), ada.clone());
            tokio::spawn(async move { open(&env, &ada, "k1", json!({"title": "Rust"})).await })
        })
        .collect();
    let mut bodies = std::collections::BTreeSet::new();
    for racer in racing {
        let answer = racer.await.unwrap();
        assert_eq!(answer.status, 201);
        bodies.insert(answer.body);
    }
    assert_eq!(bodies.len(), 1);
    let listed = list(&env, &ada).await;
    assert_eq!(listed, [serde_json::from_slice::<Value>(bodies.first().unwrap()).unwrap()]);
}

#[tokio::test]
async fn key_is_bound_to_request_and_user_for_one_day() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    env.register("bob").await;
    let first = open(&env, &ada, "k1", json!({"title": "Rust", "model": null})).await;
    assert_eq!(first.status, 201);
    env.clock.advance(DAY_MS - 1);
    let ada = sign_in(&env, "ada").await;
    // An equivalent request: absent and unknown fields are ignored.
    let again = open(&env, &ada, "k1", json!({"later": true, "title": "Rust"})).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    let other = open(&env, &ada, "k1", json!({"title": "Go"})).await;
    assert_eq!(other.problem(), problem(422, "idempotency_key_reused"));
    assert_eq!(list(&env, &ada).await.len(), 1);

    let bob = sign_in(&env, "bob").await;
    assert_eq!(open(&env, &bob, "k1", json!({"title": "Go"})).await.status, 201);
    let second = open(&env, &ada, "k2", json!({"title": "Rust"})).await;
    assert_ne!(second.json()["id"], first.json()["id"]);
    env.clock.advance(1);
    let next_day = open(&env, &ada, "k1", json!({"title": "Go"})).await;
    assert_eq!(next_day.status, 201);
    assert_eq!(list(&env, &ada).await.len(), 3);
}

async fn sign_in(env: &TestEnv, name: &str) -> Member {
    let body = json!({"email": format!("{name}@example.com"), "password": "correct horse"});
    Member::of(&env.send(Call::post("/api/v1/auth/login").json(&body)).await.json())
}

#[tokio::test]
async fn repetition_gets_first_response() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let first = open(&env, &ada, "k1", json!({"title": "Rust"})).await;
    let path = format!("{LIST}/{}", first.json()["id"].as_str().unwrap());
    let renamed = Call::new("PATCH", &path).token(&ada.access).json(&json!({"title": "Renamed"}));
    assert_eq!(env.send(renamed).await.status, 200);
    assert_eq!(open(&env, &ada, "k1", json!({"title": "Rust"})).await.body, first.body);
    assert_eq!(env.send(Call::get(&path).token(&ada.access)).await.json()["title"], "Renamed");
    assert_eq!(env.send(Call::new("DELETE", &path).token(&ada.access)).await.status, 204);
    let anew = open(&env, &ada, "k1", json!({"title": "Rust"})).await;
    assert_ne!(anew.json()["id"], first.json()["id"]);
    let gone = env.send(Call::get(&path).token(&ada.access)).await;
    assert_eq!(gone.problem(), problem(404, "not_found"), "what was deleted stays so");
}

#[tokio::test]
async fn crash_after_key_was_stored_is_completed_by_repetition() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let cut_off = env.on_stores(|stores| stores.chats = down::chats());
    let failed = open(&cut_off, &ada, "k1", json!({"title": "Rust"})).await;
    assert_eq!(failed.problem(), problem(503, "store_unavailable"));
    env.clock.advance(5_000);
    let made = open(&env, &ada, "k1", json!({"title": "Rust"})).await;
    assert_eq!((made.status, &made.json()["created_at"]), (201, &json!("2026-11-21T09:30:00.007Z")));
    assert_eq!(list(&env, &ada).await, [made.json()]);
}

#[tokio::test]
async fn malformed_key_is_refused() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    for key in ["", "a b", "a\tb", &"x".repeat(256)] {
        let answer = open(&env, &ada, key, json!({})).await;
        assert_eq!(answer.problem(), problem(400, "invalid_request"), "{key:?}");
    }
    let twice =
        Call::post(LIST).token(&ada.access).header("Idempotency-Key", "a").header("Idempotency-Key", "a");
    assert_eq!(env.send(twice.json(&json!({}))).await.problem(), problem(400, "invalid_request"));
    assert!(list(&env, &ada).await.is_empty());
    for key in ["x", &"x".repeat(255), "{a}:b|c", "..", "019aa5d2-8c00-7000-8000-3f6d2b1c9e77"] {
        assert_eq!(open(&env, &ada, key, json!({})).await.status, 201, "{key}");
    }
    assert_eq!(list(&env, &ada).await.len(), 5);
}

#[tokio::test]
async fn create_with_same_key_after_delete_creates_another() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let mut made = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let first = open(&env, &ada, "k1", json!({"title": "Rust"})).await;
        let again = open(&env, &ada, "k1", json!({"title": "Rust"})).await;
        assert_eq!((first.status, again.status), (201, 201));
        assert_eq!(first.body, again.body);
        let id = first.json()["id"].as_str().unwrap().to_owned();
        let one = format!("{LIST}/{id}");
        assert_eq!(env.send(Call::get(one.clone()).token(&ada.access)).await.status, 200);
        assert_eq!(env.send(Call::new("DELETE", one).token(&ada.access)).await.status, 204);
        assert!(made.insert(id));
    }
    let other = open(&env, &ada, "k1", json!({"title": "Go"})).await;
    assert_eq!(other.problem(), problem(422, "idempotency_key_reused"));
    assert!(list(&env, &ada).await.is_empty());
}
