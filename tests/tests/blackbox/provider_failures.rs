//! Tests of provider failures: each gives one error or one terminal event, without the provider's internals.

use std::time::Duration;

use bytes::Bytes;
use edgechat_tests::{
    client::{Phone, content, messages_path, text_of},
    provider::{
        Script, Step,
        script::{TELL_TALES, finished_chunk, paced},
    },
    test_env::{Port, TestEnv},
    wait::bounded_by,
};
use hyper::StatusCode;
use rstest::rstest;
use shared::{
    api::{
        ErrorCode, Problem,
        chat::{SentMessage, Turn, TurnCode, TurnStatus},
    },
    id::Id,
    provider::RefusalReason,
};

fn spoken(then: Step) -> Script {
    Script::Steps(vec![Step::Text("Half of ".to_owned()), Step::Text("an answer".to_owned()), then])
}

fn says_nothing_internal(text: &str) {
    assert!(!TELL_TALES.iter().any(|word| text.contains(word)), "{text}");
}

/// Asserts that nothing a client can read after a failed turn shows the provider's internals.
async fn assert_no_internals_stored(phone: &Phone, conversation: Id, turn: Id) {
    says_nothing_internal(&format!("{:?}", phone.turn(turn).await));
    says_nothing_internal(&format!("{:?}", phone.messages(conversation).await));
}

async fn turn_of_last_message(phone: &Phone, conversation: Id) -> Id {
    let stored =
        edgechat_tests::wait::until(edgechat_tests::wait::BOUND, "the failed turn to be stored", || async {
            Some(phone.messages(conversation).await).filter(|messages| messages.len() == 2)
        });
    stored.await[1].turn_id
}

#[rstest]
#[case::bad_request(Script::error(StatusCode::BAD_REQUEST), ErrorCode::ProviderRefused)]
#[case::wrong_key(Script::error(StatusCode::UNAUTHORIZED), ErrorCode::ProviderError)]
#[case::forbidden(Script::error(StatusCode::FORBIDDEN), ErrorCode::ProviderError)]
#[case::over_quota(Script::busy("30"), ErrorCode::ProviderUnavailable)]
#[case::internal(Script::error(StatusCode::INTERNAL_SERVER_ERROR), ErrorCode::ProviderError)]
#[case::overloaded(Script::error(StatusCode::SERVICE_UNAVAILABLE), ErrorCode::ProviderUnavailable)]
#[case::too_slow(Script::error(StatusCode::GATEWAY_TIMEOUT), ErrorCode::ProviderTimeout)]
#[case::proxy_page(Script::html(StatusCode::BAD_GATEWAY), ErrorCode::ProviderUnavailable)]
#[case::page_with_200(Script::html(StatusCode::OK), ErrorCode::ProviderError)]
#[case::empty(Script::empty(), ErrorCode::ProviderError)]
#[case::no_reply(Script::NoReply, ErrorCode::ProviderUnavailable)]
#[case::cut_at_once(Script::Steps(vec![Step::Cut]), ErrorCode::ProviderUnavailable)]
#[case::error_event(Script::Steps(vec![Step::Error(StatusCode::SERVICE_UNAVAILABLE)]), ErrorCode::ProviderUnavailable)]
#[case::broken_json(Script::Steps(vec![Step::Raw(Bytes::from_static(b"data: {\"candidates\":[}\n\n"))]), ErrorCode::ProviderError)]
#[case::refused_prompt(Script::Steps(vec![Step::Refuse(RefusalReason::Safety)]), ErrorCode::ProviderRefused)]
#[tokio::test]
async fn failure_before_first_word_is_one_error(#[case] script: Script, #[case] code: ErrorCode) {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let (by_json, by_stream) = (phone.conversation().await, phone.conversation().await);

    env.provider.will(script.clone());
    let reply = phone.message(by_json, &content("Hello")).send().await;
    reply.problem(code);
    says_nothing_internal(&format!("{reply:?}"));
    let turn = turn_of_last_message(&phone, by_json).await;
    phone.persisted(turn).await;
    assert_no_internals_stored(&phone, by_json, turn).await;

    env.provider.will(script);
    let stream = phone.stream(by_stream, "Hello").await;
    let events = stream.rest().await;
    assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1);
    let end = events.last().unwrap();
    let turn_code = TurnCode::parse(end.data["code"].as_str().unwrap()).unwrap();
    assert_eq!((end.kind.as_str(), turn_code.as_error()), ("turn.failed", code), "{end:?}");
    assert_eq!((&end.data["text"], &end.data["detail"]), (&"".into(), &turn_code.default_detail().into()));
    says_nothing_internal(&format!("{events:?}"));

    let turn = turn_of_last_message(&phone, by_stream).await;
    let state = phone.persisted(turn).await;
    assert_eq!((state.status, state.error.map(|error| error.code)), (TurnStatus::Failed, Some(turn_code)));
    let messages = phone.messages(by_stream).await;
    assert_eq!((messages[0].content.as_str(), messages[1].status), ("Hello", TurnStatus::Failed));
    assert_no_internals_stored(&phone, by_stream, turn).await;

    assert_eq!(env.provider.calls(), 2, "the failed calls were not repeated");
    assert_eq!(phone.usage().await.totals.errors, 2);

    // The conversation continues.
    let next = phone.send_message(by_stream, "Once more").await;
    assert_eq!(next.status, TurnStatus::Completed);
}

