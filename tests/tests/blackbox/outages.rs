//! Tests of an origin that fails during a turn and recovers: the conversation continues, and each turn is delivered once.

use std::time::Duration;

use edgechat_tests::{
    client::{Phone, content, turn_path},
    provider::call::USAGE,
    test_env::{EDGE_KEY, TestEnv},
    wait::{BOUND, until},
};
use serde_json::json;
use shared::{
    api::{
        ErrorCode,
        chat::{Message, SentMessage, TurnStatus},
    },
    http::headers::SIGNATURE_ERROR,
    id::Id,
    provider::ContentPart,
};

/// The outbox retries within half a minute; a slow machine gets more.
const RETRIES: Duration = Duration::from_secs(90);

/// Waits until the origin has so many messages of the conversation, without a request to the user object: its own alarm
/// delivers them.
async fn stored(phone: &Phone, conversation: Id, count: usize) -> Vec<Message> {
    until(RETRIES, "the messages stored at the origin", || async {
        Some(phone.messages(conversation).await).filter(|messages| messages.len() >= count)
    })
    .await
}

#[tokio::test]
async fn turn_during_origin_death_is_delivered_once() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    call.send_text("Once ").await.unwrap();
    stream.delta().await;

    env.kill_origin().await;
    call.send_text("upon a time.").await.unwrap();
    assert_eq!(stream.delta().await, "upon a time.");
    call.stop().await.unwrap();
    let end = stream.rest().await.pop().unwrap();
    assert_eq!((end.kind.as_str(), &end.data["persisted"]), ("turn.completed", &json!(false)));
    assert!(!phone.turn(turn).await.persisted);

    env.start_origin().await;
    let messages = stored(&phone, conversation, 2).await;
    assert_eq!(messages.len(), 2);
    assert_eq!(
        (messages[1].content.as_str(), messages[1].status),
        ("Once upon a time.", TurnStatus::Completed)
    );
    assert!(phone.persisted(turn).await.persisted);
    assert_eq!(phone.messages(conversation).await.len(), 2);
    let totals = phone.usage().await.totals;
    assert_eq!((totals.requests, totals.output_tokens), (1, USAGE.output_tokens));
}

#[tokio::test]
async fn conversation_continues_during_origin_outage() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "One").await;

    env.kill_origin().await;
    let mut turns = Vec::new();
    for text in ["Two", "Three"] {
        let sent = phone.send_message(conversation, text).await;
        assert_eq!((sent.status, sent.persisted), (TurnStatus::Completed, false));
        turns.push(sent.turn_id);
    }
    let unreachable = phone.client.get("/api/v1/users/me").send().await;
    unreachable.problem(ErrorCode::OriginUnavailable);

    env.start_origin().await;
    let messages = stored(&phone, conversation, 6).await;
    let asked: Vec<_> = messages.iter().step_by(2).map(|message| message.content.as_str()).collect();
    assert_eq!(asked, ["One", "Two", "Three"]);
    let seqs: Vec<_> = messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    for turn in turns {
        phone.persisted(turn).await;
    }
    assert_eq!(phone.usage().await.totals.requests, 3);
}

#[tokio::test]
async fn valid_token_without_reachable_keys_is_503() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    env.kill_origin().await;
    let reply = phone.client.get("/api/v1/users/me").send().await;
    reply.problem(ErrorCode::OriginUnavailable);
    assert!(reply.header("retry-after").is_some());
    env.start_origin().await;
    let _ = phone.client.get("/api/v1/users/me").send().await.expect_status(200);
}

#[tokio::test]
async fn suspended_origin_delays_no_turn() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    env.suspend_origin().await;
    call.send_text("Once upon a time.").await.unwrap();
    stream.delta().await;
    call.stop().await.unwrap();
    let end = stream.rest().await.pop().unwrap();
    assert_eq!((end.kind.as_str(), &end.data["persisted"]), ("turn.completed", &json!(false)));
    env.resume_origin();
    // The first delivery may have arrived after all: with its repetition it counts once.
    phone.persisted(turn).await;
    assert_eq!(phone.messages(conversation).await.len(), 2);
    assert_eq!(phone.usage().await.totals.requests, 1);
}

