//! A turn that storage gives back after a restart.

use rstest::rstest;
use serde_json::json;

use super::{NOW, all, ids, names, resumed, spoken};
use crate::{
    api::{
        chat::{FinishReason, TurnStatus},
        usage::Usage,
    },
    chat::{
        record::TurnRecord,
        turn::{TurnOutcome, TurnState},
    },
    provider::{ModelEvent, StreamEnd},
};

#[test]
fn restart_ends_running_turn_at_checkpoint() {
    let mut turn = spoken();
    let record = turn.record().clone();
    let checkpoint = turn.log().unsaved().unwrap();
    turn.apply(ModelEvent::TextDelta(" lost".to_owned()));
    turn.flush();

    let mut record = record;
    record.messages.answer_mut().content.clear();
    let mut back = TurnState::restore(record, [(checkpoint.first_id, checkpoint.frames.as_str())], NOW);
    assert!(!back.is_running() && !back.is_closed());
    assert_eq!(back.view().status, TurnStatus::Interrupted);
    assert_eq!(back.delivery().unwrap().messages.answer().content, "Hi you");
    back.close();
    assert_eq!(names(&resumed(&back, 4)), ["reset", "turn.interrupted"]);
    // Nor does anybody else take the end for the lost word: its id is another one.
    assert_eq!(names(&resumed(&back, 3)), ["reset", "turn.interrupted"]);
    assert_eq!(names(&resumed(&back, back.log().last_id() - 1)), ["turn.interrupted"]);
}

#[test]
fn tokens_of_interrupted_turn_are_estimated_from_its_prompt_and_checkpoint() {
    let mut turn = spoken();
    let mut record = turn.record().clone();
    record.messages.answer_mut().content.clear();
    record.usage = Usage::default();
    record.prompt_tokens = 40;
    let checkpoint = turn.log().unsaved().unwrap();
    turn.apply(ModelEvent::TextDelta(" lost".to_owned()));
    let back = TurnState::restore(record, [(checkpoint.first_id, checkpoint.frames.as_str())], NOW);
    let expected =
        Usage { input_tokens: 40, output_tokens: 2, total_tokens: 42, estimated: true, ..Usage::default() };
    assert_eq!(back.record().usage, expected);
    let again = TurnState::restore(back.record().clone(), [(1, checkpoint.frames.as_str())], NOW);
    assert_eq!(again.record().usage, expected);
}

#[test]
fn later_restart_resets_readers_of_lost_events() {
    let turn = spoken();
    let frames = turn.log().unsaved().unwrap().frames;
    let first = TurnState::restore(turn.record().clone(), [(1, frames.as_str())], NOW);
    let mut back = TurnState::restore(first.record().clone(), [(1, frames.as_str())], NOW.plus_millis(9));
    back.close();
    assert_eq!(back.record(), first.record());
    let end = back.log().last_id();
    assert!(end > 500, "the lost words' ids come before it: {end}");
    for after in [3, 4, 5, end - 2, 100_000] {
        let bytes = resumed(&back, after);
        assert_eq!(names(&bytes), ["reset", "turn.interrupted"]);
        assert_eq!(ids(&bytes), [end - 1, end]);
        assert!(String::from_utf8_lossy(&bytes).contains("\"text\":\"Hi you\""));
    }
    assert_eq!(names(&resumed(&back, end - 1)), ["turn.interrupted"]);
    assert!(resumed(&back, end).is_empty());
}

#[test]
fn restart_between_end_and_close_closes_once() {
    let mut turn = spoken();
    turn.end(TurnOutcome::Cancelled, NOW);
    let (record, before) = (turn.record().clone(), turn.log().unsaved().unwrap().frames);
    turn.close();
    // No version stored the terminal event; should it be there, it is not told twice.
    let after = String::from_utf8(all(&turn).to_vec()).unwrap();
    for (frames, closed) in [(before, false), (after, true)] {
        let mut back = TurnState::restore(record.clone(), [(1, frames.as_str())], NOW);
        assert_eq!(back.is_closed(), closed);
        back.close();
        assert_eq!(all(&back), all(&turn));
    }
}

#[test]
fn message_completed_is_rebuilt_from_record() {
    let mut turn = spoken();
    turn.apply(ModelEvent::Finish(FinishReason::Stop));
    turn.end(TurnOutcome::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
    let stored = turn.log().unsaved().unwrap().frames;
    assert_eq!(names(stored.as_bytes()), ["turn.started", "message.delta", "message.delta"]);
    // An earlier version stored it.
    let earlier = String::from_utf8(all(&turn).to_vec()).unwrap();
    assert!(names(earlier.as_bytes()).contains(&"message.completed".to_owned()));
    let record = serde_json::to_string(turn.record()).unwrap();
    turn.close();
    for frames in [stored, earlier] {
        let record = serde_json::from_str(&record).unwrap();
        let mut back = TurnState::restore(record, [(1, frames.as_str())], NOW);
        assert_eq!((back.log().unsaved(), back.delivery()), (None, turn.delivery()));
        back.close();
        assert_eq!(all(&back), all(&turn));
    }
}

#[rstest]
#[case::ended("paused_by_the_model", true)]
#[case::running("waiting_for_a_friend", false)]
fn record_of_a_newer_version_is_read_and_written_back(#[case] name: &str, #[case] ended: bool) {
    let mut turn = spoken();
    if ended {
        turn.end(TurnOutcome::Cancelled, NOW);
    }
    let frames = turn.log().unsaved().unwrap().frames;
    let mut stored = serde_json::to_value(turn.record()).unwrap();
    stored["messages"][1]["status"] = json!(name);
    stored["messages"][1]["finish_reason"] = json!("had_enough");
    stored["error"] = json!({ "code": "out_of_patience", "detail": "Enough" });
    let record: TurnRecord = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&record).unwrap(), stored);

    let mut back = TurnState::restore(record, [(1, frames.as_str())], NOW);
    back.close();
    let delivery = back.delivery().unwrap();
    let status = if ended { name } else { "interrupted" };
    assert_eq!((delivery.status.as_str(), delivery.messages.answer().content.as_str()), (status, "Hi you"));
    assert_eq!(names(back.log().read(0, usize::MAX)).last().unwrap(), "turn.interrupted");
    if ended {
        let view = serde_json::to_value(back.view()).unwrap();
        assert_eq!((&view["status"], &view["error"]), (&json!(name), &stored["error"]));
        let delivered = serde_json::to_value(&delivery).unwrap();
        assert_eq!(delivered["messages"][1]["finish_reason"], "had_enough");
    }
}

#[test]
fn turn_whose_end_is_not_stored_is_interrupted() {
    let mut turn = spoken();
    let frames = turn.log().unsaved().unwrap().frames;
    turn.apply(ModelEvent::TextDelta(" and more".to_owned()));
    turn.apply(ModelEvent::Finish(FinishReason::Stop));
    turn.end(TurnOutcome::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
    let stored = serde_json::to_string(&turn.record_without_answer()).unwrap();
    assert!(!stored.contains("Hi you"));
    let mut back = TurnState::restore(serde_json::from_str(&stored).unwrap(), [(1, frames.as_str())], NOW);
    back.close();
    assert_eq!((back.view().status, back.view().text.as_str()), (TurnStatus::Interrupted, "Hi you"));
    let delivery = back.delivery().unwrap();
    assert!(delivery.messages.answer().is_plain());
    assert_eq!((delivery.status, delivery.finished_at), (TurnStatus::Interrupted, NOW));
    assert_eq!(names(&resumed(&back, 5)), ["reset", "turn.interrupted"]);
}
