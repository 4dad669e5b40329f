//! What load balancers and people are told about the stores.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    down::Down,
    world::{Call, World},
};

async fn get(world: &World, name: &str) -> (u16, Value) {
    let answer = world.send(Call::get(format!("/api/v1/health{name}"))).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_store_that_is_needed_makes_the_origin_unready_and_is_named() {
    for (file, table, port, name, field) in [
        ("edgechat.db", "users", "accounts", "/db", "database"),
        ("edgechat-chats.db", "conversations", "chats", "/mongo", "mongo"),
    ] {
        let world = World::new().await;
        world.rename_table(file, table, "gone");
        let down =
            json!({"status": "unavailable", "backend": "sqlite", "latency_ms": 0.0, "error": "unavailable"});
        let (status, ready) = get(&world, "/ready").await;
        assert_eq!((status, &ready["status"], &ready["checks"][port]), (503, &json!("unavailable"), &down));
        let mut expected = down.clone();
        expected[field] = json!("unavailable");
        assert_eq!(get(&world, name).await, (503, expected.clone()));
        assert_eq!(get(&world, "").await, (200, json!({"status": "ok"})), "the process is alive");

        // Back again: told so as soon as the last result has aged.
        world.rename_table(file, "gone", table);
        assert_eq!(get(&world, name).await.0, 503);
        world.clock.advance(250);
        expected = json!({"status": "ok", "backend": "sqlite", "latency_ms": 0.0, "error": null});
        expected[field] = json!("connected");
        assert_eq!(get(&world, name).await, (200, expected));
        assert_eq!(get(&world, "/ready").await.0, 200);
    }
}

#[tokio::test]
async fn short_lived_state_is_told_about_and_not_needed() {
    let world = World::on(&[], |stores| stores.ephemeral = Arc::new(Down)).await;
    let (status, ready) = get(&world, "/ready").await;
    assert_eq!((status, &ready["status"]), (200, &json!("ok")));
    let down = json!({"status": "unavailable", "backend": "down", "latency_ms": 0.0, "error": "unavailable"});
    assert_eq!(ready["checks"]["ephemeral"], down);
    let (status, redis) = get(&world, "/redis").await;
    assert_eq!(
        (status, &redis["redis"], &redis["error"]),
        (503, &json!("unavailable"), &json!("unavailable"))
    );
    assert!(!redis.to_string().contains("secret"));
}
