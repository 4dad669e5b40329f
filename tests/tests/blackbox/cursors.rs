//! Tests of readers that resume a turn's events at a cursor.

use edgechat_tests::{
    client::{text_of, turn_path},
    provider::Script,
    test_env::TestEnv,
};
use serde_json::json;
use shared::api::ErrorCode;

use super::turns::{Running, finished, running};

#[tokio::test]
async fn cursor_returns_remaining_events() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (turn, events) = finished(&phone, conversation).await;
    for after in 0..=events.len() {
        let id = events.get(after.wrapping_sub(1)).map_or(0, |event| event.id);
        let by_query = phone.events_after(turn, id).events().await;
        assert_eq!(by_query, events[after..], "?after={id}");
        let by_header = phone.events(turn).header("Last-Event-ID", &id.to_string()).events().await;
        assert_eq!(by_header, events[after..], "Last-Event-ID: {id}");
    }
    let all = phone.events(turn).stream().await.rest().await;
    assert_eq!(all, events);
}

#[tokio::test]
async fn cursor_after_restart_returns_remaining_events() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (turn, mut events) = finished(&phone, conversation).await;
    phone.persisted(turn).await;
    // The terminal event is built again: it reports the turn as persisted even if it was not when first sent.
    events.last_mut().unwrap().data["persisted"] = json!(true);
    env.kill_workerd().await;
    env.start_workerd().await;
    for after in 0..=events.len() {
        let rest = phone.events_after(turn, after as u64).events().await;
        assert_eq!(rest, events[after..], "?after={after}");
    }
}

#[tokio::test]
async fn reconnected_reader_resumes_at_cursor() {
    let Running { env: _world, phone, turn, mut call, .. } = running(&["Once ", "upon "]).await;
    let mut early = phone.events_after(turn, 2).stream().await;
    let mut whole = phone.events(turn).stream().await;
    assert_eq!(early.delta().await, "upon ");
    whole.expect("turn.started").await;
    assert_eq!((whole.delta().await, whole.delta().await), ("Once ".to_owned(), "upon ".to_owned()));

    // Both receive the text that is sent from now on.
    call.send_text("a ").await.unwrap();
    assert_eq!((early.delta().await, whole.delta().await), ("a ".to_owned(), "a ".to_owned()));
    drop(early);
    call.send_text("time.").await.unwrap();
    let mut late = phone.events_after(turn, 4).stream().await;
    assert_eq!((whole.delta().await, late.delta().await), ("time.".to_owned(), "time.".to_owned()));
    call.stop().await.unwrap();
    let (whole, late) = tokio::join!(whole.rest(), late.rest());
    assert_eq!(whole, late);
    assert_eq!(whole.last().unwrap().kind, "turn.completed");
}

#[tokio::test]
async fn turn_without_local_events_is_served_from_origin() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (turn, events) = finished(&phone, conversation).await;
    let before = phone.persisted(turn).await;
    env.kill_workerd().await;
    env.start_workerd_without_objects().await;

    assert_eq!(phone.turn(turn).await, before);
    let end = events.last().unwrap();
    for after in 0..=events.len() {
        // The events before the cursor and those received after it: the same text, the same end, and no id twice.
        let rest = phone.events_after(turn, after as u64).events().await;
        assert!(rest.iter().all(|event| event.id > after as u64), "?after={after}: {rest:?}");
        let whole: Vec<_> = events[..after].iter().chain(&rest).collect();
        assert_eq!(text_of(whole.iter().copied()), before.text, "?after={after}");
        assert_eq!(
            whole.last().map(|event| (&event.kind, event.id)),
            Some((&end.kind, end.id)),
            "?after={after}"
        );
    }
    phone.send_message(conversation, "Still there?").await;
    assert_eq!(env.provider.received()[1].request.messages.len(), 3);
}

#[tokio::test]
async fn cursor_of_finished_turn_is_204_or_reset() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::pieces(["Once ", "upon a time."]));
    let (turn, events) = finished(&phone, conversation).await;
    phone.persisted(turn).await;
    let last = events.last().unwrap().id;
    for place in ["the same process", "the next one", "the origin"] {
        match place {
            "the same process" => {}
            "the next one" => {
                env.kill_workerd().await;
                env.start_workerd().await;
            }
            _ => {
                env.kill_workerd().await;
                env.start_workerd_without_objects().await;
            }
        }
        let done = phone.events_after(turn, last).header("Accept", "text/event-stream").send().await;
        assert_eq!((done.status, done.body.len()), (204, 0), "{place}");
        let done = phone.events(turn).header("Last-Event-ID", &last.to_string()).send().await;
        assert_eq!(done.status, 204, "{place}");
        // Ids that were never given out.
        for after in [last + 1, u64::MAX] {
            let rest = phone.events_after(turn, after).events().await;
            let kinds: Vec<_> = rest.iter().map(|event| event.kind.as_str()).collect();
            assert_eq!(kinds, ["reset", "message.completed", "turn.completed"], "{place}");
            assert_eq!((text_of(&rest).as_str(), rest[2].id), ("Once upon a time.", last), "{place}");
        }
    }
}

#[tokio::test]
async fn cursor_beyond_running_turn_is_reset() {
    let Running { env: _world, phone, turn, mut call, .. } = running(&["Once ", "upon "]).await;
    let mut stream = phone.events_after(turn, 1_000).stream().await;
    let reset = stream.expect("reset").await;
    assert_eq!(
        (reset.id, &reset.data["text"], &reset.data["last_event_id"]),
        (3, &json!("Once upon "), &json!(3))
    );
    call.send_text("a time.").await.unwrap();
    let delta = stream.expect("message.delta").await;
    assert_eq!((delta.id, &delta.data["text"]), (4, &json!("a time.")));
    call.stop().await.unwrap();
    assert_eq!(stream.rest().await.last().unwrap().kind, "turn.completed");
}

#[tokio::test]
async fn non_numeric_cursor_is_refused() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (turn, _) = finished(&phone, conversation).await;
    let path = format!("{}/events?after=soon", turn_path(turn));
    phone.client.get(&path).send().await.problem(ErrorCode::InvalidRequest);
}
