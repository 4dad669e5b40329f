//! Tests of messages that wait their turn: in order, across a restart, and taken back.

use edgechat_tests::{
    client::{Phone, Reply},
    provider::{call::Call, script::Script},
    test_env::TestEnv,
};
use serde_json::json;
use shared::{
    api::{
        ErrorCode,
        chat::{SentMessage, Turn, TurnStatus},
    },
    chat::admission::MAX_QUEUED_TURNS,
    id::Id,
};

/// Sends a message that waits, and returns its turn at once.
async fn queue(phone: &Phone, conversation: Id, text: &str) -> Turn {
    queue_reply(phone, conversation, text).await.expect_status(202).json()
}

async fn queue_reply(phone: &Phone, conversation: Id, text: &str) -> Reply {
    let body = json!({ "content": text, "when_running": "queue" });
    phone.message(conversation, &body).header("Prefer", "respond-async").key(text).send().await
}

/// Starts a turn that runs until the test ends its call.
async fn running(env: &TestEnv, phone: &Phone, conversation: Id) -> (Turn, Call) {
    let upcoming = env.provider.hand_over();
    let (turn, call) = tokio::join!(queue(phone, conversation, "One"), async {
        let mut call = upcoming.arrives().await;
        call.send_text("First.").await.unwrap();
        call
    });
    (turn, call)
}

async fn words(phone: &Phone, conversation: Id) -> Vec<String> {
    phone.messages(conversation).await.into_iter().map(|message| message.content).collect()
}

#[tokio::test]
async fn messages_of_two_phones_wait_and_run_in_one_order() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let other = phone.sign_in_again().await;
    let conversation = phone.conversation().await;
    let (first, call) = running(&env, &phone, conversation).await;
    let second = queue(&other, conversation, "Two").await;
    let third = queue(&phone, conversation, "Three").await;
    assert_eq!((second.status, third.status), (TurnStatus::Queued, TurnStatus::Queued));
    assert_eq!(phone.turn(second.id).await, second);
    // The same key is the same turn, and who does not want to wait is refused.
    assert_eq!(queue(&other, conversation, "Two").await.id, second.id);
    let refused = phone.message(conversation, &json!({ "content": "Now" })).send().await;
    refused.problem(ErrorCode::TurnRunning);

    let reader = phone.events(second.id).stream().await;
    env.provider.will(Script::pieces(["Second."]));
    env.provider.will(Script::pieces(["Third."]));
    call.stop().await.unwrap();
    for turn in [first.id, second.id, third.id] {
        assert_eq!(phone.persisted(turn).await.status, TurnStatus::Completed);
    }
    let events = reader.rest().await;
    assert_eq!((events[0].kind.as_str(), events[0].turn_id()), ("turn.started", second.id));
    assert_eq!(events.last().unwrap().kind, "turn.completed");
    let expected = ["One", "First.", "Two", "Second.", "Three", "Third."];
    assert_eq!(words(&phone, conversation).await, expected);
    assert_eq!(words(&other, conversation).await, expected);
    let messages = phone.messages(conversation).await;
    assert_eq!(Some(messages[2].id), second.user_message_id);
    assert_eq!(messages[5].id, third.assistant_message_id);
    assert_eq!(phone.usage().await.totals.requests, 3);
}

#[tokio::test]
async fn queue_survives_kill_of_workerd() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (first, call) = running(&env, &phone, conversation).await;
    let waiting = [queue(&phone, conversation, "Two").await, queue(&phone, conversation, "Three").await];
    env.kill_workerd().await;
    drop(call);
    env.provider.will(Script::pieces(["Second."]));
    env.provider.will(Script::pieces(["Third."]));
    env.start_workerd().await;
    assert_eq!(phone.persisted(first.id).await.status, TurnStatus::Interrupted);
    for turn in &waiting {
        assert_eq!(phone.persisted(turn.id).await.status, TurnStatus::Completed);
    }
    let words = words(&phone, conversation).await;
    assert_eq!(
        (words[0].as_str(), &words[2..]),
        ("One", &["Two", "Second.", "Three", "Third."].map(str::to_owned)[..])
    );
    assert_eq!(queue(&phone, conversation, "Two").await.id, waiting[0].id);
}

