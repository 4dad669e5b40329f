//! Tests of rotating the keys of access tokens: origins follow without a restart, what an old key signed stays good, and
//! undelivered turns survive it.

use serde_json::json;
use shared::{
    auth::{keys::JwkSet, token},
    time::{DAY_MS, SECOND_MS},
};

use super::{
    deliveries::{call, delivery},
    test_env::{Call, JWT_SECRET, Member, TestEnv, problem},
};
use crate::{
    auth::token_keys::{LEAD_S, Rotation},
    random::SystemRandom,
};

const ME: &str = "/api/v1/auth/me";
const LEAD_MS: i64 = LEAD_S as i64 * SECOND_MS;

/// Publishes a key, and returns its name.
async fn rotate(env: &TestEnv) -> String {
    match env.app.auth.tokens.keys.rotate(LEAD_S, &SystemRandom).await.unwrap() {
        Rotation::Published(kid, _) => kid,
        pending @ Rotation::Pending(_) => panic!("{pending:?}"),
    }
}

/// Publishes a key, and lets the time pass until it signs.
async fn rotate_and_wait(env: &TestEnv) -> String {
    let kid = rotate(env).await;
    env.clock.advance(LEAD_MS);
    kid
}

fn kid(member: &Member) -> String {
    token::parse(&member.access).unwrap().kid
}

async fn published(env: &TestEnv) -> JwkSet {
    serde_json::from_slice(&env.send(Call::get("/.well-known/jwks.json")).await.body).unwrap()
}

async fn status(env: &TestEnv, member: &Member) -> u16 {
    env.send(Call::get(ME).token(&member.access)).await.status
}

#[tokio::test]
async fn next_key_is_published_before_it_signs_and_the_old_one_stays() {
    let env = TestEnv::with(&[("ACCESS_TOKEN_EXPIRE_MINUTES", "1440")]).await;
    let ada = env.register("ada").await;
    let next = rotate(&env).await;
    assert!(published(&env).await.find(&next).is_some());
    env.clock.advance(LEAD_MS - 1);
    assert_ne!(kid(&env.register("bob").await), next, "it does not sign yet");
    env.clock.advance(1);
    let eve = env.register("eve").await;
    assert_eq!(kid(&eve), next);
    assert_eq!((status(&env, &ada).await, status(&env, &eve).await), (200, 200));
    // The one after that leaves this one published until its last token has ended.
    rotate_and_wait(&env).await;
    assert_eq!(status(&env, &eve).await, 200);
    env.clock.advance(DAY_MS);
    assert!(published(&env).await.find(&next).is_some());
    env.clock.advance(2 * 3_600 * SECOND_MS);
    assert!(published(&env).await.find(&next).is_none());
}

#[tokio::test]
async fn other_origin_follows_without_restart() {
    let env = TestEnv::new().await;
    let (ahead, behind) = (env.on_stores(|_| ()), env.on_stores(|_| ()));
    let next = rotate_and_wait(&env).await;
    ahead.app.auth.tokens.keys.read().await.unwrap();
    // It looks up what it has not read yet, for a token as for the published set.
    let ada = ahead.register("ada").await;
    assert_eq!((kid(&ada), status(&behind, &ada).await), (next.clone(), 200));
    assert!(env.on_stores(|_| ()).app.auth.tokens.jwk_set(env.app.clock.now()).await.find(&next).is_some());
    assert_eq!(kid(&behind.register("bob").await), next);
}

#[tokio::test]
async fn rotation_while_a_key_waits_is_pending() {
    let env = TestEnv::new().await;
    rotate(&env).await;
    let other = env.on_stores(|_| ());
    let again = other.app.auth.tokens.keys.rotate(LEAD_S, &SystemRandom).await.unwrap();
    assert_eq!(again, Rotation::Pending(env.app.clock.now().plus_millis(LEAD_MS)));
}

#[tokio::test]
async fn turn_undelivered_over_two_rotations_is_delivered() {
    let env = TestEnv::new().await;
    let first = rotate_and_wait(&env).await;
    let ada = env.register("ada").await;
    assert_eq!(kid(&ada), first);
    let conversation = env.open(&ada).await;
    let turns = [0, 1].map(|number| delivery(&env, &ada, conversation, number));
    let deliver = async |turn| env.send(env.sign(call(&ada, turn), "")).await;
    rotate_and_wait(&env).await;
    rotate_and_wait(&env).await;
    assert_eq!(deliver(&turns[0]).await.status, 200);
    // Long after anybody could come in by it, and after another rotation has forgotten what may be.
    env.clock.advance(29 * DAY_MS);
    rotate_and_wait(&env).await;
    assert!(published(&env).await.find(&first).is_none());
    let me = env.send(Call::get(ME).token(&ada.access)).await;
    assert_eq!(me.problem(), problem(401, "token_invalid"));
    assert_eq!(deliver(&turns[1]).await.status, 200);
}

#[tokio::test]
async fn change_of_secret_leaves_tokens_of_rotated_keys_valid() {
    const NEW_SECRET: &str = "7c1e5d9b3a2f4860e1d3c5b7a9f80624";
    let env = TestEnv::new().await;
    let rotated = rotate_and_wait(&env).await;
    let ada = env.register("ada").await;
    for (secrets, is_derivable) in
        [(format!("{NEW_SECRET},{JWT_SECRET}"), true), (NEW_SECRET.to_owned(), false)]
    {
        let after = env.with_secrets(&secrets);
        assert_eq!(status(&after, &ada).await, 200);
        let login = json!({"email": "ada@example.com", "password": "correct horse"});
        let signed_in = Member::of(&after.send(Call::post("/api/v1/auth/login").json(&login)).await.json());
        assert_eq!(kid(&signed_in) == rotated, is_derivable);
        assert_eq!(status(&after, &signed_in).await, 200);
    }
    // The next rotation is derived from the secret in use.
    let after = env.with_secrets(NEW_SECRET);
    let next = rotate_and_wait(&after).await;
    assert_eq!(kid(&after.register("bob").await), next);
}
