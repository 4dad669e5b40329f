//! A turn from its beginning to its end.

mod restart;
mod size;

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    api::{
        ErrorCode,
        chat::{FinishReason, Role, ToolCall, TurnCode, TurnKind},
        usage::Usage,
    },
    chat::replay::Resume,
    id::Id,
};

const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

fn id(n: u8) -> Id {
    Id::new(NOW, [n; 10])
}

fn started_turn() -> TurnState {
    TurnState::begin(spec())
}

fn spec() -> TurnSpec {
    TurnSpec {
        turn_id: id(1),
        user_id: id(2),
        conversation_id: id(3),
        kind: TurnKind::Reply,
        head_before: Some(id(6)),
        parent_id: Some(id(6)),
        siblings: Vec::new(),
        last_seq: 6,
        input: question(vec![Part::Text { text: "Hello".to_owned() }]),
        answer_id: id(5),
        model: "fast".to_owned(),
        created_at: NOW,
    }
}

fn question(parts: Vec<Part>) -> Vec<Input> {
    vec![Input { id: id(4), role: Role::User, parts, tool_calls: Vec::new() }]
}

const fn stopped(reason: FinishReason) -> TurnOutcome {
    TurnOutcome::Answered(StreamEnd::Completed(reason))
}

fn spoken() -> TurnState {
    let mut turn = started_turn();
    for word in ["Hi ", "you"] {
        turn.apply(ModelEvent::TextDelta(word.to_owned()));
        turn.flush();
    }
    turn.apply(ModelEvent::Usage(Usage {
        input_tokens: 3,
        output_tokens: 2,
        total_tokens: 5,
        ..Usage::default()
    }));
    turn
}

fn names(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
}

fn ids(bytes: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect()
}

fn all(turn: &TurnState) -> &[u8] {
    turn.log().read(0, usize::MAX)
}

/// Returns what a reader gets that held every event up to `after` when the turn was cut off.
fn resumed(turn: &TurnState, after: u64) -> Vec<u8> {
    match turn.resume(after) {
        Resume::From(mut bytes, cursor) => {
            let log = turn.log();
            bytes.extend_from_slice(log.read(log.offset_after(cursor), usize::MAX));
            bytes
        }
        Resume::Complete => Vec::new(),
    }
}

#[test]
fn completed_turn_has_events_in_order() {
    let mut turn = spoken();
    turn.apply(ModelEvent::Finish(FinishReason::Stop));
    turn.end(TurnOutcome::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW.plus_millis(9));
    let delivery = turn.delivery().unwrap();
    turn.mark_persisted();
    turn.close();
    turn.close();
    let (bytes, last) = (all(&turn), turn.log().last_id());
    assert_eq!(
        names(bytes),
        ["turn.started", "message.delta", "message.delta", "message.completed", "turn.completed"]
    );
    assert_eq!((ids(bytes), last), (vec![1, 2, 3, 4, 5], 5));
    assert!(String::from_utf8_lossy(bytes).ends_with("\"persisted\":true}\n\n"));
    assert_eq!(delivery.last_event_id, 5);
    let answer = turn.answer().unwrap();
    assert_eq!((answer.user_message.unwrap().seq, answer.assistant_message.seq), (7, 8));
    assert_eq!(answer.assistant_message.content, "Hi you");
    assert_eq!(answer.usage.unwrap().total_tokens, 5);
    assert_eq!(turn.view().text, "Hi you");
}