#[tokio::test]
async fn message_taken_back_while_it_waits_is_cancelled_and_counts_nothing() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (first, call) = running(&env, &phone, conversation).await;
    let waiting = queue(&phone, conversation, "Two").await;
    let body = json!({ "content": "Three", "when_running": "queue" });
    let (sent, ()) = tokio::join!(phone.message(conversation, &body).send(), async {
        let cancelled: Turn = phone.cancel(waiting.id).send().await.expect_status(202).json();
        assert_eq!(cancelled.status, TurnStatus::Cancelled);
        env.provider.will(Script::pieces(["Third."]));
        call.stop().await.unwrap();
    });
    let sent: SentMessage = sent.expect_status(201).json();
    assert_eq!(sent.assistant_message.content, "Third.");
    phone.persisted(sent.turn_id).await;
    assert_eq!(words(&phone, conversation).await, ["One", "First.", "Three", "Third."]);
    assert_eq!(phone.usage().await.totals.requests, 2);
    let events = phone.events(waiting.id).events().await;
    assert_eq!(events.last().unwrap().kind, "turn.cancelled");
    // It stays what it is after a restart.
    env.kill_workerd().await;
    env.start_workerd().await;
    let turn = phone.turn(waiting.id).await;
    assert_eq!((turn.status, turn.persisted), (TurnStatus::Cancelled, false));
    assert_eq!(queue(&phone, conversation, "Two").await.id, waiting.id);
    assert_eq!(phone.turn(first.id).await.status, TurnStatus::Completed);
}

#[tokio::test]
async fn queue_is_bounded_and_counts_in_daily_limit() {
    let env =
        TestEnv::setup().var("BASIC_TIER_DAILY_LIMIT", (MAX_QUEUED_TURNS + 2).to_string()).start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (_, call) = running(&env, &phone, conversation).await;
    let mut waiting = Vec::new();
    for n in 0..MAX_QUEUED_TURNS {
        waiting.push(queue(&phone, conversation, &format!("Wait-{n}")).await);
    }
    queue_reply(&phone, conversation, "More").await.problem(ErrorCode::TooManyTurns);
    let elsewhere = phone.conversation().await;
    env.provider.will(Script::pieces(["Hi."]));
    phone.send_message(elsewhere, "Hello").await;
    phone
        .message(elsewhere, &json!({ "content": "Again" }))
        .send()
        .await
        .problem(ErrorCode::DailyLimitReached);
    let _ = phone.cancel(waiting[0].id).send().await.expect_status(202);
    env.provider.will(Script::pieces(["Hi."]));
    phone.send_message(elsewhere, "Again").await;
    drop(call);
}

#[tokio::test]
async fn deleted_conversation_stops_its_turns_and_drops_those_that_wait() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (first, mut call) = running(&env, &phone, conversation).await;
    let waiting = queue(&phone, conversation, "Two").await;
    let reader = phone.events(waiting.id).stream().await;
    let path = format!("/api/v1/chat/conversations/{conversation}");
    let _ = phone.client.ask(reqwest::Method::DELETE, &path).send().await.expect_status(204);
    call.gone().await;
    assert_eq!(reader.rest().await.last().unwrap().kind, "turn.cancelled");
    let turn = phone.turn_when(first.id, "the turn to end", |turn| turn.status.is_terminal()).await;
    assert_eq!((turn.status, turn.text.as_str()), (TurnStatus::Cancelled, "First."));
    assert_eq!(env.provider.calls(), 1);
}

#[tokio::test]
async fn ended_session_stops_its_turns_and_no_others() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let other = phone.sign_in_again().await;
    let (here, there) = (phone.conversation().await, phone.conversation().await);
    let (stopped, mut call) = running(&env, &phone, here).await;
    let waiting = queue(&phone, here, "Two").await;
    let upcoming = env.provider.hand_over();
    let body = json!({ "content": "Three" });
    let (sent, ()) = tokio::join!(other.message(there, &body).send(), async {
        let mut going_on = upcoming.arrives().await;
        going_on.send_text("Third").await.unwrap();
        let _ = phone.client.post("/api/v1/auth/logout").send().await.expect_status(204);
        call.gone().await;
        going_on.send_text(".").await.unwrap();
        going_on.stop().await.unwrap();
    });
    let sent: SentMessage = sent.expect_status(201).json();
    assert_eq!((sent.status, sent.assistant_message.content.as_str()), (TurnStatus::Completed, "Third."));
    let turn = other.persisted(stopped.id).await;
    assert_eq!((turn.status, turn.text.as_str()), (TurnStatus::Cancelled, "First."));
    assert_eq!(other.turn(waiting.id).await.status, TurnStatus::Cancelled);
}