#[tokio::test]
async fn proxied_request_to_suspended_origin_is_503() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let _ = phone.client.get("/api/v1/users/me").send().await.expect_status(200);
    env.suspend_origin().await;
    let paths =
        ["/api/v1/users/me", "/api/v1/health", "/api/v1/chat/turns/019aa5d2-8c00-7000-8000-3f6d2b1c9e77"];
    let replies = paths.map(|path| phone.client.get(path).send());
    for reply in futures_util::future::join_all(replies).await {
        reply.problem(ErrorCode::OriginUnavailable);
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
    }
    env.resume_origin();
    let _ = phone.client.get("/api/v1/users/me").send().await.expect_status(200);
}

#[tokio::test]
async fn edge_key_mismatch_is_503() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "One").await;
    env.kill_origin().await;
    env.start_origin_with("EDGE_KEYS", "another-key-that-is-long-enough-to-be-one").await;

    for path in
        ["/api/v1/users/me", "/api/v1/auth/login", "/api/v1/chat/turns/019aa5d2-8c00-7000-8000-3f6d2b1c9e77"]
    {
        let reply = phone.client.get(path).send().await;
        reply.problem(ErrorCode::OriginUnavailable);
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
        assert_eq!(reply.header(SIGNATURE_ERROR), None);
    }
    // Cached contexts stay in use, from memory and from storage.
    let two = phone.send_message(conversation, "Two").await;
    assert_eq!((two.status, two.persisted), (TurnStatus::Completed, false));
    env.kill_workerd().await;
    env.start_workerd().await;
    // The Worker fetches the keys without a signature, so it can verify tokens.
    let _ = phone.client.get(&turn_path(two.turn_id)).send().await.expect_status(200);
    let three = phone.send_message(conversation, "Three").await;
    assert_eq!((three.status, three.persisted), (TurnStatus::Completed, false));
    for log in [env.origin_log(), env.edge_log()] {
        let why = "no key of EDGE_KEYS made the signature";
        until(BOUND, "the reason in both logs", || async {
            log.lines().iter().any(|line| line.contains(why)).then_some(())
        })
        .await;
    }

    env.kill_origin().await;
    env.start_origin_with("EDGE_KEYS", EDGE_KEY).await;
    phone.persisted(two.turn_id).await;
    phone.persisted(three.turn_id).await;
    assert_eq!(phone.messages(conversation).await.len(), 6);
}

#[tokio::test]
async fn late_delivery_takes_its_place_in_prompt() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "One").await;
    let late = env.say_without_origin(&phone, conversation, "Two").await;
    env.start_origin().await;
    // Delivered after the previous turn, whose next attempt is due later.
    let three = phone.send_message(conversation, "Three").await;
    let path = format!("/api/v1/chat/conversations/{conversation}");
    let renamed = phone.client.ask(reqwest::Method::PATCH, &path).json(&json!({ "title": "Anew" }));
    let _ = renamed.send().await.expect_status(200);
    phone.send_message(conversation, "Four").await;
    let asked = |messages: &[shared::provider::ChatMessage]| -> Vec<String> {
        let texts = messages.iter().filter(|message| message.role == shared::provider::Role::User);
        texts.flat_map(|message| &message.parts).map(|part| format!("{part:?}")).collect()
    };
    let prompt = asked(&env.provider.received().pop().unwrap().request.messages);
    let expected: Vec<_> = ["One", "Two", "Three", "Four"]
        .map(|text| format!("{:?}", ContentPart::Text(text.to_owned())))
        .into();
    assert_eq!(prompt, expected);
    phone.persisted(three.turn_id).await;
    phone.persisted(late.turn_id).await;
    let seqs: Vec<_> = phone.messages(conversation).await.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn concurrent_equal_requests_share_origin_failure() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.suspend_origin().await;
    let ask = || phone.message(conversation, &content("Hello")).key("one-message").send();
    let replies = futures_util::future::join_all((0..5).map(|_| ask())).await;
    for reply in replies {
        reply.problem(ErrorCode::OriginUnavailable);
    }
    env.resume_origin();
    let sent: SentMessage = ask().await.expect_status(201).json();
    phone.persisted(sent.turn_id).await;
    assert_eq!(env.provider.calls(), 1);
}
