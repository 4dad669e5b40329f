//! Tests of idempotency keys: the same key returns the same turn, with the same ids and text, one provider call, one count.

use edgechat_tests::{
    client::{Reply, content, messages_path, text_of},
    provider::{Script, call::USAGE},
    test_env::TestEnv,
};
use futures_util::future::join_all;
use serde_json::json;
use shared::{
    api::{
        ErrorCode,
        chat::{SentMessage, TurnStatus},
    },
    id::Id,
};

const KEY: &str = "the-key-of-one-message";

#[tokio::test]
async fn repeated_key_returns_same_turn() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let body = content("Hello");
    let first: SentMessage =
        phone.message(conversation, &body).key(KEY).send().await.expect_status(201).json();
    let again = phone.message(conversation, &body).key(KEY).send().await;
    assert!([200, 201].contains(&again.status), "{again:?}");
    let again: SentMessage = again.json();
    assert_eq!(again.turn_id, first.turn_id);
    assert_eq!(again.user_message, first.user_message);
    assert_eq!(again.assistant_message, first.assistant_message);

    let events = phone.message(conversation, &body).key(KEY).stream().await.rest().await;
    assert_eq!(events[0].data["turn_id"], json!(first.turn_id));
    assert_eq!(text_of(&events), first.assistant_message.content);
    assert_eq!(events.last().unwrap().kind, "turn.completed");

    assert_eq!(env.provider.calls(), 1);
    phone.persisted(first.turn_id).await;
    assert_eq!(phone.messages(conversation).await.len(), 2);
    let totals = phone.usage().await.totals;
    assert_eq!((totals.requests, totals.output_tokens), (1, USAGE.output_tokens));
}

#[tokio::test]
async fn ten_concurrent_requests_with_one_key_start_one_turn() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let body = content("Hello");
    let upcoming = env.provider.hand_over();
    let ask = || phone.message(conversation, &body).key(KEY);
    let as_json = join_all((0..5).map(|_| async { ask().send().await }));
    let as_stream = join_all((0..5).map(|_| async { ask().stream().await.rest().await }));
    let (replies, streams, ()) = tokio::join!(as_json, as_stream, async {
        let mut call = upcoming.arrives().await;
        call.send_text("Only ").await.unwrap();
        call.send_text("once.").await.unwrap();
        call.stop().await.unwrap();
    });

    let sent: Vec<SentMessage> = replies.iter().map(Reply::json).collect();
    let turn_id = sent[0].turn_id;
    for answer in &sent {
        assert_eq!((answer.turn_id, answer.status), (turn_id, TurnStatus::Completed));
        assert_eq!(answer.assistant_message, sent[0].assistant_message);
        assert_eq!(answer.assistant_message.content, "Only once.");
    }
    for events in &streams {
        assert_eq!(events[0].data["turn_id"], json!(turn_id));
        assert_eq!(text_of(events), "Only once.");
        assert_eq!(events, &streams[0]);
    }
    assert_eq!(env.provider.calls(), 1);
    phone.persisted(turn_id).await;
    assert_eq!(phone.messages(conversation).await.len(), 2);
    assert_eq!(phone.usage().await.totals.requests, 1);
}

#[tokio::test]
async fn client_message_id_is_idempotency_key() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let body = json!({ "content": "Hello", "client_message_id": KEY });
    let first: SentMessage = phone.message(conversation, &body).send().await.expect_status(201).json();
    let again: SentMessage = phone.message(conversation, &body).send().await.json();
    assert_eq!(again.turn_id, first.turn_id);
    assert_eq!(env.provider.calls(), 1);
}

#[tokio::test]
async fn key_with_different_request_is_refused() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let (conversation, other) = (phone.conversation().await, phone.conversation().await);
    let _ = phone.message(conversation, &content("Hello")).key(KEY).send().await.expect_status(201);
    for (conversation, text) in [(conversation, "Something else"), (other, "Hello")] {
        let reply = phone.message(conversation, &content(text)).key(KEY).send().await;
        reply.problem(ErrorCode::IdempotencyKeyReused);
    }
    assert_eq!(env.provider.calls(), 1);
    assert_eq!(phone.messages(other).await, []);
}

#[tokio::test]
async fn key_of_another_user_is_independent() {
    let env = TestEnv::start().await;
    let (ada, bob) = tokio::join!(env.phone(), env.phone());
    let mut turns: Vec<Id> = Vec::new();
    for phone in [ada, bob] {
        let conversation = phone.conversation().await;
        let reply = phone.message(conversation, &content("Hello")).key(KEY).send().await.expect_status(201);
        turns.push(reply.json::<SentMessage>().turn_id);
    }
    assert_ne!(turns[0], turns[1]);
    assert_eq!(env.provider.calls(), 2);
}

#[tokio::test]
async fn key_survives_restart() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let body = content("Hello");
    let first: SentMessage =
        phone.message(conversation, &body).key(KEY).send().await.expect_status(201).json();
    env.kill_workerd().await;
    env.start_workerd().await;
    let again: SentMessage = phone.message(conversation, &body).key(KEY).send().await.json();
    assert_eq!(again.turn_id, first.turn_id);
    assert_eq!(again.assistant_message.content, first.assistant_message.content);
    assert_eq!(env.provider.calls(), 1);
}

#[tokio::test]
async fn key_of_failed_turn_returns_same_failure() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let body = content("Hello");
    env.provider.will(Script::error(hyper::StatusCode::INTERNAL_SERVER_ERROR));
    let first = phone.message(conversation, &body).key(KEY).send().await;
    first.problem(ErrorCode::ProviderError);
    let again = phone.message(conversation, &body).key(KEY).send().await;
    again.problem(ErrorCode::ProviderError);
    assert_eq!(env.provider.calls(), 1, "a retry after a failed turn needs a new key");
}

#[tokio::test]
async fn overlong_key_is_refused() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let reply = phone.message(conversation, &content("Hello")).key(&"k".repeat(256)).send().await;
    assert!([400, 422].contains(&reply.status), "{reply:?}");
    assert_eq!(env.provider.calls(), 0);
}

#[tokio::test]
async fn key_with_equivalent_body_returns_same_turn() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let first: SentMessage =
        phone.message(conversation, &content("Hello")).key(KEY).send().await.expect_status(201).json();
    let path = messages_path(conversation);
    for body in [
        r#"{ "stream" : false, "content" : "\u0048ello" }"#,
        r#"{"temperature":null,"content":[{"type":"text","text":"Hello"}],"later":1}"#,
        r#"{"content":"Hello","client_message_id":"the-key-of-one-message"}"#,
    ] {
        let again: SentMessage =
            phone.client.post(&path).key(KEY).json_bytes(body).send().await.expect_status(201).json();
        assert_eq!(again.turn_id, first.turn_id, "{body}");
    }
    let other = phone.client.post(&path).key(KEY).json_bytes(r#"{"content":"hello"}"#).send().await;
    other.problem(ErrorCode::IdempotencyKeyReused);
    assert_eq!(env.provider.calls(), 1);
}
