//! Tests of the remaining quota of a user.

use serde_json::{Value, json};

use super::test_env::{Call, TestEnv};

#[tokio::test]
async fn daily_limit_of_zero_is_no_limit() {
    for (held, expected) in [("7", json!(7)), ("0", Value::Null)] {
        let env = TestEnv::with(&[("BASIC_TIER_DAILY_LIMIT", held)]).await;
        let ada = env.register("ada").await;
        let usage = env.send(Call::get("/api/v1/usage/me").token(&ada.access)).await;
        assert_eq!((usage.status, &usage.json()["today"]["messages_limit"]), (200, &expected), "{held}");
    }
}
