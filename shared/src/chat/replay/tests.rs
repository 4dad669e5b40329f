//! Tests that every reader of every turn ends with the turn's text, wherever it resumes.

use proptest::prelude::*;

use super::*;
use crate::{
    api::{
        chat::{Part, Role, TurnKind},
        internal::TurnDelivery,
    },
    chat::{
        event::{DELTA, Delta},
        turn::{Input, TurnOutcome, TurnSpec},
    },
    id::Id,
    provider::{FinishReason, ModelEvent, ProviderFailure, StreamEnd},
    sse,
    time::Timestamp,
};

const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);
const OUTCOMES: [Option<TurnOutcome>; 5] = [
    None,
    Some(TurnOutcome::Answered(StreamEnd::Completed(FinishReason::Stop))),
    Some(TurnOutcome::Answered(StreamEnd::Incomplete)),
    Some(TurnOutcome::Cancelled),
    Some(TurnOutcome::Failed(ProviderFailure::Disconnected)),
];

fn id(n: u8) -> Id {
    Id::new(NOW, [n; 10])
}

fn started_turn() -> TurnState {
    TurnState::begin(TurnSpec {
        turn_id: id(1),
        user_id: id(2),
        conversation_id: id(3),
        kind: TurnKind::Reply,
        head_before: None,
        parent_id: None,
        siblings: Vec::new(),
        last_seq: 0,
        input: vec![Input {
            id: id(4),
            role: Role::User,
            parts: vec![Part::Text { text: "Hello".to_owned() }],
            tool_calls: Vec::new(),
        }],
        answer_id: id(5),
        model: "fast".to_owned(),
        created_at: NOW,
    })
}

fn said(words: &[String]) -> TurnState {
    let mut turn = started_turn();
    for word in words {
        turn.apply(ModelEvent::TextDelta(word.clone()));
        turn.flush();
    }
    turn
}

/// A turn whose process died after a checkpoint, as the next process ends it.
fn interrupted(words: &[String]) -> TurnState {
    let running = said(words);
    let frames = running.log().unsaved().map(|segment| segment.frames);
    let mut turn = TurnState::restore(running.record().clone(), frames.iter().map(|f| (1, f.as_str())), NOW);
    turn.close();
    turn
}

/// The stored turn that the origin builds from a delivery.
fn stored(delivery: TurnDelivery) -> StoredTurn {
    StoredTurn {
        kind: delivery.kind,
        last_event_id: delivery.last_event_id,
        error: delivery.error,
        messages: delivery.messages,
        usage: delivery.usage,
        created_at: delivery.created_at,
        finished_at: delivery.finished_at,
    }
}

/// The state of a client of a turn.
#[derive(Clone, Debug, Default, PartialEq)]
struct Reader {
    id: u64,
    text: String,
    kinds: Vec<String>,
}

impl Reader {
    /// Applies events as a client does: each follows the one before, except a `reset`, which sets the id to continue from.
    fn take(&mut self, mut bytes: &[u8]) {
        let mut decoder = sse::Decoder::new(1024 * 1024);
        while let Some(frame) = decoder.read(&mut bytes).unwrap() {
            let id: u64 = frame.id.parse().unwrap();
            match &*frame.event {
                "reset" => {
                    let reset: Reset<'_> = serde_json::from_str(&frame.data).unwrap();
                    assert_eq!(reset.last_event_id, id);
                    self.text = reset.text.into_owned();
                }
                kind => {
                    assert_eq!(id, self.id + 1, "{kind}");
                    if kind == DELTA {
                        self.text += &serde_json::from_str::<Delta<'_>>(&frame.data).unwrap().text;
                    }
                }
            }
            self.id = id;
            self.kinds.push(frame.event.into_owned());
        }
    }

