//! Tests of replacing the token secret under load: acknowledged turns are delivered, and a key that is not known yet is never
//! reported as invalid.

use edgechat_tests::{
    client::{Client, PASSWORD, Phone, Reply},
    test_env::{JWT_SECRET, TestEnv},
    tokens,
    wait::{BOUND, until},
};
use serde_json::json;
use shared::{
    api::{ErrorCode, account::Tokens},
    auth::native::SigningKey,
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
