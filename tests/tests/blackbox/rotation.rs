//! Tests of replacing the token secret, and of rotating the keys, under load: acknowledged turns are delivered, a key that is not
//! known yet is never reported as invalid, and nobody is refused.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use edgechat_tests::{
    client::{Client, PASSWORD, Phone, Reply},
    test_env::{JWT_SECRET, TestEnv},
    tokens,
    wait::{BOUND, until},
};
use futures_util::future::join_all;
use serde_json::json;
use shared::{
    api::{ErrorCode, account::Tokens},
    auth::{keys::JwkSet, native::SigningKey, token},
};

const NEW_SECRET: &str = "c90b3e7f52d8461a9be04c7d13f8a6529d0e4b71f6c2a835";
const ME: &str = "/api/v1/users/me";

/// The new secret in use, the old one still listed.
fn both() -> String {
    format!("{NEW_SECRET},{JWT_SECRET}")
}

/// A token like that of this phone, signed by an unknown key.
fn garbage(phone: &Phone, number: u32) -> String {
    let key = SigningKey::from_secret(&format!("made-up secret number {number:0>20}")).unwrap();
    key.sign(&tokens::claims_of(phone))
}

/// Asserts that the request was admitted or answered 503, never refused.
fn assert_not_refused(reply: &Reply) {
    if reply.status != 200 {
        reply.problem(ErrorCode::OriginUnavailable);
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
    }
}

