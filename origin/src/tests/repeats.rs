//! Tests of conversations created with an idempotency key: one per key, whatever is repeated and when.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::time::DAY_MS;

use super::world::{Answer, Call, Member, World, problem};
use crate::store::contract::down;

const LIST: &str = "/api/v1/chat/conversations";

async fn open(world: &World, member: &Member, key: &str, body: Value) -> Answer {
    world.send(Call::post(LIST).token(&member.access).header("Idempotency-Key", key).json(&body)).await
}

async fn list(world: &World, member: &Member) -> Vec<Value> {
    let answer = world.send(Call::get(LIST).token(&member.access)).await;
    answer.json()["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_concurrent_requests_with_one_key_create_one() {
    let world = Arc::new(World::new().await);
    let ada = world.register("ada").await;
    let racing: Vec<_> = (0..10)
        .map(|_| {
            let (world, ada) = (Arc::clone(&world), ada.clone());
            tokio::spawn(async move { open(&world, &ada, "k1", json!({"title": "Rust"})).await })
        })
        .collect();
    let mut bodies = std::collections::BTreeSet::new();
    for racer in racing {
        let answer = racer.await.unwrap();
        assert_eq!(answer.status, 201);
        bodies.insert(answer.body);
    }
    assert_eq!(bodies.len(), 1);
    let listed = list(&world, &ada).await;
    assert_eq!(listed, [serde_json::from_slice::<Value>(bodies.first().unwrap()).unwrap()]);
}

#[tokio::test]
async fn key_is_bound_to_request_and_user_for_one_day() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    world.register("bob").await;
    let first = open(&world, &ada, "k1", json!({"title": "Rust", "model": null})).await;
    assert_eq!(first.status, 201);
    world.clock.advance(DAY_MS - 1);
    let ada = sign_in(&world, "ada").await;
    // An equivalent request: absent and unknown fields are ignored.
    let again = open(&world, &ada, "k1", json!({"later": true, "title": "Rust"})).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    let other = open(&world, &ada, "k1", json!({"title": "Go"})).await;
    assert_eq!(other.problem(), problem(422, "idempotency_key_reused"));
    assert_eq!(list(&world, &ada).await.len(), 1);

    let bob = sign_in(&world, "bob").await;
    assert_eq!(open(&world, &bob, "k1", json!({"title": "Go"})).await.status, 201);
    let second = open(&world, &ada, "k2", json!({"title": "Rust"})).await;
    assert_ne!(second.json()["id"], first.json()["id"]);
    world.clock.advance(1);
    let next_day = open(&world, &ada, "k1", json!({"title": "Go"})).await;
    assert_eq!(next_day.status, 201);
    assert_eq!(list(&world, &ada).await.len(), 3);
}

async fn sign_in(world: &World, name: &str) -> Member {
    let body = json!({"email": format!("{name}@example.com"), "password": "correct horse"});
    Member::of(&world.send(Call::post("/api/v1/auth/login").json(&body)).await.json())
}

#[tokio::test]
async fn repetition_gets_first_response() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let first = open(&world, &ada, "k1", json!({"title": "Rust"})).await;
    let path = format!("{LIST}/{}", first.json()["id"].as_str().unwrap());
    let renamed = Call::new("PATCH", &path).token(&ada.access).json(&json!({"title": "Renamed"}));
    assert_eq!(world.send(renamed).await.status, 200);
    assert_eq!(open(&world, &ada, "k1", json!({"title": "Rust"})).await.body, first.body);
    assert_eq!(world.send(Call::get(&path).token(&ada.access)).await.json()["title"], "Renamed");
    assert_eq!(world.send(Call::new("DELETE", &path).token(&ada.access)).await.status, 204);
    let anew = open(&world, &ada, "k1", json!({"title": "Rust"})).await;
    assert_ne!(anew.json()["id"], first.json()["id"]);
    let gone = world.send(Call::get(&path).token(&ada.access)).await;
    assert_eq!(gone.problem(), problem(404, "not_found"), "what was deleted stays so");
}

#[tokio::test]
async fn crash_after_key_was_stored_is_completed_by_repetition() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let cut_off = world.on_stores(|stores| stores.chats = down::chats());
    let failed = open(&cut_off, &ada, "k1", json!({"title": "Rust"})).await;
    assert_eq!(failed.problem(), problem(503, "store_unavailable"));
    world.clock.advance(5_000);
    let made = open(&world, &ada, "k1", json!({"title": "Rust"})).await;
    assert_eq!((made.status, &made.json()["created_at"]), (201, &json!("2026-11-21T09:30:00.007Z")));
    assert_eq!(list(&world, &ada).await, [made.json()]);
}

#[tokio::test]
async fn malformed_key_is_refused() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    for key in ["", "a b", "a\tb", &"x".repeat(256)] {
        let answer = open(&world, &ada, key, json!({})).await;
        assert_eq!(answer.problem(), problem(400, "invalid_request"), "{key:?}");
    }
    let twice =
        Call::post(LIST).token(&ada.access).header("Idempotency-Key", "a").header("Idempotency-Key", "a");
    assert_eq!(world.send(twice.json(&json!({}))).await.problem(), problem(400, "invalid_request"));
    assert!(list(&world, &ada).await.is_empty());
    for key in ["x", &"x".repeat(255), "{a}:b|c", "..", "019aa5d2-8c00-7000-8000-3f6d2b1c9e77"] {
        assert_eq!(open(&world, &ada, key, json!({})).await.status, 201, "{key}");
    }
    assert_eq!(list(&world, &ada).await.len(), 5);
}

#[tokio::test]
async fn create_with_same_key_after_delete_creates_another() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let mut made = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let first = open(&world, &ada, "k1", json!({"title": "Rust"})).await;
        let again = open(&world, &ada, "k1", json!({"title": "Rust"})).await;
        assert_eq!((first.status, again.status), (201, 201));
        assert_eq!(first.body, again.body);
        let id = first.json()["id"].as_str().unwrap().to_owned();
        let one = format!("{LIST}/{id}");
        assert_eq!(world.send(Call::get(one.clone()).token(&ada.access)).await.status, 200);
        assert_eq!(world.send(Call::new("DELETE", one).token(&ada.access)).await.status, 204);
        assert!(made.insert(id));
    }
    let other = open(&world, &ada, "k1", json!({"title": "Go"})).await;
    assert_eq!(other.problem(), problem(422, "idempotency_key_reused"));
    assert!(list(&world, &ada).await.is_empty());
}
