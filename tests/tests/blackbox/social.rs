//! Sign-in with Google and Apple, and guests who become users or move their conversations, by the Worker.

use std::convert::Infallible;

use bytes::Bytes;
use edgechat_tests::{
    client::{Client, PASSWORD, Phone, Reply},
    clock::now,
    mock_origin,
    test_env::TestEnv,
};
use http_body_util::Full;
use hyper::{Response, service::service_fn};
use serde_json::{Value, json};
use shared::api::{
    ErrorCode,
    account::{Tokens, User},
    chat::Conversation,
    page::Page,
};

use crate::id_tokens;

/// The published example of RFC 7515 (A.2): nothing is secret about it.
const KEY: &str = include_str!("../../keys/rfc7515-a2.json");
const GOOGLE: &str = "/api/v1/auth/oidc/google";
const APPLE: &str = "/api/v1/auth/oidc/apple";
const GUEST: &str = "/api/v1/auth/guest";
const CLIENT: &str = "com.example.app";

/// Starts an environment whose Google and Apple are one mock with one key.
async fn start() -> TestEnv {
    let public = id_tokens::public_key(KEY, "1");
    let set = Bytes::from(json!({ "keys": [public] }).to_string());
    let keys = mock_origin::serve(service_fn(move |_| {
        let set = set.clone();
        async move { Ok::<_, Infallible>(Response::new(Full::new(set))) }
    }))
    .await;
    TestEnv::setup()
        .var("GOOGLE_CLIENT_IDS", CLIENT)
        .var("GOOGLE_JWKS_URL", &keys)
        .var("APPLE_CLIENT_IDS", CLIENT)
        .var("APPLE_JWKS_URL", keys)
        .start()
        .await
}

fn token(issuer: &str, subject: &str, email: &str, nonce: Option<&str>) -> String {
    let now_s = now().as_secs();
    let mut claims = json!({
        "iss": issuer,
        "aud": CLIENT,
        "sub": subject,
        "email": email,
        "email_verified": true,
        "iat": now_s,
        "exp": now_s + 600,
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    id_tokens::sign(KEY, &json!({ "alg": "RS256", "kid": "1" }), &claims)
}

fn google_token(subject: &str, email: &str) -> String {
    token("https://accounts.google.com", subject, email, None)
}

async fn show(client: &Client, path: &str, body: &Value) -> Reply {
    client.post(path).json(body).send().await
}

fn phone(client: &Client, tokens: Tokens) -> Phone {
    Phone::new(client.with_token(&tokens.access_token), tokens)
}

async fn conversations(phone: &Phone) -> Vec<Conversation> {
    let path = "/api/v1/chat/conversations";
    phone.client.get(path).send().await.expect_status(200).json::<Page<Conversation>>().items
}

#[tokio::test]
async fn apple_token_is_no_use_with_another_nonce() {
    let env = start().await;
    let anonymous = env.phone().await.client.anonymous();
    let shown = token("https://appleid.apple.com", "a-1", "hidden@privaterelay.appleid.com", Some("n-1"));
    let stolen = json!({ "id_token": shown, "nonce": "n-2" });
    show(&anonymous, APPLE, &stolen).await.problem(ErrorCode::InvalidCredentials);
    show(&anonymous, GOOGLE, &json!({ "id_token": shown, "nonce": "n-1" }))
        .await
        .problem(ErrorCode::InvalidCredentials);
    let good = json!({ "id_token": shown, "nonce": "n-1", "display_name": "Ada" });
    let tokens: Tokens = show(&anonymous, APPLE, &good).await.expect_status(200).json();
    assert_eq!(tokens.user.display_name.as_deref(), Some("Ada"));
    let ada = phone(&anonymous, tokens);
    let turn = ada.send_and_persist(ada.conversation().await, "Hello").await;
    let _ = ada.turn(turn.turn_id).await;
}

#[tokio::test]
async fn google_account_is_linked_to_the_signed_in_user_alone() {
    let env = start().await;
    let (ada, eve) = (env.phone().await, env.phone().await);
    let shown = json!({ "id_token": google_token("g-1", "ada@work.example") });
    let linked: Tokens = show(&ada.client, GOOGLE, &shown).await.expect_status(200).json();
    assert_eq!((linked.user.id, linked.session_id), (ada.tokens.user.id, ada.tokens.session_id));
    show(&eve.client, GOOGLE, &shown).await.problem(ErrorCode::Conflict);
    let again: Tokens = show(&ada.client.anonymous(), GOOGLE, &shown).await.expect_status(200).json();
    assert_eq!(again.user.id, ada.tokens.user.id);
}

#[tokio::test]
async fn guest_who_links_google_keeps_what_they_wrote() {
    let env = start().await;
    let anonymous = env.phone().await.client.anonymous();
    let tokens: Tokens = anonymous.post(GUEST).send().await.expect_status(201).json();
    assert!(tokens.user.guest);
    let guest = phone(&anonymous, tokens);
    let conversation = guest.conversation().await;
    guest.send_and_persist(conversation, "Hello").await;
    let shown = json!({ "id_token": google_token("g-1", "guest@example.com") });
    let linked: Tokens = show(&guest.client, GOOGLE, &shown).await.expect_status(200).json();
    assert_eq!((linked.user.id, linked.user.guest), (guest.tokens.user.id, false));
    let me: User = guest.client.get("/api/v1/users/me").send().await.expect_status(200).json();
    assert_eq!(me.email.as_deref(), Some("guest@example.com"));
    guest.send_and_persist(conversation, "And again").await;
    assert_eq!(guest.messages(conversation).await.len(), 4);
}

#[tokio::test]
async fn conversations_of_a_guest_go_on_in_the_account_that_they_sign_in_to() {
    let env = start().await;
    let ada = env.phone().await;
    let anonymous = ada.client.anonymous();
    let tokens: Tokens = anonymous.post(GUEST).send().await.expect_status(201).json();
    let guest = phone(&anonymous, tokens);
    let conversation = guest.conversation().await;
    let turn = guest.send_and_persist(conversation, "Hello").await.turn_id;
    let body = json!({
        "email": ada.email(),
        "password": PASSWORD,
        "merge_guest_token": guest.tokens.access_token,
    });
    let tokens: Tokens = show(&anonymous, "/api/v1/auth/login", &body).await.expect_status(200).json();
    let merged = phone(&anonymous, tokens);
    let ids: Vec<_> = conversations(&merged).await.iter().map(|found| found.id).collect();
    assert_eq!(ids, [conversation]);
    assert_eq!(merged.turn(turn).await.id, turn);
    merged.send_and_persist(conversation, "And again").await;
    assert_eq!(merged.messages(conversation).await.len(), 4);
    let path = format!("/api/v1/chat/turns/{turn}");
    guest.client.get(&path).send().await.problem(ErrorCode::SessionEnded);
    show(&anonymous, "/api/v1/auth/login", &body).await.problem(ErrorCode::ValidationFailed);
}
