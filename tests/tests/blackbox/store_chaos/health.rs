//! What the checks say while a server is down.

use std::time::Duration;

use edgechat_tests::{
    wait::{bounded_by, until},
    world::World,
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{Store, world_with};

/// A check ends within two seconds; a busy machine gets more.
const CHECKED: Duration = Duration::from_secs(5);
const BACK: Duration = Duration::from_secs(10);

async fn check(world: &World, path: &str) -> (u16, Value) {
    let check = world.client_of_origin().get(path).send();
    let reply = bounded_by(CHECKED, "a check to end", check).await;
    (reply.status, reply.value())
}

/// Waits for a verdict of readiness, and gives the checks.
async fn ready(world: &World, status: u16) -> Value {
    until(BACK, &format!("readiness to be {status}"), || async {
        let (found, body) = check(world, "/api/v1/health/ready").await;
        (found == status).then(|| body["checks"].clone())
    })
    .await
}

#[rstest]
#[case(Store::Postgres, "accounts", "/api/v1/health/db", "database", "postgres")]
#[case(Store::Mongo, "chats", "/api/v1/health/mongo", "mongo", "mongo")]
#[tokio::test]
async fn without_a_store_that_is_needed_the_origin_is_not_ready(
    #[case] store: Store,
    #[case] port: &str,
    #[case] path: &str,
    #[case] product: &str,
    #[case] backend: &str,
) {
    let (world, mut server) = world_with(store).await;
    let checks = ready(&world, 200).await;
    assert_eq!((&checks[port]["status"], &checks[port]["error"]), (&json!("ok"), &Value::Null));
    assert!(checks[port]["backend"].as_str().unwrap().starts_with(backend), "{checks}");

    server.kill().await;
    let checks = ready(&world, 503).await;
    assert_eq!(checks[port]["status"], "unavailable", "{checks}");
    assert!(checks[port]["error"].is_string(), "{checks}");
    let others = checks.as_object().unwrap().iter().filter(|(name, _)| *name != port);
    assert!(
        others.clone().count() == 2 && others.clone().all(|(_, check)| check["status"] == "ok"),
        "{checks}"
    );
    let (status, body) = check(&world, path).await;
    assert_eq!(
        (status, &body["status"], &body[product]),
        (503, &json!("unavailable"), &json!("unavailable"))
    );
    assert_eq!(check(&world, "/api/v1/health").await.0, 200, "the process is alive");

    server.start().await;
    ready(&world, 200).await;
    assert_eq!(check(&world, path).await.1[product], "connected");

    server.suspend().await;
    assert_eq!(ready(&world, 503).await[port]["status"], "unavailable");
    server.resume().await;
    ready(&world, 200).await;
}

#[tokio::test]
async fn without_redis_the_origin_is_ready_and_says_what_is_missing() {
    let (world, mut redis) = world_with(Store::Redis).await;
    redis.kill().await;
    let checks = ready(&world, 200).await;
    assert_eq!(checks["ephemeral"]["status"], "unavailable", "{checks}");
    let (status, body) = check(&world, "/api/v1/health/redis").await;
    assert_eq!((status, &body["redis"]), (503, &json!("unavailable")));
    redis.start().await;
    until(BACK, "redis to be seen again", || async {
        (check(&world, "/api/v1/health/redis").await.0 == 200).then_some(())
    })
    .await;
}
