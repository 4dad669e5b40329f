//! Tests of a turn's readers, who connect and disconnect without effect on the turn, and of cancelling.

use std::time::Duration;

use edgechat_tests::{
    client::{Event, Phone, content, text_of, turn_path},
    provider::{Call, Script},
    test_env::TestEnv,
    wait::bounded,
};
use serde_json::json;
use shared::{
    api::{
        ErrorCode,
        body::MAX_BODY_BYTES,
        chat::{SentMessage, Turn, TurnStatus},
        usage::Usage,
    },
    id::Id,
    provider::completion::MAX_ANSWER_BYTES,
};

/// A phone with a running turn whose provider waits for the test. The environment must be bound as well: dropping it ends
/// its processes.
pub(super) struct Running {
    pub(super) env: TestEnv,
    pub(super) phone: Phone,
    pub(super) conversation: Id,
    pub(super) turn: Id,
    pub(super) call: Call,
}

/// Starts a turn whose first words were streamed and whose first reader has disconnected.
pub(super) async fn running(words: &[&str]) -> Running {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, call) = tokio::join!(phone.stream(conversation, "Hello"), async {
        let mut call = upcoming.arrives().await;
        for word in words {
            call.send_text(word).await.unwrap();
        }
        call
    });
    let turn = stream.expect("turn.started").await.turn_id();
    let mut seen = String::new();
    while seen != words.concat() {
        seen.push_str(&stream.delta().await);
    }
    drop(stream);
    Running { env, phone, conversation, turn, call }
}

/// Streams a message to its end and returns its turn and events.
pub(super) async fn finished(phone: &Phone, conversation: Id) -> (Id, Vec<Event>) {
    let events = phone.stream(conversation, "Hello").await.rest().await;
    (events[0].turn_id(), events)
}

#[tokio::test]
async fn disconnected_reader_leaves_turn_running() {
    let Running { env: _world, phone, conversation, turn, mut call, .. } = running(&["Once "]).await;
    call.send_text("upon ").await.unwrap();
    call.send_text("a time.").await.unwrap();
    call.stop().await.unwrap();
    let turn = phone.persisted(turn).await;
    assert_eq!((turn.status, turn.text.as_str()), (TurnStatus::Completed, "Once upon a time."));
    let messages = phone.messages(conversation).await;
    assert_eq!(messages.len(), 2);
    assert_eq!(
        (messages[1].content.as_str(), messages[1].status),
        ("Once upon a time.", TurnStatus::Completed)
    );
    assert_eq!(phone.usage().await.totals.requests, 1);
}

#[tokio::test]
async fn disconnected_json_client_leaves_turn_running() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let asking = tokio::spawn(phone.message(conversation, &content("Hello")).try_send());
    let mut call = upcoming.arrives().await;
    call.send_text("Still ").await.unwrap();
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    call.send_text("here.").await.unwrap();
    call.stop().await.unwrap();
    let stored = edgechat_tests::wait::until(edgechat_tests::wait::BOUND, "both messages", || async {
        Some(phone.messages(conversation).await).filter(|messages| messages.len() == 2)
    });
    assert_eq!(stored.await[1].content, "Still here.");
}

#[tokio::test]
async fn turn_state_is_readable() {
    let Running { env: _world, phone, conversation, turn, mut call, .. } = running(&["Once "]).await;
    let state: Turn = phone.turn(turn).await;
    assert_eq!((state.id, state.conversation_id, state.model.as_str()), (turn, conversation, "fast"));
    assert_eq!((state.status, state.text.as_str(), state.last_event_id), (TurnStatus::Running, "Once ", 2));
    assert_eq!((state.persisted, state.finished_at, state.usage, state.error), (false, None, None, None));

    call.send_text("upon a time.").await.unwrap();
    call.stop().await.unwrap();
    let state =
        phone.turn_when(turn, "the turn to close", |turn| turn.persisted && turn.last_event_id == 5).await;
    assert_eq!((state.status, state.text.as_str()), (TurnStatus::Completed, "Once upon a time."));
    assert!(state.finished_at.is_some() && state.usage.is_some());
}

#[tokio::test]
async fn stalled_reader_delays_no_other() {
    const KIBIBYTES: usize = MAX_ANSWER_BYTES / 1_024;
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::pieces((0..KIBIBYTES).map(|_| "x".repeat(1_024))));
    let mut stream = phone.stream(conversation, "Say a lot").await;
    let turn = stream.expect("turn.started").await.turn_id();
    let state = phone.persisted(turn).await;
    assert_eq!((state.status, state.text.len()), (TurnStatus::Completed, KIBIBYTES * 1_024));
    // The stalled reader loses nothing when it reads later.
    assert_eq!(text_of(&stream.rest().await), state.text);
}