    /// Reads a turn from the client's cursor.
    fn read(&mut self, turn: &TurnState) -> Resume {
        let resume = turn.resume(self.id);
        if let Resume::From(first, cursor) = &resume {
            self.take(first);
            let log = turn.log();
            assert!(self.id == *cursor || turn.record().reset_id.is_some());
            self.take(log.read(log.offset_after(*cursor), usize::MAX));
        }
        resume
    }
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-c]{1,3}", 0..6)
}

proptest! {
    #[test]
    fn reader_at_any_cursor_ends_with_the_text(
        words in words(), outcome in prop::sample::select(&OUTCOMES[..]), close: bool, held in 0usize..9,
    ) {
        let mut turn = said(&words);
        if let Some(outcome) = outcome {
            turn.end(outcome, NOW);
            if close { turn.close(); }
        }
        let log = turn.log();
        let mut reader = Reader::default();
        reader.take(log.read(0, log.offset_after(held as u64)));
        // A cursor that was never sent, with made-up text.
        if held as u64 > log.last_id() {
            reader = Reader { id: held as u64, text: "?".to_owned(), kinds: Vec::new() };
        }
        let complete = turn.is_closed() && reader.id == log.last_id();
        prop_assert_eq!(reader.read(&turn) == Resume::Complete, complete);
        prop_assert_eq!((&reader.text, reader.id), (&turn.view().text, log.last_id()));
        // Nothing follows an end.
        if turn.is_closed() {
            prop_assert_eq!(reader.read(&turn), Resume::Complete);
            prop_assert_eq!(reader.kinds.iter().filter(|kind| event::is_terminal(kind)).count() <= 1, true);
        }
    }

    #[test]
    fn reader_with_lost_text_is_reset_after_any_other_reader(
        kept in words(), lost in prop::collection::vec("[a-c]{1,3}", 0..40),
    ) {
        let all = [kept.clone(), lost].concat();
        let turn = interrupted(&kept);
        let before = said(&all);
        for held in 0..=before.log().last_id() {
            let mut reader = Reader::default();
            reader.take(before.log().read(0, before.log().offset_after(held)));
            reader.read(&turn);
            prop_assert_eq!((&reader.text, reader.id), (&kept.concat(), turn.log().last_id()));
            prop_assert_eq!(reader.kinds.last().unwrap(), "turn.interrupted");
            prop_assert_eq!(reader.read(&turn), Resume::Complete);
        }
    }

    #[test]
    fn origin_serves_the_ids_of_the_object(
        words in words(), outcome in prop::sample::select(&OUTCOMES[1..]), cut_off: bool,
    ) {
        let turn = if cut_off { interrupted(&words) } else {
            let mut turn = said(&words);
            turn.end(outcome.unwrap(), NOW);
            turn.close();
            turn
        };
        let stored = stored(turn.delivery().unwrap());
        let last = turn.log().last_id();
        prop_assert_eq!(stored.last_event_id, last);
        for held in (0..9).chain(last.saturating_sub(3)..last + 3) {
            let mut reader = Reader::default();
            reader.take(turn.log().read(0, turn.log().offset_after(held)));
            if reader.id != held {
                reader = Reader { id: held, text: "?".to_owned(), kinds: Vec::new() };
            }
            match stored_events(&stored, held) {
                None => prop_assert_eq!(held, last),
                Some(bytes) => reader.take(&bytes),
            }
            prop_assert_eq!((&reader.text, reader.id), (&turn.view().text, last));
            prop_assert_eq!(stored_events(&stored, reader.id), None);
        }
    }
}

#[test]
fn kill_before_the_first_checkpoint_keeps_turn_started() {
    let running = started_turn();
    let mut turn = TurnState::restore(running.record().clone(), [], NOW);
    turn.close();
    let mut reader = Reader::default();
    reader.read(&turn);
    assert_eq!(reader.kinds, ["turn.started", "reset", "turn.interrupted"]);
    assert_eq!(reader.id, turn.log().last_id());
    // The next process starts with the same ids.
    let frames = turn.log().unsaved().unwrap().frames;
    let mut back = TurnState::restore(turn.record().clone(), [(1, frames.as_str())], NOW);
    back.close();
    assert_eq!(back.log().read(0, usize::MAX), turn.log().read(0, usize::MAX));
}