/// Signs in again and repeats a request with the new token until it is admitted.
async fn new_token_is_let_in(client: &Client, email: &str) {
    let body = json!({ "email": email, "password": PASSWORD });
    let signed_in = client.anonymous().post("/api/v1/auth/login").json(&body).send().await;
    let tokens: Tokens = signed_in.expect_status(200).json();
    until(BOUND, "the new token admitted", || async {
        let reply = client.with_token(&tokens.access_token).get(ME).send().await;
        assert_not_refused(&reply);
        (reply.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn acknowledged_turn_is_delivered_after_secret_rotation() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "One").await;
    let sent = env.say_without_origin(&phone, conversation, "Two").await;
    env.start_origin_with("JWT_SECRET", &both()).await;
    phone.persisted(sent.turn_id).await;
    assert_eq!(phone.messages(conversation).await.len(), 4);
    let email = phone.tokens.user.email.clone().unwrap();
    new_token_is_let_in(&phone.client, &email).await;
    // The old access token and its refresh token stay valid.
    let _ = phone.client.get(ME).send().await.expect_status(200);
    let body = json!({ "refresh_token": phone.tokens.refresh_token });
    let refreshed = phone.client.anonymous().post("/api/v1/auth/refresh").json(&body).send().await;
    let _ = refreshed.expect_status(200);
}

#[tokio::test]
async fn new_token_is_admitted_during_flood_of_unknown_keys() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let _ = phone.client.get(ME).send().await.expect_status(200);
    for number in 0..20 {
        let reply = phone.client.with_token(garbage(&phone, number)).get(ME).send().await;
        assert!([401, 503].contains(&reply.status), "{reply:?}");
    }
    env.kill_origin().await;
    env.start_origin_with("JWT_SECRET", &both()).await;
    let email = phone.tokens.user.email.clone().unwrap();
    let flood = async {
        for number in 20..60 {
            let reply = phone.client.with_token(garbage(&phone, number)).get(ME).send().await;
            assert!([401, 503].contains(&reply.status), "{reply:?}");
        }
    };
    tokio::join!(flood, new_token_is_let_in(&phone.client, &email));
}

#[tokio::test]
async fn unknown_key_during_outage_is_503() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let _ = phone.client.get(ME).send().await.expect_status(200);
    let signed_by_the_next = SigningKey::from_secret(NEW_SECRET).unwrap().sign(&tokens::claims_of(&phone));
    env.kill_origin().await;
    for _ in 0..10 {
        let reply = phone.client.with_token(&signed_by_the_next).get(ME).send().await;
        reply.problem(ErrorCode::OriginUnavailable);
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
    }
    env.start_origin_with("JWT_SECRET", &both()).await;
    until(BOUND, "the key looked up", || async {
        let reply = phone.client.with_token(&signed_by_the_next).get(ME).send().await;
        assert_not_refused(&reply);
        (reply.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn delivery_with_dropped_secret_is_retried_until_secret_returns() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "One").await;
    let sent = env.say_without_origin(&phone, conversation, "Two").await;
    env.start_origin_with("JWT_SECRET", NEW_SECRET).await;
    until(BOUND, "a refused delivery in the log", || async {
        let refused = env
            .edge_log()
            .lines()
            .iter()
            .any(|line| line.contains(&sent.turn_id.to_string()) && line.contains(" 401"));
        refused.then_some(())
    })
    .await;
    env.kill_origin().await;
    env.start_origin_with("JWT_SECRET", &both()).await;
    phone.persisted(sent.turn_id).await;
    assert_eq!(phone.messages(conversation).await.len(), 4);
}

/// Users who send requests all the time.
const USERS: usize = 6;
/// The pause of a user between two requests.
const PAUSE: Duration = Duration::from_millis(20);
/// The rotations, each of which waits ten seconds: the shortest lead there is.
const ROTATIONS: usize = 2;

/// The name of the key that signed a token.
fn kid(access_token: &str) -> String {
    token::parse(access_token).unwrap().kid
}

/// Sends requests until they are over: to the origin, to the user object, and refreshes, whose tokens are used from then on. Returns
/// the names of the keys that signed those, and the number of requests.
async fn use_all_the_time(mut phone: Phone, is_over: &AtomicBool) -> (BTreeSet<String>, usize) {
    let turn = phone.send_and_persist(phone.conversation().await, "Hello").await.turn_id;
    let (mut kids, mut requests) = (BTreeSet::new(), 0);
    while !is_over.load(Relaxed) {
        let _ = phone.client.get(ME).send().await.expect_status(200);
        let _ = phone.turn(turn).await;
        let body = json!({ "refresh_token": phone.tokens.refresh_token });
        let refreshed = phone.client.anonymous().post("/api/v1/auth/refresh").json(&body).send().await;
        phone.tokens = refreshed.expect_status(200).json();
        phone.client = phone.client.with_token(&phone.tokens.access_token);
        kids.insert(kid(&phone.tokens.access_token));
        requests += 3;
        tokio::time::sleep(PAUSE).await;
    }
    (kids, requests)
}

#[tokio::test]
async fn rotation_of_keys_under_load_refuses_nobody() {
    let env = TestEnv::start().await;
    let first = env.phone().await;
    let is_over = AtomicBool::new(false);
    let users = join_all((0..USERS).map(|_| async { use_all_the_time(env.phone().await, &is_over).await }));
    let rotations = async {
        for _ in 0..ROTATIONS {
            let before = kid(&env.phone().await.tokens.access_token);
            let said = env.edgechat(&["keys", "rotate", "--lead-seconds", "10"]).await;
            let next = said.split(' ').next().unwrap().to_owned();
            // The accounts are read once a second at most.
            until(BOUND, "the next key beside the one before", || async {
                let set: JwkSet = env.client().get("/.well-known/jwks.json").send().await.json();
                (set.find(&next).is_some() && set.find(&before).is_some()).then_some(())
            })
            .await;
            until(BOUND, "the next key to sign", || async {
                (kid(&env.phone().await.tokens.access_token) == next).then_some(())
            })
            .await;
        }
        is_over.store(true, Relaxed);
    };
    let (used, ()) = tokio::join!(users, rotations);
    for (kids, requests) in used {
        // The key of the secret, and those that followed it.
        assert_eq!(kids.len(), ROTATIONS + 1, "{kids:?} in {requests} requests");
    }
    // The token of before is as good as it was.
    let _ = first.client.get(ME).send().await.expect_status(200);
    let listed = env.edgechat(&["keys", "list"]).await;
    for state in ["signing", "old", "of JWT_SECRET"] {
        assert!(listed.contains(state), "{listed}");
    }
}