#[rstest]
#[case(true, TurnOutcome::Answered(StreamEnd::Incomplete), "turn.incomplete", "no_finish_reason")]
#[case(true, TurnOutcome::Answered(StreamEnd::Refused), "turn.incomplete", "safety")]
#[case(true, TurnOutcome::Failed(ProviderFailure::Disconnected), "turn.incomplete", "provider_disconnected")]
#[case(true, TurnOutcome::Failed(ProviderFailure::Timeout), "turn.incomplete", "provider_timeout")]
#[case(true, TurnOutcome::Failed(ProviderFailure::Malformed), "turn.incomplete", "provider_malformed")]
#[case(true, TurnOutcome::Failed(ProviderFailure::TooLarge), "turn.incomplete", "provider_error")]
#[case(true, stopped(FinishReason::Length), "turn.incomplete", "length")]
#[case(true, stopped(FinishReason::ContentFilter), "turn.incomplete", "safety")]
#[case(true, stopped(FinishReason::Recitation), "turn.incomplete", "recitation")]
#[case(true, stopped(FinishReason::InvalidOutput), "turn.incomplete", "invalid_output")]
#[case(true, stopped(FinishReason::InvalidToolCall), "turn.incomplete", "invalid_tool_call")]
#[case(true, stopped(FinishReason::Language), "turn.incomplete", "language")]
#[case(true, stopped(FinishReason::Other), "turn.incomplete", "provider_error")]
#[case(true, TurnOutcome::Cancelled, "turn.cancelled", "")]
#[case(true, TurnOutcome::Interrupted, "turn.interrupted", "")]
#[case(false, TurnOutcome::Answered(StreamEnd::Incomplete), "turn.failed", "no_finish_reason")]
#[case(false, TurnOutcome::Answered(StreamEnd::Refused), "turn.failed", "safety")]
#[case(false, TurnOutcome::Failed(ProviderFailure::Timeout), "turn.failed", "provider_timeout")]
#[case(false, TurnOutcome::Failed(ProviderFailure::Disconnected), "turn.failed", "provider_unavailable")]
#[case(false, TurnOutcome::Failed(ProviderFailure::Malformed), "turn.failed", "provider_malformed")]
#[case(false, stopped(FinishReason::Stop), "turn.failed", "empty_answer")]
#[case(false, stopped(FinishReason::InvalidOutput), "turn.failed", "invalid_output")]
#[case(false, stopped(FinishReason::InvalidToolCall), "turn.failed", "invalid_tool_call")]
#[case(false, stopped(FinishReason::Language), "turn.failed", "language")]
#[case(false, stopped(FinishReason::Other), "turn.failed", "provider_error")]
#[case(false, stopped(FinishReason::ContentFilter), "turn.failed", "safety")]
#[case(false, stopped(FinishReason::Recitation), "turn.failed", "recitation")]
#[case(false, stopped(FinishReason::Length), "turn.incomplete", "length")]
#[case(false, TurnOutcome::Cancelled, "turn.cancelled", "")]
fn other_outcomes_have_their_event_and_code(
    #[case] spoke: bool,
    #[case] outcome: TurnOutcome,
    #[case] name: &str,
    #[case] code: &str,
) {
    let mut turn = if spoke { spoken() } else { started_turn() };
    let reason = match outcome {
        TurnOutcome::Answered(StreamEnd::Completed(reason)) => {
            turn.apply(ModelEvent::Finish(reason));
            Some(reason)
        }
        TurnOutcome::Answered(StreamEnd::Refused) => Some(FinishReason::ContentFilter),
        _ => None,
    };
    turn.end(outcome, NOW);
    turn.apply(ModelEvent::TextDelta("too late".to_owned()));
    turn.end(TurnOutcome::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
    turn.close();
    let bytes = all(&turn);
    assert_eq!(names(bytes).last().unwrap(), name);
    assert!(!names(bytes).contains(&"message.completed".to_owned()));
    assert_eq!(turn.record().error.as_ref().map_or("", |error| error.code.as_str()), code);
    let text = if spoke { "Hi you" } else { "" };
    assert_eq!(turn.view().text, text);
    match turn.answer() {
        Ok(answer) => {
            assert_eq!(answer.assistant_message.content, text);
            assert_eq!(answer.assistant_message.finish_reason, reason);
        }
        Err(error) => {
            let code = TurnCode::parse(code).unwrap();
            assert_eq!((error.code, name), (code.as_error(), "turn.failed"));
            assert_eq!(error.detail, code.default_detail());
        }
    }
}

#[rstest]
#[case::cancelled(TurnOutcome::Cancelled)]
#[case::disconnected(TurnOutcome::Failed(ProviderFailure::Disconnected))]
#[case::without_finish_reason(TurnOutcome::Answered(StreamEnd::Incomplete))]
#[case::finished_without_a_count(stopped(FinishReason::Length))]
fn tokens_that_nobody_counted_are_estimated(#[case] outcome: TurnOutcome) {
    let mut turn = started_turn().with_prompt_tokens(40);
    turn.apply(ModelEvent::TextDelta("12 bytes of.".to_owned()));
    turn.end(outcome, NOW);
    let expected =
        Usage { input_tokens: 40, output_tokens: 3, total_tokens: 43, estimated: true, ..Usage::default() };
    assert_eq!((turn.record().usage, turn.view().usage), (expected, Some(expected)));
    assert_eq!(turn.delivery().unwrap().usage, expected);
    turn.close();
    assert!(String::from_utf8_lossy(all(&turn)).contains("\"estimated\":true"));
}

#[test]
fn tokens_after_the_last_count_are_estimated_until_the_answer_is_finished() {
    let said = spoken().record().usage;
    let mut turn = spoken();
    turn.end(TurnOutcome::Cancelled, NOW);
    assert_eq!(turn.record().usage, said, "all of it was counted");
    let mut turn = spoken();
    turn.apply(ModelEvent::TextDelta(" there".to_owned()));
    turn.end(TurnOutcome::Cancelled, NOW);
    let more = Usage { output_tokens: 4, total_tokens: 7, estimated: true, ..said };
    assert_eq!(turn.record().usage, more);
    let mut turn = spoken();
    turn.apply(ModelEvent::TextDelta(" there".to_owned()));
    turn.apply(ModelEvent::Finish(FinishReason::Stop));
    turn.end(stopped(FinishReason::Stop), NOW);
    assert_eq!(turn.record().usage, said, "the provider counted what it finished");
}

#[test]
fn failed_call_costs_what_the_provider_said() {
    let mut turn = started_turn().with_prompt_tokens(40);
    turn.end(TurnOutcome::Failed(ProviderFailure::Refused), NOW);
    assert_eq!(turn.record().usage, Usage::default());
}

#[test]
fn retry_after_of_provider_is_in_error_of_turn() {
    let mut turn = started_turn();
    turn.end(TurnOutcome::Failed(ProviderFailure::RateLimited { retry_after_s: Some(37) }), NOW);
    let error = turn.answer().unwrap_err();
    assert_eq!((error.code, error.retry_after_s), (ErrorCode::ProviderUnavailable, Some(37)));
    assert_eq!(error.detail, ErrorCode::ProviderUnavailable.default_detail());
    // After a restart the error is still told; the wait is over by then.
    let back = TurnState::restore(turn.record().clone(), [], NOW);
    assert_eq!(back.answer().unwrap_err(), ErrorCode::ProviderUnavailable.into());
}

#[test]
fn turn_with_clock_set_back_ends_no_earlier_than_start() {
    let mut turn = spoken();
    turn.end(TurnOutcome::Interrupted, NOW.plus_millis(-5_000));
    let delivery = turn.delivery().unwrap();
    assert_eq!((delivery.finished_at, delivery.messages.answer().updated_at), (NOW, NOW));
}

#[test]
fn words_are_one_event_from_flush_to_flush() {
    let mut turn = started_turn();
    assert!(!turn.has_unflushed());
    for word in ["Hi ", "y", "ou"] {
        turn.apply(ModelEvent::TextDelta(word.to_owned()));
    }
    assert!(turn.has_unflushed());
    // Whoever asks meanwhile gets what the events have.
    assert_eq!((turn.view().text.as_str(), turn.view().last_event_id), ("", 1));
    turn.flush();
    turn.flush();
    assert_eq!((turn.view().text.as_str(), turn.view().last_event_id), ("Hi you", 2));
    turn.apply(ModelEvent::TextDelta("!".to_owned()));
    turn.apply(ModelEvent::Finish(FinishReason::Stop));
    turn.end(stopped(FinishReason::Stop), NOW);
    turn.close();
    let expected = ["turn.started", "message.delta", "message.delta", "message.completed", "turn.completed"];
    assert_eq!(names(all(&turn)), expected);
    assert_eq!(turn.view().text, "Hi you!");
}

#[test]
fn messages_of_a_turn_follow_each_other() {
    let call = ToolCall {
        id: "call-1".to_owned(),
        name: "weather".to_owned(),
        arguments: json!({ "city": "Zürich" }),
        result: Some(json!({ "sky": "blue" })),
        error: None,
        started_at: NOW,
        duration_ms: Some(12),
    };
    let result = Input { id: id(7), role: Role::Tool, parts: Vec::new(), tool_calls: vec![call.clone()] };
    let results = TurnSpec { kind: TurnKind::ToolResults, input: vec![result], ..spec() };
    let again = TurnSpec {
        kind: TurnKind::Regenerate,
        head_before: Some(id(8)),
        siblings: vec![id(8)],
        input: Vec::new(),
        ..spec()
    };
    for (spec, ids) in [(spec(), vec![4, 5]), (results, vec![7, 5]), (again, vec![5])] {
        let (kind, head_before, others) = (spec.kind, spec.head_before, spec.siblings.clone());
        let mut turn = TurnState::begin(spec);
        turn.apply(ModelEvent::TextDelta("Hi".to_owned()));
        turn.end(TurnOutcome::Cancelled, NOW);
        let delivery = turn.delivery().unwrap();
        assert_eq!((delivery.kind, delivery.head_before, delivery.head_id), (kind, head_before, id(5)));
        assert_eq!(delivery.check(), Ok(()));
        let messages = delivery.messages.into_vec();
        assert_eq!(
            messages.iter().map(|message| message.id).collect::<Vec<_>>(),
            ids.iter().map(|n| id(*n)).collect::<Vec<_>>()
        );
        let mut parent_id = Some(id(6));
        for (message, seq) in messages.iter().zip(7..) {
            assert_eq!((message.parent_id, message.seq), (parent_id, seq));
            parent_id = Some(message.id);
        }
        let siblings = [others, vec![id(ids[0])]].concat();
        assert_eq!(messages[0].siblings, siblings);
        let (view, answer) = (turn.view(), turn.answer().unwrap());
        let question = (kind == TurnKind::Reply).then(|| id(4));
        assert_eq!(
            (view.user_message_id, answer.user_message.map(|message| message.id)),
            (question, question)
        );
        // It comes back from storage as it was.
        let record = serde_json::from_str(&serde_json::to_string(turn.record()).unwrap()).unwrap();
        assert_eq!(turn.record(), &record);
    }
}
