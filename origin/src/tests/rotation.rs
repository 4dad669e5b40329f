//! Tests of replacing `JWT_SECRET`: tokens of the old one stay valid as long as it is listed, and no response has an invalid
//! token.

use serde_json::json;
use shared::{
    auth::keys::JwkSet,
    time::{DAY_MS, SECOND_MS},
};

use super::{
    deliveries::{call, delivery},
    test_env::{Answer, Call, JWT_SECRET, Member, TestEnv, problem},
};

const NEW_SECRET: &str = "7c1e5d9b3a2f4860e1d3c5b7a9f80624";
const ME: &str = "/api/v1/auth/me";

/// The new secret in use, the old one still listed.
fn both() -> String {
    format!("{NEW_SECRET},{JWT_SECRET}")
}

async fn refresh(env: &TestEnv, token: &str) -> Answer {
    env.send(Call::post("/api/v1/auth/refresh").json(&json!({ "refresh_token": token }))).await
}

async fn kids(env: &TestEnv) -> Vec<String> {
    let keys: JwkSet =
        serde_json::from_slice(&env.send(Call::get("/.well-known/jwks.json")).await.body).unwrap();
    keys.keys.into_iter().map(|key| key.kid).collect()
}

#[tokio::test]
async fn access_token_of_listed_secret_is_valid_and_of_dropped_one_refused() {
    let before = TestEnv::new().await;
    let (old, after) = (before.register("ada").await, before.with_secrets(&both()));
    assert_eq!(after.send(Call::get(ME).token(&old.access)).await.status, 200);
    let new = after.register("bob").await;
    assert_eq!(after.send(Call::get(ME).token(&new.access)).await.status, 200);
    let ended = before.with_secrets(NEW_SECRET);
    assert_eq!(ended.send(Call::get(ME).token(&new.access)).await.status, 200);
    assert_eq!(ended.send(Call::get(ME).token(&old.access)).await.problem(), problem(401, "token_invalid"));
}

#[tokio::test]
async fn key_set_has_next_key_before_it_signs() {
    let env = TestEnv::new().await;
    let prepared = env.with_secrets(&format!("{JWT_SECRET},{NEW_SECRET}"));
    let (old, next) = (kids(&env).await, kids(&prepared).await);
    assert_eq!((old.len(), next.len(), &next[0]), (1, 2, &old[0]));
    let swapped = kids(&prepared.with_secrets(&both())).await;
    assert_eq!(swapped, [next[1].clone(), next[0].clone()]);
    // Its tokens are accepted by processes that do not sign with it yet.
    let member = prepared.with_secrets(&both()).register("ada").await;
    assert_eq!(prepared.send(Call::get(ME).token(&member.access)).await.status, 200);
}

#[tokio::test]
async fn delivery_with_token_of_old_secret_is_accepted_for_thirty_days() {
    let before = TestEnv::new().await;
    let ada = before.register("ada").await;
    let conversation = before.open(&ada).await;
    let turns = [0, 1, 2].map(|number| delivery(&before, &ada, conversation, number));
    let after = before.with_secrets(&both());
    let deliver = async |env: &TestEnv, turn| env.send(env.sign(call(&ada, turn), "")).await;
    assert_eq!(deliver(&after, &turns[0]).await.status, 200);
    after.clock.advance(30 * DAY_MS - SECOND_MS);
    assert_eq!(deliver(&after, &turns[1]).await.status, 200);
    let dropped = before.with_secrets(NEW_SECRET);
    assert_eq!(deliver(&dropped, &turns[2]).await.problem(), problem(401, "token_invalid"));
    after.clock.advance(2 * SECOND_MS);
    assert_eq!(deliver(&after, &turns[2]).await.problem(), problem(422, "validation_failed"));
}

#[tokio::test]
async fn repeated_refresh_across_rotation_returns_valid_token() {
    for secrets in [both(), NEW_SECRET.to_owned()] {
        let before = TestEnv::new().await;
        let first = before.register("ada").await;
        let lost = Member::of(&refresh(&before, &first.refresh).await.json());
        let after = before.with_secrets(&secrets);
        for _ in 0..2 {
            let again = refresh(&after, &first.refresh).await;
            assert_eq!(again.status, 200, "{:?}", again.body);
            let again = Member::of(&again.json());
            assert_eq!(again.refresh == lost.refresh, secrets == both());
            assert_eq!(after.send(Call::get(ME).token(&again.access)).await.status, 200);
        }
        let again = Member::of(&refresh(&after, &first.refresh).await.json());
        let next = refresh(&after, &again.refresh).await;
        assert_eq!(next.status, 200, "{:?}", next.body);
        assert_eq!(Member::of(&next.json()).session, first.session);
    }
}

#[tokio::test]
async fn refresh_token_of_old_secret_stays_valid() {
    let before = TestEnv::new().await;
    let first = before.register("ada").await;
    let second = Member::of(&refresh(&before, &first.refresh).await.json());
    before.clock.advance(60 * SECOND_MS);
    let after = before.with_secrets(NEW_SECRET);
    let third = Member::of(&refresh(&after, &second.refresh).await.json());
    assert_eq!(refresh(&after, &third.refresh).await.status, 200);
}