#[tokio::test]
async fn provider_retry_after_is_forwarded() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let ask =
        || phone.message(conversation, &content("Hello")).header("Idempotency-Key", "asked-once-or-twice");
    env.provider.will(Script::busy("37"));
    // The same response again for a client that lost it.
    for reply in [ask().send().await, ask().send().await] {
        reply.problem(ErrorCode::ProviderUnavailable);
        assert_eq!(reply.header("retry-after"), Some("37"), "{reply:?}");
    }
    assert_eq!(env.provider.calls(), 1);
    // A date long past and one far ahead: the forwarded value is bounded, so the test needs no clock.
    for (date, wait) in [("Sun, 06 Nov 1994 08:49:37 GMT", "0"), ("Thu, 06 Nov 2999 08:49:37 GMT", "86400")] {
        env.provider.will(Script::busy(date));
        let reply = phone.message(conversation, &content("Hello")).send().await;
        reply.problem(ErrorCode::ProviderUnavailable);
        assert_eq!(reply.header("retry-after"), Some(wait), "{reply:?}");
    }
    env.provider.will(Script::error(StatusCode::SERVICE_UNAVAILABLE));
    let reply = phone.message(conversation, &content("Hello")).send().await;
    reply.problem(ErrorCode::ProviderUnavailable);
    assert_eq!(reply.header("retry-after"), None);
}

#[rstest]
#[case::cut(Step::Cut)]
#[case::no_finish_reason(Step::Text("…".to_owned()))]
#[case::error_event(Step::Error(StatusCode::SERVICE_UNAVAILABLE))]
#[case::garbage(Step::Raw(Bytes::from_static(b"data: backend-pool-eu fell over\n\n")))]
#[tokio::test]
async fn truncated_answer_is_incomplete(#[case] then: Step) {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(spoken(then.clone()));
    let events = phone.stream(conversation, "Hello").await.rest().await;
    let end = events.last().unwrap();
    assert_eq!(end.kind, "turn.incomplete");
    assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1);
    assert!(events.iter().all(|event| event.kind != "message.completed"));
    let text = text_of(&events);
    assert!(text.starts_with("Half of an answer"));
    assert_eq!(end.data["text"], text.as_str());
    assert!(end.data["code"].is_string() && end.data["detail"].is_string());
    says_nothing_internal(&format!("{events:?}"));

    let turn = turn_of_last_message(&phone, conversation).await;
    let state = phone.persisted(turn).await;
    assert_eq!((state.status, state.text.as_str()), (TurnStatus::Incomplete, text.as_str()));
    let messages = phone.messages(conversation).await;
    assert_eq!((messages[1].status, messages[1].content.as_str()), (TurnStatus::Incomplete, text.as_str()));
    assert_eq!(messages[1].finish_reason, None);
    assert_no_internals_stored(&phone, conversation, turn).await;
    assert_eq!(env.provider.calls(), 1, "after the first word a call is never repeated");

    // A client that waits for JSON gets the same outcome.
    let conversation = phone.conversation().await;
    env.provider.will(spoken(then));
    let reply = phone.message(conversation, &content("Hello")).send().await;
    says_nothing_internal(&format!("{reply:?}"));
    if reply.status == 201 {
        let sent: SentMessage = reply.json();
        assert_eq!(
            (sent.status, sent.assistant_message.status),
            (TurnStatus::Incomplete, TurnStatus::Incomplete)
        );
        assert!(sent.assistant_message.content.starts_with("Half of an answer"));
    } else {
        assert!([502, 503, 504].contains(&reply.status), "{reply:?}");
        reply.problem(reply.json::<Problem>().code);
    }
}

