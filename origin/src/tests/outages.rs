//! Tests of outages of the stores: requests that fail, requests that are served nevertheless, and no access without a check.

use serde_json::json;

use super::{
    deliveries::delivery,
    world::{Answer, Call, World, problem},
};
use crate::store::contract::down;

const LIST: &str = "/api/v1/chat/conversations";

async fn without_ephemeral() -> World {
    World::new().await.on_stores(|stores| stores.ephemeral = down::ephemeral())
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
    let world = World::new().await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let cut_off = world.on_stores(|stores| stores.accounts = down::accounts());
    let me = async |world: &World, token: &str| world.send(Call::get("/api/v1/auth/me").token(token)).await;
    assert_eq!(me(&world, &ada.access).await.status, 200);
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
    world.clock.advance(60_000);
    assert_unavailable(&me(&cut_off, &ada.access).await, "a session that is no longer cached");
    assert_eq!(me(&world, &ada.access).await.status, 200);
    assert_eq!(me(&world, &bob.access).await.status, 200);
}

#[tokio::test]
async fn sign_in_during_outage_is_no_failure() {
    let world = World::new().await;
    world.register("ada").await;
    let login = |password: &str| {
        let body = json!({"email": "ada@example.com", "password": password});
        world.sign(Call::post("/api/v1/auth/login").json(&body), "203.0.113.7")
    };
    let cut_off = world.on_stores(|stores| stores.accounts = down::accounts());
    for _ in 0..9 {
        assert_eq!(world.send(login("wrong horse")).await.status, 401);
    }
    for _ in 0..3 {
        assert_unavailable(&cut_off.send(login("correct horse")).await, "signing in");
    }
    assert_eq!(world.send(login("wrong horse")).await.status, 401, "the tenth that fails");
    assert_eq!(world.send(login("correct horse")).await.problem(), problem(429, "rate_limited"));
}

#[tokio::test]
async fn chats_outage_is_503_on_every_chat_route() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let conversation = world.open(&ada).await;
    let turn = delivery(&world, &ada, conversation, 0);
    let world = world.on_stores(|stores| stores.chats = down::chats());
    let one = format!("{LIST}/{conversation}");
    for call in [
        Call::get(LIST).token(&ada.access),
        Call::post(LIST).token(&ada.access).json(&json!({})),
        Call::get(&one).token(&ada.access),
        Call::new("PATCH", &one).token(&ada.access).json(&json!({"pinned": true})),
        Call::new("DELETE", &one).token(&ada.access),
        Call::get(format!("{one}/messages")).token(&ada.access),
        Call::get("/api/v1/sync").token(&ada.access),
        world.sign(
            Call::post("/internal/v1/turns").token(&ada.access).json(&serde_json::to_value(&turn).unwrap()),
            "203.0.113.7",
        ),
    ] {
        let what = format!("{call:?}");
        assert_unavailable(&world.send(call).await, &what);
    }
    assert_eq!(world.send(Call::get("/api/v1/auth/me").token(&ada.access)).await.status, 200);
}

#[tokio::test]
async fn ephemeral_outage_refuses_keyed_requests_only() {
    let world = without_ephemeral().await;
    let ada = world.register("ada").await;
    let conversation = world.open(&ada).await;
    let path = format!("{LIST}/{conversation}");
    for title in ["one", "two"] {
        let change = Call::new("PATCH", &path).token(&ada.access).json(&json!({"title": title}));
        assert_eq!(world.send(change).await.status, 200);
        let list = world.send(Call::get(LIST).token(&ada.access)).await;
        assert_eq!(list.json()["items"][0]["title"], title);
    }
    let login = json!({"email": "ada@example.com", "password": "correct horse"});
    assert_eq!(world.send(Call::post("/api/v1/auth/login").json(&login)).await.status, 200);
    let keyed = Call::post(LIST).token(&ada.access).header("Idempotency-Key", "k1").json(&json!({}));
    assert_unavailable(&world.send(keyed).await, "a key that cannot be stored");
}

#[tokio::test]
async fn reuse_during_ephemeral_outage_ends_session_at_once() {
    let world = without_ephemeral().await;
    let first = world.register("ada").await;
    let refresh =
        |token: String| world.send(Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": token})));
    assert_eq!(refresh(first.refresh.clone()).await.status, 200);
    world.clock.advance(10_001);
    assert_eq!(world.send(Call::get("/api/v1/auth/me").token(&first.access)).await.status, 200);
    assert_eq!(refresh(first.refresh.clone()).await.problem(), problem(401, "session_ended"));
    let me = world.send(Call::get("/api/v1/auth/me").token(&first.access)).await;
    assert_eq!(me.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn ephemeral_outage_still_checks_signature_and_age() {
    let world = without_ephemeral().await;
    let ada = world.register("ada").await;
    let conversation = world.open(&ada).await;
    let context =
        || Call::get(format!("/internal/v1/conversations/{conversation}/context")).token(&ada.access);
    let signed = world.sign(context(), "203.0.113.7");
    assert_eq!(world.send(signed.clone()).await.status, 200);
    // A repeated nonce cannot be detected; everything else of the signature is still checked.
    assert_eq!(world.send(signed.clone()).await.status, 200);
    assert_eq!(world.send(context()).await.problem(), problem(403, "forbidden"));
    let forged = context().header("X-EdgeChat-Signature", "v1;nonsense");
    assert_eq!(world.send(forged).await.problem(), problem(403, "forbidden"));
    world.clock.advance(32_000);
    assert_eq!(world.send(signed).await.problem(), problem(403, "forbidden"));
}