#[tokio::test]
async fn stream_opens_at_once_and_is_pinged() {
    let env = TestEnv::setup().var("STREAM_PING_MS", "1000").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    let url = phone.client.url(&format!("{}/events?after=1", turn_path(turn)));
    let ask = edgechat_tests::client::http_client().build().unwrap().get(url);
    let mut response = ask.bearer_auth(&phone.tokens.access_token).send().await.unwrap();
    let cache_control = response.headers()["cache-control"].to_str().unwrap();
    assert!(cache_control.contains("no-store") && cache_control.contains("no-transform"), "{cache_control}");
    // The model sends nothing: the padding that fills a client's buffers arrives all the same, and then a ping.
    let expected = [&shared::sse::opening()[..], shared::sse::PING].concat();
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        let piece = edgechat_tests::wait::bounded_by(Duration::from_mins(1), "a ping", response.chunk());
        seen.extend_from_slice(&piece.await.unwrap().unwrap());
    }
    assert_eq!(seen[..expected.len()], expected);
    call.send_text("Hello").await.unwrap();
    call.stop().await.unwrap();
    assert_eq!(stream.rest().await.last().unwrap().kind, "turn.completed");
}

#[tokio::test]
async fn turn_readers_are_limited() {
    const MOST: usize = 16;
    let Running { env: _world, phone, turn, call, .. } = running(&["Once "]).await;
    let mut readers = Vec::new();
    while readers.len() < MOST {
        let reply = phone.events(turn).try_stream().await;
        // The reader that has just disconnected may still be counted.
        if let Ok(mut stream) = reply {
            stream.expect("turn.started").await;
            readers.push(stream);
        }
    }
    let refused = phone.events(turn).send().await;
    refused.problem(ErrorCode::RateLimited);
    assert!(refused.header("retry-after").is_some());
    call.stop().await.unwrap();
    for reader in readers {
        assert_eq!(reader.rest().await.last().unwrap().kind, "turn.completed");
    }
    assert_eq!(phone.events(turn).events().await.last().unwrap().kind, "turn.completed");
}

#[tokio::test]
async fn cancel_ends_running_turn() {
    let Running { env, phone, conversation, turn, mut call } = running(&["Once ", "upon "]).await;
    let mut stream = phone.events(turn).stream().await;
    let reply = phone.cancel(turn).send().await.expect_status(202);
    assert_eq!(reply.json::<Turn>().status, TurnStatus::Cancelled);
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event);
    }
    let end = events.last().unwrap();
    assert_eq!((end.kind.as_str(), &end.data["text"]), ("turn.cancelled", &json!("Once upon ")));
    assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1);
    bounded("the call of the provider to be given up", call.gone()).await;

    let state = phone.persisted(turn).await;
    assert_eq!((state.status, state.text.as_str()), (TurnStatus::Cancelled, "Once upon "));
    // The provider said nothing of its tokens: "Hello", and two words.
    let usage =
        Usage { input_tokens: 2, output_tokens: 3, total_tokens: 5, estimated: true, ..Usage::default() };
    assert_eq!((state.usage, &end.data["usage"]), (Some(usage), &json!(usage)));
    let totals = phone.usage().await.totals;
    assert_eq!((totals.requests, totals.estimated, totals.errors, totals.output_tokens), (1, 1, 0, 3));
    let messages = phone.messages(conversation).await;
    assert_eq!((messages[1].status, messages[1].content.as_str()), (TurnStatus::Cancelled, "Once upon "));

    // A repetition changes nothing, and the conversation continues.
    let again: Turn = phone.cancel(turn).send().await.expect_status(202).json();
    assert_eq!((again.status, again.text.as_str()), (TurnStatus::Cancelled, "Once upon "));
    env.provider.will(Script::pieces(["Anew."]));
    let next = phone.send_message(conversation, "Go on").await;
    assert_eq!((next.assistant_message.content.as_str(), next.user_message.unwrap().seq), ("Anew.", 3));
}

#[tokio::test]
async fn cancel_after_end_changes_nothing() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (turn, events) = finished(&phone, conversation).await;
    let state: Turn = phone.cancel(turn).send().await.expect_status(202).json();
    assert_eq!(state.status, TurnStatus::Completed);
    assert_eq!(phone.events(turn).stream().await.rest().await, events);
}

