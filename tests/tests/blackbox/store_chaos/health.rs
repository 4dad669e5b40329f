//! Tests of the health checks while a server is down.

use std::time::Duration;

use edgechat_tests::{
    test_env::TestEnv,
    wait::{bounded_by, until},
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{Store, world_with};

/// The bound of a check, which takes at most two seconds; a busy machine gets more.
const CHECKED: Duration = Duration::from_secs(5);
const BACK: Duration = Duration::from_secs(10);

async fn check(env: &TestEnv, path: &str) -> (u16, Value) {
    let check = env.client_of_origin().get(path).send();
    let reply = bounded_by(CHECKED, "a check to end", check).await;
    (reply.status, reply.value())
}

/// Waits until exactly this check reports its store as gone, or none does, and returns the checks. On a busy machine another
/// store may fail a check once.
async fn checks(env: &TestEnv, status: u16, gone: Option<&str>) -> Value {
    until(BACK, &format!("readiness {status} without {gone:?}"), || async {
        let (found, body) = check(env, "/api/v1/health/ready").await;
        let checks = body["checks"].as_object().filter(|checks| checks.len() == 3)?;
        let as_expected =
            checks.iter().all(|(name, check)| (check["status"] == "ok") == (gone != Some(name)));
        (found == status && as_expected).then(|| body["checks"].clone())
    })
    .await
}

/// Waits until the check of one store reports it as connected.
async fn connected(env: &TestEnv, path: &str, product: &str) {
    until(BACK, &format!("{product} reported as connected"), || async {
        let (status, body) = check(env, path).await;
        (status == 200 && body[product] == "connected").then_some(())
    })
    .await;
}

#[rstest]
#[case(Store::Postgres, "accounts", "/api/v1/health/db", "database", "postgres")]
#[case(Store::Mongo, "chats", "/api/v1/health/mongo", "mongo", "mongo")]
#[tokio::test]
async fn readiness_without_required_store_is_503(
    #[case] store: Store,
    #[case] port: &str,
    #[case] path: &str,
    #[case] product: &str,
    #[case] backend: &str,
) {
    let (env, mut server) = world_with(store).await;
    let all_there = checks(&env, 200, None).await;
    assert_eq!(all_there[port]["error"], Value::Null, "{all_there}");
    assert!(all_there[port]["backend"].as_str().unwrap().starts_with(backend), "{all_there}");

    server.kill().await;
    let one_gone = checks(&env, 503, Some(port)).await;
    assert_eq!(one_gone[port]["status"], "unavailable", "{one_gone}");
    assert!(one_gone[port]["error"].is_string(), "{one_gone}");
    let (status, body) = check(&env, path).await;
    assert_eq!(
        (status, &body["status"], &body[product]),
        (503, &json!("unavailable"), &json!("unavailable"))
    );
    assert_eq!(check(&env, "/api/v1/health").await.0, 200, "the process is alive");

    server.start().await;
    checks(&env, 200, None).await;
    connected(&env, path, product).await;

    server.suspend().await;
    assert_eq!(checks(&env, 503, Some(port)).await[port]["status"], "unavailable");
    server.resume().await;
    checks(&env, 200, None).await;
}

#[tokio::test]
async fn readiness_without_redis_is_200_and_names_it() {
    let (env, mut redis) = world_with(Store::Redis).await;
    redis.kill().await;
    let one_gone = checks(&env, 200, Some("ephemeral")).await;
    assert_eq!(one_gone["ephemeral"]["status"], "unavailable", "{one_gone}");
    let (status, body) = check(&env, "/api/v1/health/redis").await;
    assert_eq!((status, &body["redis"]), (503, &json!("unavailable")));
    redis.start().await;
    connected(&env, "/api/v1/health/redis", "redis").await;
}
