//! Tests of the mapping from the model's finish reason to the turn's outcome: only `STOP` with text completes.

use bytes::Bytes;
use edgechat_tests::{
    client::{Phone, content, text_of},
    provider::{
        Script, Step,
        call::USAGE,
        script::{bare_error, finished_chunk},
    },
    test_env::TestEnv,
    wait::bounded,
};
use hyper::StatusCode;
use rstest::rstest;
use shared::{
    api::{
        ErrorCode,
        chat::{FinishReason, TurnCode, TurnStatus},
    },
    id::Id,
    provider::{ContentPart, RefusalReason},
};

fn says(text: &str) -> Step {
    Step::Text(text.to_owned())
}

async fn status_and_reason(phone: &Phone, conversation: Id) -> (TurnStatus, Option<FinishReason>) {
    let answer = phone.messages(conversation).await.pop().unwrap();
    (answer.status, answer.finish_reason)
}

#[rstest]
#[case::stop(FinishReason::Stop, TurnCode::EmptyAnswer)]
#[case::malformed(FinishReason::InvalidToolCall, TurnCode::InvalidToolCall)]
#[case::safety(FinishReason::ContentFilter, TurnCode::Safety)]
#[tokio::test]
async fn finish_without_text_fails_and_is_not_counted(#[case] reason: FinishReason, #[case] code: TurnCode) {
    let env = TestEnv::setup().var("BASIC_TIER_DAILY_LIMIT", "1").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let script = Script::Steps(vec![Step::Finish(reason, USAGE)]);
    env.provider.will(script.clone());
    phone.message(conversation, &content("Hello")).send().await.problem(code.as_error());
    env.provider.will(script);
    let events = phone.stream(conversation, "Hello").await.rest().await;
    let end = events.last().unwrap();
    assert_eq!((end.kind.as_str(), &end.data["code"]), ("turn.failed", &code.as_str().into()));
    phone.persisted(events[0].turn_id()).await;
    assert_eq!(status_and_reason(&phone, conversation).await, (TurnStatus::Failed, None));
    assert_eq!(phone.usage().await.today.messages, 0);

    // The quota of one message a day is unused, and allows one.
    phone.send_and_persist(conversation, "Hello").await;
    phone.message(conversation, &content("Hello")).send().await.problem(ErrorCode::DailyLimitReached);
    let usage = phone.usage().await;
    assert_eq!((usage.today.messages, usage.totals.errors), (1, 2));
}

#[rstest]
#[case::silent(false)]
#[case::heartbeats(true)]
#[tokio::test]
async fn finished_answer_completes_while_connection_stays_open(#[case] heartbeats: bool) {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (stream, mut call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
    call.raw(finished_chunk("All of it")).await.unwrap();
    let provider = tokio::spawn(async move {
        while heartbeats && call.raw(Bytes::from_static(b": heartbeat\n\n")).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        call.gone().await;
    });
    let events = stream.rest().await;
    assert_eq!(events.last().unwrap().kind, "turn.completed");
    assert_eq!(text_of(&events), "All of it");
    bounded("the call to be cut off", provider).await.unwrap();
    phone.send_message(conversation, "And now?").await;
}

#[rstest]
#[case::after_words(vec![says("Half of it"), Step::Raw(bare_error(StatusCode::SERVICE_UNAVAILABLE))], "turn.incomplete")]
#[case::after_the_finish(
    vec![Step::Raw(finished_chunk("Half of it")), Step::Raw(bare_error(StatusCode::SERVICE_UNAVAILABLE))],
    "turn.incomplete")]
#[case::without_a_word(
    vec![Step::Raw(Bytes::from_static(b": thinking\n\n")), Step::Raw(bare_error(StatusCode::SERVICE_UNAVAILABLE))],
    "turn.failed")]
#[tokio::test]
async fn bare_error_after_events_fails_turn(#[case] steps: Vec<Step>, #[case] kind: &str) {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::Steps(steps));
    let events = phone.stream(conversation, "Hello").await.rest().await;
    let end = events.last().unwrap();
    assert_eq!((end.kind.as_str(), &end.data["code"]), (kind, &"provider_unavailable".into()), "{end:?}");
}

#[tokio::test]
async fn unreadable_events_are_skipped() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let event = |data: &str| Step::Raw(Bytes::from(format!("data: {data}\n\n")));
    let words =
        |json: &str| event(&format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{json}"}}]}}}}]}}"#));
    env.provider.will(Script::Steps(vec![
        words("Tolerant "),
        event(""),
        event(r#"{"candidates":[}"#),
        event(r#"{"candidates":[{"index":null,"content":{"parts":[null,{"text":"of "}]}}],"usageMetadata":null}"#),
        words("faces \\ud83d"),
        words("\\ude00"),
        Step::Raw(finished_chunk(".")),
        event("[DONE]"),
    ]));
    let events = phone.stream_and_persist(conversation, "Hello").await;
    assert_eq!(events.last().unwrap().kind, "turn.completed");
    assert_eq!(text_of(&events), "Tolerant of faces 😀.");
    assert_eq!(phone.messages(conversation).await[1].content, "Tolerant of faces 😀.");
}

#[tokio::test]
async fn refused_message_is_left_out_of_prompt() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::Steps(vec![Step::Refuse(RefusalReason::Safety)]));
    phone.message(conversation, &content("Forbidden")).send().await.problem(ErrorCode::ProviderRefused);
    env.provider.will(Script::error(StatusCode::SERVICE_UNAVAILABLE));
    phone.message(conversation, &content("Harmless")).send().await.problem(ErrorCode::ProviderUnavailable);
    phone.send_and_persist(conversation, "Harmless").await;
    // With the context from storage and from the origin as well.
    let changed = format!("/api/v1/chat/conversations/{conversation}");
    let rename = phone.client.ask(reqwest::Method::PATCH, &changed);
    let _ = rename.json(&serde_json::json!({ "title": "Again" })).send().await.expect_status(200);
    env.kill_workerd().await;
    env.start_workerd().await;
    phone.send_and_persist(conversation, "More").await;
    let received = env.provider.received();
    let asked = |call: usize| {
        let parts = received[call].request.messages.iter().flat_map(|message| &message.parts);
        parts
            .map(|part| match part {
                ContentPart::Text(text) => text.clone(),
                ContentPart::InlineImage { .. } => String::new(),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(2), ["Harmless"]);
    assert_eq!(asked(3), ["Harmless", "Hello from the script.", "More"]);
    assert_eq!(phone.messages(conversation).await.len(), 8, "all messages are listed");
}
