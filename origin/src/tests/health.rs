//! Tests of the health of the stores as reported to load balancers and people.

use serde_json::{Value, json};

use super::test_env::{Call, TestEnv};
use crate::store::{Stores, contract::down};

async fn get(env: &TestEnv, name: &str) -> (u16, Value) {
    let answer = env.send(Call::get(format!("/api/v1/health{name}"))).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn readiness_without_required_store_is_503_and_names_it() {
    let sound = TestEnv::new().await;
    let cases: [(fn(&mut Stores), _, _, _); 2] = [
        (|stores| stores.accounts = down::accounts(), "accounts", "/db", "database"),
        (|stores| stores.chats = down::chats(), "chats", "/mongo", "mongo"),
    ];
    for (cut, port, name, field) in cases {
        let env = sound.on_stores(cut);
        let mut down =
            json!({"status": "unavailable", "backend": "sqlite", "latency_ms": 0.0, "error": "unavailable"});
        let (status, ready) = get(&env, "/ready").await;
        assert_eq!((status, &ready["status"], &ready["checks"][port]), (503, &json!("unavailable"), &down));
        down[field] = json!("unavailable");
        assert_eq!(get(&env, name).await, (503, down));
        assert_eq!(get(&env, "").await, (200, json!({"status": "ok"})), "the process is alive");
        let mut connected = json!({"status": "ok", "backend": "sqlite", "latency_ms": 0.0, "error": null});
        connected[field] = json!("connected");
        assert_eq!(get(&sound, name).await, (200, connected));
    }
    assert_eq!(get(&sound, "/ready").await.0, 200);
}

#[tokio::test]
async fn ephemeral_store_is_reported_and_not_required() {
    let env = TestEnv::new().await.on_stores(|stores| stores.ephemeral = down::ephemeral());
    let (status, ready) = get(&env, "/ready").await;
    assert_eq!((status, &ready["status"]), (200, &json!("ok")));
    let down = json!({"status": "unavailable", "backend": "down", "latency_ms": 0.0, "error": "unavailable"});
    assert_eq!(ready["checks"]["ephemeral"], down);
    let (status, redis) = get(&env, "/redis").await;
    assert_eq!(
        (status, &redis["redis"], &redis["error"]),
        (503, &json!("unavailable"), &json!("unavailable"))
    );
    assert!(!redis.to_string().contains("secret"));
}
