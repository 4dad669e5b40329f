//! The consent gate: no word goes to a model, and nothing is written, before its user has agreed to the documents that the origin
//! requires.

use edgechat_tests::{
    client::{Phone, Reply, content, messages_path, turn_path},
    test_env::TestEnv,
};
use serde_json::json;
use shared::{
    api::{ErrorCode, chat::SentMessage},
    http::headers::MISSING_CONSENTS,
    id::Id,
};

const REQUIRED: &str = "CONSENTS_REQUIRED";
const KEY: &str = "a-message";

async fn agree(phone: &Phone, document: &str, version: &str) {
    let body = json!({ "document": document, "version": version });
    let reply = phone.client.post("/api/v1/users/me/consents").json(&body).send().await;
    let _ = reply.expect_status(201);
}

/// Asserts that a message is refused, and returns the names of the missing documents.
fn missing(reply: &Reply) -> Vec<String> {
    let problem = reply.problem(ErrorCode::ConsentRequired);
    assert!(problem.detail.contains("/api/v1/users/me/consents"), "{problem:?}");
    problem.errors.into_iter().map(|error| error.field).collect()
}

async fn send(phone: &Phone, conversation: Id) -> Reply {
    phone.message(conversation, &content("Hello")).send().await
}

#[tokio::test]
async fn message_before_consent_is_refused_and_leaves_nothing() {
    let env = TestEnv::setup().var(REQUIRED, "terms=2026-10-01,privacy=3").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    assert_eq!(missing(&send(&phone, conversation).await), ["terms", "privacy"]);
    let streamed = phone.message(conversation, &content("Hello")).try_stream().await;
    assert_eq!(missing(&streamed.expect_err("a stream")), ["terms", "privacy"]);
    // Another version is none, and one of two is not enough.
    agree(&phone, "terms", "2025-01-01").await;
    agree(&phone, "privacy", "3").await;
    assert_eq!(missing(&send(&phone, conversation).await), ["terms"]);
    assert_eq!((env.provider.calls(), phone.messages(conversation).await.len()), (0, 0));
    assert_eq!(phone.usage().await.totals.requests, 0);

    agree(&phone, "terms", "2026-10-01").await;
    let _ = send(&phone, conversation).await.expect_status(201);
    let verified = phone.client.get("/api/v1/auth/verify").send().await.expect_status(200);
    assert_eq!(verified.header(MISSING_CONSENTS), None, "no client sees it");
}

#[tokio::test]
async fn consent_is_remembered_over_restart_and_outage() {
    let mut env = TestEnv::setup().var(REQUIRED, "terms=1").start().await;
    let phone = env.phone().await;
    agree(&phone, "terms", "1").await;
    let conversation = phone.conversation().await;
    let _ = phone.send_and_persist(conversation, "Hello").await;
    env.kill_workerd().await;
    env.start_workerd().await;
    // The front fetches the origin's keys.
    let _ = phone.client.get("/api/v1/users/me").send().await.expect_status(200);
    let sent = env.say_without_origin(&phone, conversation, "Still there?").await;
    env.start_origin().await;
    phone.persisted(sent.turn_id).await;
}

#[tokio::test]
async fn message_of_unknown_consent_during_outage_is_503() {
    let mut env = TestEnv::setup().var(REQUIRED, "terms=1").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    assert_eq!(missing(&send(&phone, conversation).await), ["terms"]);
    env.kill_origin().await;
    send(&phone, conversation).await.problem(ErrorCode::OriginUnavailable);
    env.start_origin().await;
    agree(&phone, "terms", "1").await;
    let _ = send(&phone, conversation).await.expect_status(201);
    assert_eq!(env.provider.calls(), 1);
}

#[tokio::test]
async fn newly_required_version_is_demanded_from_the_next_look_up_on() {
    let mut env = TestEnv::setup().var(REQUIRED, "terms=1").start().await;
    let phone = env.phone().await;
    agree(&phone, "terms", "1").await;
    let conversation = phone.conversation().await;
    let first: SentMessage =
        phone.message(conversation, &content("Hello")).key(KEY).send().await.expect_status(201).json();
    phone.persisted(first.turn_id).await;
    env.kill_origin().await;
    env.start_origin_with(REQUIRED, "terms=2").await;
    // After a restart the user object looks the session up.
    env.kill_workerd().await;
    env.start_workerd().await;
    assert_eq!(missing(&send(&phone, conversation).await), ["terms"]);
    assert_eq!(phone.messages(conversation).await.len(), 2);
    // The words are shown, and sent again.
    let again = phone.message(conversation, &content("Hello")).key(KEY).send().await.expect_status(201);
    assert_eq!(again.json::<SentMessage>().turn_id, first.turn_id);
    let _ = phone.client.get(&turn_path(first.turn_id)).send().await.expect_status(200);
    let _ = phone.client.get(&messages_path(conversation)).send().await.expect_status(200);
    agree(&phone, "terms", "2").await;
    let _ = send(&phone, conversation).await.expect_status(201);
}
