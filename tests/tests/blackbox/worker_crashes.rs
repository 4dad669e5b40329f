//! Tests of a Worker that crashes or restarts during a turn: no text that was sent is lost, and nothing is counted twice.

use std::time::Duration;

use edgechat_tests::{
    client::{Event, content, text_of},
    provider::{Script, script::paced},
    test_env::TestEnv,
    wait::{BOUND, until},
};
use serde_json::json;
use shared::api::{
    ErrorCode,
    chat::{SentMessage, TurnStatus},
};

#[tokio::test]
async fn user_object_reset_is_503_after_one_retry() {
    let env = TestEnv::setup().var("FAULT_INJECTION", "on").start().await;
    let phone = env.phone().await;
    let resets =
        || env.edge_log().lines().iter().filter(|line| line.contains("the user object is reset")).count();
    let reply = phone.client.get("/__fault/reset").send().await;
    reply.problem(ErrorCode::Overloaded);
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    until(BOUND, "both resets in the log", || async { (resets() == 2).then_some(()) }).await;
    let reply = phone.client.post("/__fault/reset").json(&json!({})).send().await;
    reply.problem(ErrorCode::Overloaded);
    until(BOUND, "the third reset in the log", || async { (resets() == 3).then_some(()) }).await;
    let conversation = phone.conversation().await;
    assert_eq!(phone.send_message(conversation, "Hello").await.status, TurnStatus::Completed);
}

#[tokio::test]
async fn outbox_survives_worker_restart() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "One").await;
    let sent = env.say_without_origin(&phone, conversation, "Two").await;
    env.kill_workerd().await;
    env.start_origin().await;
    env.start_workerd().await;
    let turn = phone.persisted(sent.turn_id).await;
    assert_eq!((turn.status, turn.text), (TurnStatus::Completed, sent.assistant_message.content));
    assert_eq!(phone.messages(conversation).await.len(), 4);
    assert_eq!(phone.usage().await.totals.requests, 2);
}

#[tokio::test]
async fn turn_during_worker_death_is_interrupted() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let words: Vec<_> = (0..200).map(|word| format!("word{word} ")).collect();
    env.provider.will(paced(words.clone(), Duration::from_millis(100)));
    let mut stream = phone.stream(conversation, "Hello").await;
    let turn = stream.expect("turn.started").await.turn_id();
    let (mut seen, mut last_id) = (String::new(), 0);
    while !seen.contains("word30 ") {
        let event = stream.expect("message.delta").await;
        seen.push_str(event.data["text"].as_str().unwrap());
        last_id = event.id;
    }
    // Checkpoints are written about once a second: recovery starts from the one that has this word.
    env.stored_by_objects("word20 ").await;

    env.kill_workerd().await;
    while let Ok(Some(event)) = stream.try_next().await {
        seen.push_str(event.data["text"].as_str().unwrap());
        last_id = event.id;
    }
    env.start_workerd().await;

    let state = phone.turn_when(turn, "the turn to be over", |turn| turn.status.is_terminal()).await;
    assert_eq!(state.status, TurnStatus::Interrupted);
    assert!(!state.text.is_empty() && words.concat().starts_with(&state.text), "{}", state.text);
    phone.persisted(turn).await;
    let messages = phone.messages(conversation).await;
    assert_eq!(messages.len(), 2);
    assert_eq!((messages[0].content.as_str(), messages[1].status), ("Hello", TurnStatus::Interrupted));
    assert_eq!(messages[1].content, state.text);
    assert_eq!(env.provider.calls(), 1, "after the first word a call is never repeated");
    assert_eq!(phone.usage().await.totals.requests, 1);

    // A reader from before resumes at its cursor and ends with the same text as every other.
    let rest = phone.events_after(turn, last_id).stream().await.rest().await;
    let delta =
        |text: &str| Event { id: last_id, kind: "message.delta".to_owned(), data: json!({ "text": text }) };
    assert_eq!(text_of([&delta(&seen)].into_iter().chain(&rest)), state.text);
    assert_eq!(rest.last().unwrap().kind, "turn.interrupted");

    // A reader that has the terminal event gets nothing more.
    let end = rest.last().unwrap().id;
    assert_eq!(phone.events_after(turn, end).send().await.status, 204);

    // A cursor that was never stored is reset: by the object that recovered the turn, by the next one, and by the origin when
    // the object has no copy of the turn.
    for start in ["the first", "the second", "one without storage"] {
        match start {
            "the first" => {}
            "the second" => {
                env.kill_workerd().await;
                env.start_workerd().await;
            }
            _ => {
                env.kill_workerd().await;
                env.start_workerd_without_objects().await;
            }
        }
        let rest = phone.events_after(turn, 100_000).stream().await.rest().await;
        let kinds: Vec<_> = rest.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["reset", "turn.interrupted"], "{start}");
        assert_eq!(rest[0].data["text"], json!(state.text), "{start}");
        assert_eq!(rest[0].data["last_event_id"], json!(rest[0].id), "{start}");
        assert_eq!(rest[1].data["text"], json!(state.text), "{start}");
        assert_eq!(rest[1].id, end, "{start}");
        assert_eq!(phone.events_after(turn, end).send().await.status, 204, "{start}");
    }

    // The conversation continues.
    env.provider.will(Script::pieces(["Here again."]));
    let next = phone.send_message(conversation, "Are you there?").await;
    assert_eq!((next.status, next.user_message.unwrap().seq), (TurnStatus::Completed, 3));
}

