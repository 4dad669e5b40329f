//! Tests of outages of the stores: requests that fail, requests that are served nevertheless, and no access without a check.

use serde_json::json;

use super::{
    deliveries::delivery,
    test_env::{Answer, Call, TestEnv, problem},
};
use crate::store::contract::down;

const LIST: &str = "/api/v1/chat/conversations";

async fn without_ephemeral() -> TestEnv {
    TestEnv::new().await.on_stores(|stores| stores.ephemeral = down::ephemeral())
}

/// Asserts the response to a store's outage: retry soon, without internals.
fn assert_unavailable(answer: &Answer, what: &str) {
    assert_eq!(answer.problem(), problem(503, "store_unavailable"), "{what}");
    assert_eq!(answer.header("retry-after"), "2", "{what}");
    let body = answer.json()["detail"].to_string().to_lowercase();
    for inside in ["secret", "inside", "store", "down", "thread"] {
        assert!(!body.contains(inside), "{what}: {body}");
    }
}

#[tokio::test]
async fn accounts_outage_admits_cached_sessions_only() {
    let env = TestEnv::new().await;
    let (ada, bob) = (env.register("ada").await, env.register("bob").await);
    let cut_off = env.on_stores(|stores| stores.accounts = down::accounts());
    let me = async |env: &TestEnv, token: &str| env.send(Call::get("/api/v1/auth/me").token(token)).await;
    assert_eq!(me(&env, &ada.access).await.status, 200);
    assert_eq!(me(&cut_off, &ada.access).await.status, 200, "remembered");
    assert_unavailable(&me(&cut_off, &bob.access).await, "not remembered");
    for call in [
        Call::get(LIST).token(&bob.access),
        Call::post(LIST).token(&bob.access).json(&json!({})),
        Call::get("/api/v1/sync").token(&bob.access),
        Call::post("/api/v1/auth/login")
            .json(&json!({"email": "ada@example.com", "password": "correct horse"})),
        Call::post("/api/v1/auth/register")
            .json(&json!({"email": "eve@example.com", "password": "correct horse"})),
        Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": bob.refresh})),
        Call::post("/api/v1/auth/token").bytes(
            "application/x-www-form-urlencoded",
            format!("grant_type=refresh_token&refresh_token={}", bob.refresh),
        ),
    ] {
        let what = format!("{call:?}");
        assert_unavailable(&cut_off.send(call).await, &what);
    }
    env.clock.advance(60_000);
    assert_unavailable(&me(&cut_off, &ada.access).await, "a session that is no longer cached");
    assert_eq!(me(&env, &ada.access).await.status, 200);
    assert_eq!(me(&env, &bob.access).await.status, 200);
}

#[tokio::test]
async fn sign_in_during_outage_is_no_failure() {
    let env = TestEnv::new().await;
    env.register("ada").await;
    let login = |password: &str| {
        let body = json!({"email": "ada@example.com", "password": password});
        env.sign(Call::post("/api/v1/auth/login").json(&body), "203.0.113.7")
    };
    let cut_off = env.on_stores(|stores| stores.accounts = down::accounts());
    for _ in 0..5 {
        assert_eq!(env.send(login("wrong horse")).await.status, 401);
    }
    for _ in 0..3 {
        assert_unavailable(&cut_off.send(login("correct horse")).await, "signing in");
    }
    assert_eq!(env.send(login("wrong horse")).await.status, 401, "the sixth that fails");
    assert_eq!(env.send(login("correct horse")).await.problem(), problem(429, "rate_limited"));
}

#[tokio::test]
async fn chats_outage_is_503_on_every_chat_route() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let turn = delivery(&env, &ada, conversation, 0);
    let env = env.on_stores(|stores| stores.chats = down::chats());
    let one = format!("{LIST}/{conversation}");
    for call in [
        Call::get(LIST).token(&ada.access),
        Call::post(LIST).token(&ada.access).json(&json!({})),
        Call::get(&one).token(&ada.access),
        Call::new("PATCH", &one).token(&ada.access).json(&json!({"pinned": true})),
        Call::new("DELETE", &one).token(&ada.access),
        Call::get(format!("{one}/messages")).token(&ada.access),
        Call::get("/api/v1/sync").token(&ada.access),
        env.sign(
            Call::post("/internal/v1/turns").token(&ada.access).json(&serde_json::to_value(&turn).unwrap()),
            "203.0.113.7",
        ),
    ] {
        let what = format!("{call:?}");
        assert_unavailable(&env.send(call).await, &what);
    }
    assert_eq!(env.send(Call::get("/api/v1/auth/me").token(&ada.access)).await.status, 200);
}

#[tokio::test]
async fn ephemeral_outage_refuses_keyed_requests_only() {
    let env = without_ephemeral().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let path = format!("{LIST}/{conversation}");
    for title in ["one", "two"] {
        let change = Call::new("PATCH", &path).token(&ada.access).json(&json!({"title": title}));
        assert_eq!(env.send(change).await.status, 200);
        let list = env.send(Call::get(LIST).token(&ada.access)).await;
        assert_eq!(list.json()["items"][0]["title"], title);
    }
    let login = json!({"email": "ada@example.com", "password": "correct horse"});
    assert_eq!(env.send(Call::post("/api/v1/auth/login").json(&login)).await.status, 200);
    let keyed = Call::post(LIST).token(&ada.access).header("Idempotency-Key", "k1").json(&json!({}));
    assert_unavailable(&env.send(keyed).await, "a key that cannot be stored");
}

#[tokio::test]
async fn reuse_during_ephemeral_outage_ends_session_at_once() {
    let env = without_ephemeral().await;
    let first = env.register("ada").await;
    let refresh =
        |token: String| env.send(Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": token})));
    assert_eq!(refresh(first.refresh.clone()).await.status, 200);
    env.clock.advance(10_001);
    assert_eq!(env.send(Call::get("/api/v1/auth/me").token(&first.access)).await.status, 200);
    assert_eq!(refresh(first.refresh.clone()).await.problem(), problem(401, "session_ended"));
    let me = env.send(Call::get("/api/v1/auth/me").token(&first.access)).await;
    assert_eq!(me.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn ephemeral_outage_still_checks_signature_and_age() {
    let env = without_ephemeral().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let context =
        || Call::get(format!("/internal/v1/conversations/{conversation}/context")).token(&ada.access);
    let signed = env.sign(context(), "203.0.113.7");
    assert_eq!(env.send(signed.clone()).await.status, 200);
    // A repeated nonce cannot be detected; everything else of the signature is still checked.
    assert_eq!(env.send(signed.clone()).await.status, 200);
    assert_eq!(env.send(context()).await.problem(), problem(403, "forbidden"));
    let forged = context().header("X-EdgeChat-Signature", "v1;nonsense");
    assert_eq!(env.send(forged).await.problem(), problem(403, "forbidden"));
    env.clock.advance(32_000);
    assert_eq!(env.send(signed).await.problem(), problem(403, "forbidden"));
}