#[tokio::test]
async fn silent_provider_times_out() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let (by_stream, midway) = (phone.conversation().await, phone.conversation().await);
    // One after the other, so that each call gets its own script.
    env.provider.will(Script::Steps(vec![Step::Text("Half of ".to_owned()), Step::Hang]));
    let mut broken = phone.stream(midway, "Hello").await;
    broken.expect("turn.started").await;
    assert_eq!(broken.delta().await, "Half of ");
    env.provider.will(Script::Steps(vec![Step::Hang]));
    let mut mute = phone.stream(by_stream, "Hello").await;
    let turn = mute.expect("turn.started").await.turn_id();
    let end = broken.rest().await.pop().unwrap();
    assert_eq!((end.kind.as_str(), &end.data["code"]), ("turn.incomplete", &"provider_timeout".into()));
    // The time limit before the first word is longer.
    assert_eq!(phone.turn(turn).await.status, TurnStatus::Running);
}

#[tokio::test]
async fn answer_over_one_minute_is_delivered() {
    const THOUGHT: Duration = Duration::from_secs(70);
    const THOUGHTS_APART: Duration = Duration::from_secs(10);
    const TIMEOUT: Duration = Duration::from_secs(150);
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let url = |conversation| phone.client.url(&messages_path(conversation));
    let http = edgechat_tests::client::http_client().build().unwrap();
    let ask = |conversation| {
        http.post(url(conversation)).bearer_auth(&phone.tokens.access_token).json(&content("Think hard"))
    };
    let (by_json, later, by_stream) =
        (phone.conversation().await, phone.conversation().await, phone.conversation().await);
    // A stream that thinks keeps its connection open; a whole answer is silent until it is there.
    env.provider.choose(|call| {
        if !call.stream {
            return paced(["Thought through."], THOUGHT);
        }
        let thoughts = (0..THOUGHT.as_secs() / THOUGHTS_APART.as_secs())
            .flat_map(|_| [Step::Raw(Bytes::from_static(b": thinking\n\n")), Step::Wait(THOUGHTS_APART)]);
        Script::Steps(thoughts.chain([Step::Raw(finished_chunk("Thought through."))]).collect())
    });
    let respond_async = ask(later).header("Prefer", "respond-async").send().await.unwrap();
    assert_eq!(respond_async.status(), 202);
    let turn: Turn = respond_async.json().await.unwrap();
    let stream = phone.stream(by_stream, "Think hard").await;
    let answer = bounded_by(TIMEOUT, "the answer in one piece", ask(by_json).send()).await.unwrap();
    assert_eq!(answer.status(), 201);
    let answer: SentMessage = answer.json().await.unwrap();
    let (turn, said) = (phone.persisted(turn.id).await, stream.rest().await);
    let wanted = (TurnStatus::Completed, "Thought through.");
    assert_eq!((answer.status, answer.assistant_message.content.as_str()), wanted);
    assert_eq!((turn.status, turn.text.as_str()), wanted);
    assert_eq!(
        (said.last().unwrap().kind.as_str(), text_of(&said).as_str()),
        ("turn.completed", "Thought through.")
    );
}

#[tokio::test]
async fn unreachable_provider_is_unavailable() {
    let nobody = Port::reserve();
    let env = TestEnv::setup().var("GEMINI_API_BASE", nobody.url()).start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let reply = phone.message(conversation, &content("Hello")).send().await;
    reply.problem(ErrorCode::ProviderUnavailable);
    let turn = turn_of_last_message(&phone, conversation).await;
    assert_eq!(phone.persisted(turn).await.status, TurnStatus::Failed);
}