#[tokio::test]
async fn turn_without_text_is_interrupted_after_worker_death() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, _call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    env.kill_workerd().await;
    env.start_workerd().await;
    let state = phone.persisted(turn).await;
    assert_eq!((state.status, state.text.as_str()), (TurnStatus::Interrupted, ""));
    // The turn is served in full, here and from the origin, and begins with a reset: text that was not stored may have been sent.
    for _ in 0..2 {
        let events = phone.events(turn).events().await;
        let kinds: Vec<_> = events.iter().map(|event| (event.id, event.kind.as_str())).collect();
        let end = state.last_event_id;
        assert_eq!(kinds, [(1, "turn.started"), (end - 1, "reset"), (end, "turn.interrupted")]);
        assert_eq!(events[0].data["user_message_id"], json!(state.user_message_id));
        assert_eq!(events[0].data["assistant_message_id"], json!(state.assistant_message_id));
        assert_eq!(events[0].data["model"], json!("fast"));
        env.kill_workerd().await;
        env.start_workerd_without_objects().await;
    }
    let messages = phone.messages(conversation).await;
    assert_eq!((messages[0].content.as_str(), messages[1].status), ("Hello", TurnStatus::Interrupted));
}

#[tokio::test]
async fn front_panic_leaves_running_turn_alive() {
    let env = TestEnv::setup().var("FAULT_INJECTION", "on").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    call.send_text("Once ").await.unwrap();
    stream.delta().await;
    drop(stream);

    let panicked = env.client().get("/__fault/panic").try_send().await;
    assert!(panicked.is_err() || panicked.is_ok_and(|reply| reply.status >= 500));
    let state = phone.turn(turn).await;
    assert_eq!((state.status, state.text.as_str()), (TurnStatus::Running, "Once "));
    let mut stream = phone.events_after(turn, 2).stream().await;
    call.send_text("upon a time.").await.unwrap();
    assert_eq!(stream.delta().await, "upon a time.");
    call.stop().await.unwrap();
    assert_eq!(stream.rest().await.last().unwrap().kind, "turn.completed");
    phone.persisted(turn).await;
    assert_eq!(phone.messages(conversation).await[1].content, "Once upon a time.");
}

#[tokio::test]
async fn fault_route_without_fault_injection_is_not_found() {
    let env = TestEnv::start().await;
    env.client().get("/__fault/panic").send().await.problem(ErrorCode::NotFound);
}

#[tokio::test]
async fn key_sent_before_crash_returns_same_turn() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let body = content("Hello");
    let upcoming = env.provider.hand_over();
    let (mut stream, _call) =
        tokio::join!(phone.message(conversation, &body).key("before-the-crash").stream(), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    env.kill_workerd().await;
    env.start_workerd().await;
    let again: SentMessage = phone.message(conversation, &body).key("before-the-crash").send().await.json();
    assert_eq!((again.turn_id, again.status), (turn, TurnStatus::Interrupted));
    assert_eq!(env.provider.calls(), 1);
}

#[tokio::test]
async fn unreadable_turn_blocks_no_other_delivery() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let (one, other) = (phone.conversation().await, phone.conversation().await);
    phone.send_and_persist(one, "Hello").await;
    phone.send_and_persist(other, "Hello").await;
    env.kill_origin().await;
    let mut sent = Vec::new();
    for conversation in [one, one, other] {
        sent.push(phone.send_message(conversation, "Once more").await.turn_id);
    }
    env.kill_workerd().await;
    // As a newer version may have written it before a rollback to this one.
    env.change_objects(&format!("UPDATE turns SET record = '{{\"of\":\"later\"}}' WHERE id = '{}'", sent[0]));
    env.start_origin().await;
    env.start_workerd().await;
    // The next turn of the same conversation, and one of another.
    for turn in &sent[1..] {
        phone.persisted(*turn).await;
    }
    assert_eq!(phone.messages(one).await.len(), 4);
    assert!(
        env.edge_log()
            .lines()
            .iter()
            .any(|line| line.contains("reading a turn for its delivery")
                && line.contains(&sent[0].to_string()))
    );
    // The conversation continues.
    phone.send_and_persist(one, "Still there?").await;
}

#[tokio::test]
async fn unreadable_running_turn_blocks_no_other_recovery() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let mut turns = Vec::new();
    for _ in 0..3 {
        let conversation = phone.conversation().await;
        let upcoming = env.provider.hand_over();
        let (mut stream, call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
        turns.push((stream.expect("turn.started").await.turn_id(), stream, call));
    }
    env.kill_workerd().await;
    env.change_objects(&format!("UPDATE turns SET record = '?' WHERE id = '{}'", turns[0].0));
    env.start_workerd().await;
    for (turn, _, _) in &turns[1..] {
        assert_eq!(phone.persisted(*turn).await.status, TurnStatus::Interrupted);
    }
}