/// The most words that a process may have sent but not stored when it dies.
const MOST_LOST: usize = 512;

#[test]
fn lost_text_and_later_events_share_no_id() {
    let turn = interrupted(&["a", "b"].map(str::to_owned));
    let log = turn.log();
    let lost_end = log.words_end() + MOST_LOST as u64;
    assert_eq!(log.last_id(), lost_end + 2);
    for held in log.words_end()..=lost_end {
        let mut reader = Reader { id: held, ..Reader::default() };
        reader.read(&turn);
        assert_eq!(reader.kinds, ["reset", "turn.interrupted"], "{held}");
        assert_eq!(reader.text, "ab", "{held}");
    }
    // An id beyond all of them was never sent.
    assert_eq!(turn.resume(lost_end + 3), Resume::From(Vec::new(), 3));
    assert_eq!(turn.resume(lost_end + 2), Resume::Complete);
}

/// Storage refused the end of an answer that its readers have.
#[test]
fn unstored_end_is_replaced_after_its_ids() {
    let mut shown = said(&["a".to_owned()]);
    shown.apply(ModelEvent::Finish(FinishReason::Stop));
    let frames = shown.log().unsaved().unwrap().frames;
    shown.end(TurnOutcome::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
    let record = shown.record_without_answer();
    shown.close();
    let mut turn = TurnState::restore(record, [(1, frames.as_str())], NOW);
    turn.close();
    let mut reader = Reader::default();
    reader.read(&shown);
    assert_eq!(reader.kinds.last().unwrap(), "turn.completed");
    reader.read(&turn);
    assert_eq!(reader.kinds[reader.kinds.len() - 2..], ["reset", "turn.interrupted"]);
    assert_eq!((&*reader.text, reader.id), ("a", turn.log().last_id()));
}

/// A turn that was interrupted by a version without the `reset`.
#[test]
fn interruption_by_earlier_version_keeps_its_ids() {
    let running = said(&["a".to_owned()]);
    let frames = running.log().unsaved().unwrap().frames;
    let mut record = interrupted(&["a".to_owned()]).record().clone();
    record.reset_id = None;
    let mut turn = TurnState::restore(record, [(1, frames.as_str())], NOW);
    turn.close();
    let mut reader = Reader::default();
    reader.read(&turn);
    assert_eq!((reader.kinds.last().unwrap().as_str(), reader.id), ("turn.interrupted", 3));
}

#[test]
fn stored_turn_serves_every_cursor() {
    let mut turn = said(&["Hi ", "you"].map(str::to_owned));
    turn.apply(ModelEvent::Finish(FinishReason::Stop));
    turn.end(TurnOutcome::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
    let stored = stored(turn.delivery().unwrap());
    let served = |after| {
        let bytes = stored_events(&stored, after).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let fields = |name: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
        };
        (fields("event: ").join(" "), fields("id: ").join(" "))
    };
    let is = |kinds: &str, ids: &str| (kinds.to_owned(), ids.to_owned());
    assert_eq!(served(0), is("turn.started reset message.completed turn.completed", "1 3 4 5"));
    assert_eq!(served(1), is("reset message.completed turn.completed", "3 4 5"));
    assert_eq!(served(2), is("reset message.completed turn.completed", "3 4 5"));
    assert_eq!(served(3), is("message.completed turn.completed", "4 5"));
    assert_eq!(served(4), is("turn.completed", "5"));
    assert_eq!(stored_events(&stored, 5), None);
    assert_eq!(served(6), is("reset message.completed turn.completed", "3 4 5"));
    assert_eq!(stored_view(stored).text, "Hi you");
}