#[tokio::test]
async fn cancel_at_the_moment_of_the_end_gives_one_end() {
    const ROUNDS: usize = 12;
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    for _ in 0..ROUNDS {
        let upcoming = env.provider.hand_over();
        let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
        let turn = stream.expect("turn.started").await.turn_id();
        call.send_text("All of it").await.unwrap();
        stream.delta().await;
        let cancels = || phone.cancel(turn).send();
        // The provider's call may be gone already.
        let (one, other, _) = tokio::join!(cancels(), cancels(), call.stop());
        let ends = [one, other].map(|reply| reply.expect_status(202).json::<Turn>().status);
        let events = stream.rest().await;
        let end = events.last().unwrap();
        assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1, "{events:?}");
        let state = phone.persisted(turn).await;
        assert_eq!(ends, [state.status; 2]);
        assert_eq!(end.kind, format!("turn.{}", state.status.as_str()));
        let answer = phone.messages(conversation).await.pop().unwrap();
        assert_eq!((answer.status, answer.content.as_str()), (state.status, "All of it"));
        assert_eq!(answer.usage, state.usage);
    }
}

#[tokio::test]
async fn cancel_before_first_word_ends_turn() {
    let Running { env: _world, phone, conversation, turn, mut call, .. } = running(&[]).await;
    let _ = phone.cancel(turn).send().await.expect_status(202);
    bounded("the call of the provider to be given up", call.gone()).await;
    phone.persisted(turn).await;
    let messages = phone.messages(conversation).await;
    assert_eq!((messages[1].status, messages[1].content.as_str()), (TurnStatus::Cancelled, ""));
}

#[tokio::test]
async fn respond_async_answer_is_fetched_later() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let ask = phone.message(conversation, &content("Hello")).header("Prefer", "respond-async");
    let reply = ask.send().await.expect_status(202);
    let turn: Turn = reply.json();
    assert!(!turn.status.is_terminal());
    assert_eq!(reply.header("location"), Some(turn_path(turn.id).as_str()));
    let mut call = upcoming.arrives().await;
    call.send_text("Later.").await.unwrap();
    call.stop().await.unwrap();
    assert_eq!(phone.persisted(turn.id).await.text, "Later.");
}

#[tokio::test]
async fn respond_async_turn_streams_its_text() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    // `respond-async` takes precedence over a header that asks for events.
    let ask = phone.message(conversation, &content("Hello")).header("Prefer", "respond-async");
    let reply = ask.header("Accept", "text/event-stream, application/json").send().await.expect_status(202);
    assert_eq!(reply.header("preference-applied"), Some("respond-async"));
    let turn: Turn = reply.json();
    let mut call = upcoming.arrives().await;
    assert!(call.received().stream, "a reader gets the text as the provider sends it");
    let mut stream = phone.events(turn.id).stream().await;
    stream.expect("turn.started").await;
    for word in ["Word ", "by ", "word."] {
        call.send_text(word).await.unwrap();
        assert_eq!(stream.delta().await, word);
    }
    call.stop().await.unwrap();
    assert_eq!(stream.rest().await.last().unwrap().kind, "turn.completed");
}

#[tokio::test]
async fn too_long_answer_is_truncated_and_stored() {
    const KIBIBYTES: usize = MAX_ANSWER_BYTES / 1_024 + 8;
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    // The largest image that a message may have.
    let body = json!({ "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image", "mime_type": "image/png", "data": "A".repeat(MAX_BODY_BYTES - 1_024) },
    ]});
    let long = || Script::pieces((0..KIBIBYTES).map(|_| "x".repeat(1_024)));
    env.provider.will(long());
    let events = phone.message(conversation, &body).stream().await.rest().await;
    let (turn, end) = (events[0].turn_id(), events.last().unwrap());
    assert_eq!((end.kind.as_str(), &end.data["code"]), ("turn.incomplete", &json!("provider_error")));
    assert_eq!(text_of(&events).len(), MAX_ANSWER_BYTES);
    env.provider.will(long());
    let whole: SentMessage = phone.message(conversation, &body).send().await.expect_status(201).json();
    assert_eq!(
        (whole.status, whole.assistant_message.content.len()),
        (TurnStatus::Incomplete, MAX_ANSWER_BYTES)
    );

    // Both are stored at the origin, and served by a restarted Worker.
    for turn in [turn, whole.turn_id] {
        let before = phone.persisted(turn).await;
        env.kill_workerd().await;
        env.start_workerd().await;
        assert_eq!((before.status, before.text.len()), (TurnStatus::Incomplete, MAX_ANSWER_BYTES));
        assert_eq!(phone.turn(turn).await, before);
    }
    let lengths: Vec<_> =
        phone.messages(conversation).await.iter().map(|message| message.content.len()).collect();
    assert_eq!(lengths, [13, MAX_ANSWER_BYTES, 13, MAX_ANSWER_BYTES]);
}
