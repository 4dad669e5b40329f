//! The state machine of a turn: what happened goes in, events for its readers come out of its log.
//!
//! ```text
//! begin ─► running ─► end(completed | incomplete | cancelled | failed | interrupted) ─► close(persisted)
//! ```
//! `end` fixes what the turn says and cost; the record is then stored and delivered to the origin; `close` appends the
//! one terminal event, which tells whether the origin has it. Whatever comes after `end` changes nothing.

use std::borrow::Cow;

use super::{
    event::{self, Delta, Event, Started},
    log::{EventLog, Restored},
    record::{self, MAX_ANSWER_BYTES, TurnRecord},
};
use crate::{
    api::{
        chat::{FinishReason, Message, Part, Role, SentMessage, Turn, TurnError, TurnStatus, joined_text},
        error::{ApiError, ErrorCode},
        internal::{StoredTurn, TurnDelivery},
        usage::Usage,
    },
    id::Id,
    provider::{ModelEvent, ProviderFailure, StreamEnd},
    time::Timestamp,
};

/// What a turn is about, fixed when it is taken on.
#[derive(Clone, Debug)]
pub struct TurnSpec {
    /// The turn's id.
    pub turn_id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// The id of the user's message.
    pub user_message_id: Id,
    /// The id of the answer.
    pub assistant_message_id: Id,
    /// The highest `seq` of the conversation before this turn.
    pub last_seq: u64,
    /// The message before the user's.
    pub parent_id: Option<Id>,
    /// What the user says.
    pub parts: Vec<Part>,
    /// The model's alias.
    pub model: String,
    /// When it was taken on.
    pub created_at: Timestamp,
}

/// A turn in memory: its record and its events.
#[derive(Clone, Debug)]
pub struct TurnState {
    record: TurnRecord,
    log: EventLog,
    closed: bool,
    /// Bytes the answer may still take.
    room: usize,
    /// Whether the answer went on when there was no room left.
    too_long: bool,
    /// How the provider failed, for whoever waits for the answer. Not stored.
    failure: Option<ProviderFailure>,
}

/// How a turn comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The provider's answer is over.
    Answered(StreamEnd),
    /// The provider failed.
    Failed(ProviderFailure),
    /// The user stopped it.
    Cancelled,
    /// Our side was restarted.
    Interrupted,
}

impl TurnState {
    /// Takes a turn on: it is running, and `turn.started` is its first event.
    pub fn begin(spec: TurnSpec) -> Self {
        let TurnSpec { turn_id, user_id, conversation_id, model, created_at, .. } = spec;
        let user_message = Message {
            id: spec.user_message_id,
            conversation_id,
            turn_id,
            parent_id: spec.parent_id,
            seq: spec.last_seq + 1,
            role: Role::User,
            content: joined_text(&spec.parts),
            parts: spec.parts,
            status: TurnStatus::Completed,
            finish_reason: None,
            model: None,
            usage: None,
            tool_calls: Vec::new(),
            created_at,
            updated_at: created_at,
        };
        let assistant_message = Message {
            id: spec.assistant_message_id,
            parent_id: Some(spec.user_message_id),
            seq: spec.last_seq + 2,
            role: Role::Assistant,
            content: String::new(),
            parts: Vec::new(),
            status: TurnStatus::Running,
            model: Some(model.clone()),
            ..user_message.clone()
        };
        let mut log = EventLog::default();
        log.push(&Event::Started(Started {
            turn_id,
            conversation_id,
            user_message_id: spec.user_message_id,
            assistant_message_id: spec.assistant_message_id,
            model: Cow::Borrowed(&model),
        }));
        let record = TurnRecord {
            turn_id,
            user_id,
            user_message,
            assistant_message,
            model,
            usage: Usage::default(),
            error: None,
            persisted: false,
            created_at,
            finished_at: None,
        };
        Self { record, log, closed: false, room: MAX_ANSWER_BYTES, too_long: false, failure: None }
    }

    /// A turn as storage has it after a restart. One that was running is over: it ends as interrupted, with the text that
    /// was checkpointed, and must be stored and delivered like any that ends. From then on its log ends where that
    /// checkpoint did, however often it is restored.
    pub fn restore<'a>(
        record: TurnRecord,
        segments: impl IntoIterator<Item = (u64, &'a str)>,
        now: Timestamp,
    ) -> Self {
        let Restored { log, text, whole, closed } = EventLog::restore(segments);
        let running = !record.assistant_message.status.is_terminal();
        let mut turn = Self { record, log, closed, room: 0, too_long: false, failure: None };
        if running {
            turn.record.assistant_message.content.clone_from(&text);
            turn.end(Ending::Interrupted, now);
        }
        match turn.record.assistant_message.status {
            TurnStatus::Interrupted => {
                turn.log.cut_short(&text);
                turn.record.recover_answer(text);
            }
            TurnStatus::Completed if !whole => {
                turn.log.push(&Event::Message(&turn.record.assistant_message));
            }
            _ => {}
        }
        turn
    }

    /// What is stored of it.
    pub const fn record(&self) -> &TurnRecord {
        &self.record
    }

    /// Its events.
    pub const fn log(&self) -> &EventLog {
        &self.log
    }

    /// Storage has its events up to this id.
    pub fn mark_saved(&mut self, last_id: u64) {
        self.log.mark_saved(last_id);
    }

    /// Whether the model may still speak.
    pub const fn is_running(&self) -> bool {
        !self.record.assistant_message.status.is_terminal()
    }

    /// Whether the answer is longer than [`MAX_ANSWER_BYTES`]: what is over was dropped, and the turn ends as one whose
    /// provider failed.
    pub const fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Whether its terminal event is out: readers are done.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes what the model says. After the end it is dropped.
    pub fn hear(&mut self, said: ModelEvent) {
        if !self.is_running() {
            return;
        }
        match said {
            ModelEvent::TextDelta(text) => {
                let (fits, room) = record::fitting(&text, self.room);
                self.room = room;
                self.too_long |= fits.len() < text.len();
                if !fits.is_empty() {
                    self.log.push(&Event::Delta(Delta { text: Cow::Borrowed(fits) }));
                    self.record.assistant_message.content.push_str(fits);
                }
            }
            ModelEvent::Usage(usage) => self.record.usage = usage,
            ModelEvent::Finish(reason) => self.record.assistant_message.finish_reason = Some(reason),
            // No tools are offered to the model, so it has none to call; why a prompt was blocked shows in the ending.
            ModelEvent::ToolCall { .. } | ModelEvent::Refused(_) => {}
        }
    }

    /// Ends the turn. Only the first ending counts. A clock that was set back meanwhile does not let it end before it began.
    pub fn end(&mut self, ending: Ending, now: Timestamp) {
        if !self.is_running() {
            return;
        }
        let now = now.max(self.record.created_at);
        let ending = match ending {
            Ending::Answered(_) if self.too_long => Ending::Failed(ProviderFailure::TooLarge),
            ending => ending,
        };
        let (status, error) = self.outcome(ending);
        if let Ending::Failed(failure) = ending {
            self.failure = Some(failure);
        }
        let message = &mut self.record.assistant_message;
        message.status = status;
        if status != TurnStatus::Completed {
            message.finish_reason = None;
        }
        if !message.content.is_empty() {
            message.parts = vec![Part::Text { text: message.content.clone() }];
        }
        message.usage = Some(self.record.usage);
        message.updated_at = now;
        self.record.error = error;
        self.record.finished_at = Some(now);
        if status == TurnStatus::Completed {
            self.log.push(&Event::Message(&self.record.assistant_message));
        }
    }

    fn outcome(&self, ending: Ending) -> (TurnStatus, Option<TurnError>) {
        let told = |code: ErrorCode| Some(TurnError::new(code, None));
        let spoke = !self.record.assistant_message.content.is_empty();
        match ending {
            Ending::Answered(StreamEnd::Completed(FinishReason::ContentFilter)) if !spoke => {
                (TurnStatus::Failed, told(ErrorCode::ProviderRefused))
            }
            Ending::Answered(StreamEnd::Completed(_)) => (TurnStatus::Completed, None),
            Ending::Answered(StreamEnd::Refused) => (TurnStatus::Failed, told(ErrorCode::ProviderRefused)),
            Ending::Answered(StreamEnd::Incomplete) if spoke => {
                (TurnStatus::Incomplete, told(ErrorCode::ProviderError))
            }
            Ending::Answered(StreamEnd::Incomplete) => (TurnStatus::Failed, told(ErrorCode::ProviderError)),
            Ending::Failed(failure) if spoke => (TurnStatus::Incomplete, told(failure.code())),
            Ending::Failed(failure) => (TurnStatus::Failed, told(failure.code())),
            Ending::Cancelled => (TurnStatus::Cancelled, None),
            Ending::Interrupted => (TurnStatus::Interrupted, None),
        }
    }

    /// The origin has it.
    pub fn mark_persisted(&mut self) {
        self.record.persisted = true;
    }

    /// Appends the terminal event of a turn that has ended, once.
    pub fn close(&mut self) {
        if self.closed || self.is_running() {
            return;
        }
        let record = &self.record;
        let message = &record.assistant_message;
        self.log.push(&event::terminal(
            record.turn_id,
            message,
            record.error.as_ref(),
            record.usage,
            record.persisted,
        ));
        self.closed = true;
    }

    /// The turn as clients see it.
    pub fn view(&self) -> Turn {
        let record = &self.record;
        let message = &record.assistant_message;
        Turn {
            id: record.turn_id,
            conversation_id: message.conversation_id,
            status: message.status,
            model: record.model.clone(),
            text: message.content.clone(),
            last_event_id: self.log.last_id(),
            user_message_id: record.user_message.id,
            assistant_message_id: message.id,
            usage: message.usage,
            error: record.error.clone(),
            persisted: record.persisted,
            created_at: record.created_at,
            finished_at: record.finished_at,
        }
    }

    /// The answer to a client that did not ask for a stream: both messages, or the error of a turn that failed before its
    /// first word, with the wait that the provider asked for.
    pub fn answer(&self) -> Result<SentMessage, ApiError> {
        let record = &self.record;
        match (&record.error, record.assistant_message.status) {
            (Some(error), TurnStatus::Failed) => Err(match self.failure {
                Some(failure) => failure.into(),
                None => ApiError::new(error.code, error.detail.clone()),
            }),
            (_, status) => Ok(SentMessage {
                turn_id: record.turn_id,
                status,
                user_message: record.user_message.clone(),
                assistant_message: record.assistant_message.clone(),
                usage: record.assistant_message.usage,
                persisted: record.persisted,
            }),
        }
    }

    /// What the origin gets. `None` while the turn runs. The terminal event is counted as if it were out already.
    pub fn delivery(&self) -> Option<TurnDelivery> {
        let record = &self.record;
        let finished_at = record.finished_at?;
        Some(TurnDelivery {
            turn_id: record.turn_id,
            user_id: record.user_id,
            conversation_id: record.assistant_message.conversation_id,
            status: record.assistant_message.status,
            model: record.model.clone(),
            error: record.error.clone(),
            user_message: record.user_message.clone(),
            assistant_message: record.assistant_message.clone(),
            usage: record.usage,
            last_event_id: self.log.last_id() + u64::from(!self.closed),
            created_at: record.created_at,
            finished_at,
        })
    }
}

/// A turn whose events have aged out, rebuilt from what the origin stored: any cursor gets the whole text once more as a
/// `reset` and then the end, with the ids the turn had. So does one that is past the words of a turn that was cut off, or
/// past any end: what that reader holds was lost.
pub fn stored_events(stored: &StoredTurn, after: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let message = &stored.assistant_message;
    let completed = message.status == TurnStatus::Completed;
    let words_end = stored.last_event_id.saturating_sub(1 + u64::from(completed)).max(1);
    let interrupted = message.status == TurnStatus::Interrupted;
    let lost = after > if interrupted { words_end } else { stored.last_event_id };
    if after == 0 {
        let started = Started {
            turn_id: message.turn_id,
            conversation_id: message.conversation_id,
            user_message_id: stored.user_message.id,
            assistant_message_id: message.id,
            model: Cow::Borrowed(message.model.as_deref().unwrap_or_default()),
        };
        Event::Started(started).write(&mut out, 1);
    }
    if lost || (after < words_end && words_end > 1) {
        let reset = event::Reset { text: Cow::Borrowed(&message.content), last_event_id: words_end };
        Event::Reset(reset).write(&mut out, words_end);
    }
    if completed && (lost || after <= words_end) {
        Event::Message(message).write(&mut out, words_end + 1);
    }
    if lost || after < stored.last_event_id {
        let usage = message.usage.unwrap_or_default();
        let end = event::terminal(message.turn_id, message, stored.error.as_ref(), usage, true);
        end.write(&mut out, stored.last_event_id);
    }
    out
}

/// A stored turn as clients see it.
pub fn stored_view(stored: StoredTurn) -> Turn {
    let StoredTurn { last_event_id, error, user_message, assistant_message, finished_at } = stored;
    Turn {
        id: assistant_message.turn_id,
        conversation_id: assistant_message.conversation_id,
        status: assistant_message.status,
        model: assistant_message.model.unwrap_or_default(),
        text: assistant_message.content,
        last_event_id,
        user_message_id: user_message.id,
        assistant_message_id: assistant_message.id,
        usage: assistant_message.usage,
        error,
        persisted: true,
        created_at: user_message.created_at,
        finished_at: Some(finished_at),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::api::chat::SendMessage;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn id(n: u8) -> Id {
        Id::new(NOW, [n; 10])
    }

    fn begun() -> TurnState {
        TurnState::begin(spec())
    }

    fn spec() -> TurnSpec {
        TurnSpec {
            turn_id: id(1),
            user_id: id(2),
            conversation_id: id(3),
            user_message_id: id(4),
            assistant_message_id: id(5),
            last_seq: 6,
            parent_id: Some(id(6)),
            parts: vec![Part::Text { text: "Hello".to_owned() }],
            model: "fast".to_owned(),
            created_at: NOW,
        }
    }

    fn spoken() -> TurnState {
        let mut turn = begun();
        turn.hear(ModelEvent::TextDelta("Hi ".to_owned()));
        turn.hear(ModelEvent::TextDelta("you".to_owned()));
        turn.hear(ModelEvent::Usage(Usage {
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

    /// What the origin makes of a delivery.
    fn stored(delivery: TurnDelivery) -> StoredTurn {
        StoredTurn {
            last_event_id: delivery.last_event_id,
            error: delivery.error,
            user_message: delivery.user_message,
            assistant_message: delivery.assistant_message,
            finished_at: delivery.finished_at,
        }
    }

    #[test]
    fn a_turn_that_completes_tells_all_in_order() {
        let mut turn = spoken();
        turn.hear(ModelEvent::Finish(FinishReason::Stop));
        turn.end(Ending::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW.plus_millis(9));
        let delivery = turn.delivery().unwrap();
        turn.mark_persisted();
        turn.close();
        turn.close();
        let (bytes, last) = turn.log().read(0).unwrap();
        assert_eq!(
            names(bytes),
            ["turn.started", "message.delta", "message.delta", "message.completed", "turn.completed"]
        );
        assert_eq!((ids(bytes), last), (vec![1, 2, 3, 4, 5], 5));
        assert!(String::from_utf8_lossy(bytes).ends_with("\"persisted\":true}\n\n"));
        assert_eq!(delivery.last_event_id, 5);
        let answer = turn.answer().unwrap();
        assert_eq!((answer.user_message.seq, answer.assistant_message.seq), (7, 8));
        assert_eq!(answer.assistant_message.content, "Hi you");
        assert_eq!(answer.usage.unwrap().total_tokens, 5);
        assert_eq!(turn.view().text, "Hi you");
    }

    #[rstest]
    #[case(true, Ending::Answered(StreamEnd::Incomplete), "turn.incomplete", Some(ErrorCode::ProviderError))]
    #[case(
        true,
        Ending::Failed(ProviderFailure::Disconnected),
        "turn.incomplete",
        Some(ErrorCode::ProviderUnavailable)
    )]
    #[case(true, Ending::Cancelled, "turn.cancelled", None)]
    #[case(true, Ending::Interrupted, "turn.interrupted", None)]
    #[case(false, Ending::Answered(StreamEnd::Incomplete), "turn.failed", Some(ErrorCode::ProviderError))]
    #[case(false, Ending::Answered(StreamEnd::Refused), "turn.failed", Some(ErrorCode::ProviderRefused))]
    #[case(false, Ending::Failed(ProviderFailure::Timeout), "turn.failed", Some(ErrorCode::ProviderTimeout))]
    #[case(false, Ending::Cancelled, "turn.cancelled", None)]
    fn every_other_end_is_named_truthfully(
        #[case] spoke: bool,
        #[case] ending: Ending,
        #[case] name: &str,
        #[case] code: Option<ErrorCode>,
    ) {
        let mut turn = if spoke { spoken() } else { begun() };
        turn.end(ending, NOW);
        turn.hear(ModelEvent::TextDelta("too late".to_owned()));
        turn.end(Ending::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
        turn.close();
        let (bytes, _) = turn.log().read(0).unwrap();
        assert_eq!(names(bytes).last().unwrap(), name);
        assert!(!names(bytes).contains(&"message.completed".to_owned()));
        assert_eq!(turn.record().error.as_ref().map(|error| error.code), code);
        let text = if spoke { "Hi you" } else { "" };
        assert_eq!(turn.view().text, text);
        match turn.answer() {
            Ok(answer) => assert_eq!(answer.assistant_message.content, text),
            Err(error) => assert_eq!((Some(error.code), spoke), (code, false)),
        }
    }

    #[test]
    fn the_wait_the_provider_asks_for_reaches_who_waits() {
        let mut turn = begun();
        turn.end(Ending::Failed(ProviderFailure::RateLimited { retry_after_s: Some(37) }), NOW);
        let error = turn.answer().unwrap_err();
        assert_eq!((error.code, error.retry_after_s), (ErrorCode::ProviderUnavailable, Some(37)));
        assert_eq!(error.detail, ErrorCode::ProviderUnavailable.default_detail());
        // After a restart the error is still told; the wait is over by then.
        let back = TurnState::restore(turn.record().clone(), [], NOW);
        assert_eq!(back.answer().unwrap_err(), ErrorCode::ProviderUnavailable.into());
    }

    #[test]
    fn a_clock_that_was_set_back_ends_no_turn_before_it_began() {
        let mut turn = spoken();
        turn.end(Ending::Interrupted, NOW.plus_millis(-5_000));
        let delivery = turn.delivery().unwrap();
        assert_eq!((delivery.finished_at, delivery.assistant_message.updated_at), (NOW, NOW));
    }

    #[test]
    fn a_restart_ends_a_running_turn_with_its_checkpoint() {
        let mut turn = spoken();
        let record = turn.record().clone();
        let checkpoint = turn.log().unsaved().unwrap();
        turn.hear(ModelEvent::TextDelta(" lost".to_owned()));

        let mut record = record;
        record.assistant_message.content.clear();
        let mut back = TurnState::restore(record, [(checkpoint.first_id, checkpoint.frames.as_str())], NOW);
        assert!(!back.is_running() && !back.is_closed());
        assert_eq!(back.view().status, TurnStatus::Interrupted);
        assert_eq!(back.delivery().unwrap().assistant_message.content, "Hi you");
        back.close();
        let (reset, cursor) = back.log().attach(4);
        assert_eq!(names(&reset), ["reset"]);
        assert_eq!(names(back.log().read(cursor).unwrap().0), ["turn.interrupted"]);
        assert_eq!(back.log().attach(3), (Vec::new(), 3));
    }

    #[test]
    fn every_start_after_the_restart_resets_who_holds_lost_words() {
        let turn = spoken();
        let frames = turn.log().unsaved().unwrap().frames;
        let first = TurnState::restore(turn.record().clone(), [(1, frames.as_str())], NOW);
        let mut back = TurnState::restore(first.record().clone(), [(1, frames.as_str())], NOW.plus_millis(9));
        back.close();
        assert_eq!(back.record(), first.record());
        for after in [4, 5, 100_000] {
            let (reset, cursor) = back.log().attach(after);
            assert_eq!((names(&reset), ids(&reset)), (vec!["reset".to_owned()], vec![3]));
            assert!(String::from_utf8_lossy(&reset).contains("\"text\":\"Hi you\""));
            assert_eq!(names(back.log().read(cursor).unwrap().0), ["turn.interrupted"]);
        }
        assert_eq!(back.log().attach(3), (Vec::new(), 3));
    }

    #[rstest]
    #[case::words(spoken(), 3)]
    #[case::none(begun(), 1)]
    fn a_stored_turn_that_was_cut_off_resets_who_holds_lost_words(
        #[case] running: TurnState,
        #[case] words_end: u64,
    ) {
        let frames = running.log().unsaved().unwrap().frames;
        let delivery =
            TurnState::restore(running.record().clone(), [(1, frames.as_str())], NOW).delivery().unwrap();
        let stored = stored(delivery);
        for after in [words_end + 1, words_end + 2, 100_000] {
            let bytes = stored_events(&stored, after);
            assert_eq!(
                (names(&bytes), ids(&bytes)),
                (["reset", "turn.interrupted"].map(str::to_owned).to_vec(), vec![words_end, words_end + 1],)
            );
        }
        let bytes = stored_events(&stored, words_end);
        assert_eq!(names(&bytes), ["turn.interrupted"]);
    }

    #[test]
    fn a_restart_between_end_and_close_closes_once() {
        let mut turn = spoken();
        turn.end(Ending::Cancelled, NOW);
        let (record, before) = (turn.record().clone(), turn.log().unsaved().unwrap().frames);
        turn.close();
        // No version stored the terminal event; should it be there, it is not told twice.
        let after = String::from_utf8(turn.log().read(0).unwrap().0.to_vec()).unwrap();
        for (frames, closed) in [(before, false), (after, true)] {
            let mut back = TurnState::restore(record.clone(), [(1, frames.as_str())], NOW);
            assert_eq!(back.is_closed(), closed);
            back.close();
            assert_eq!(back.log().read(0), turn.log().read(0));
        }
    }

    #[test]
    fn the_whole_message_is_made_anew_from_the_record() {
        let mut turn = spoken();
        turn.hear(ModelEvent::Finish(FinishReason::Stop));
        turn.end(Ending::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
        let stored = turn.log().unsaved().unwrap().frames;
        assert_eq!(names(stored.as_bytes()), ["turn.started", "message.delta", "message.delta"]);
        // An earlier version stored it.
        let earlier = String::from_utf8(turn.log().read(0).unwrap().0.to_vec()).unwrap();
        assert!(names(earlier.as_bytes()).contains(&"message.completed".to_owned()));
        let record = serde_json::to_string(turn.record()).unwrap();
        turn.close();
        for frames in [stored, earlier] {
            let record = serde_json::from_str(&record).unwrap();
            let mut back = TurnState::restore(record, [(1, frames.as_str())], NOW);
            assert_eq!((back.log().unsaved(), back.delivery()), (None, turn.delivery()));
            back.close();
            assert_eq!(back.log().read(0), turn.log().read(0));
        }
    }

    #[test]
    fn a_turn_whose_end_storage_does_not_take_was_interrupted() {
        let mut turn = spoken();
        let frames = turn.log().unsaved().unwrap().frames;
        turn.hear(ModelEvent::TextDelta(" and more".to_owned()));
        turn.hear(ModelEvent::Finish(FinishReason::Stop));
        turn.end(Ending::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
        let stored = serde_json::to_string(&turn.record().without_answer()).unwrap();
        assert!(!stored.contains("Hi you"));
        let mut back =
            TurnState::restore(serde_json::from_str(&stored).unwrap(), [(1, frames.as_str())], NOW);
        back.close();
        assert_eq!((back.view().status, back.view().text.as_str()), (TurnStatus::Interrupted, "Hi you"));
        let delivery = back.delivery().unwrap();
        assert!(delivery.assistant_message.is_plain());
        assert_eq!((delivery.status, delivery.finished_at), (TurnStatus::Interrupted, NOW));
        assert_eq!(names(&back.log().attach(4).0), ["reset"]);
    }

    #[rstest]
    #[case::streamed(1_024)]
    #[case::whole(MAX_ANSWER_BYTES + 1)]
    fn an_answer_that_is_too_long_is_cut(#[case] piece: usize) {
        let mut turn = begun();
        for _ in 0..=MAX_ANSWER_BYTES / piece {
            turn.hear(ModelEvent::TextDelta("x".repeat(piece)));
        }
        assert!(turn.is_too_long());
        turn.end(Ending::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
        let view = turn.view();
        assert_eq!((view.status, view.text.len()), (TurnStatus::Incomplete, MAX_ANSWER_BYTES));
        assert_eq!(view.error.unwrap().code, ErrorCode::ProviderError);
    }

    #[test]
    fn the_longest_answer_is_whole() {
        let mut turn = begun();
        turn.hear(ModelEvent::TextDelta("x".repeat(MAX_ANSWER_BYTES)));
        assert!(!turn.is_too_long());
        turn.end(Ending::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
        assert_eq!(turn.view().status, TurnStatus::Completed);
    }

    #[test]
    fn a_stored_turn_serves_every_cursor() {
        let mut turn = spoken();
        turn.hear(ModelEvent::Finish(FinishReason::Stop));
        turn.end(Ending::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
        let stored = stored(turn.delivery().unwrap());
        let served = |after| {
            let bytes = stored_events(&stored, after);
            (names(&bytes), ids(&bytes))
        };
        let end = ["reset", "message.completed", "turn.completed"].map(str::to_owned);
        assert_eq!(served(0), ([&["turn.started".to_owned()], &end[..]].concat(), vec![1, 3, 4, 5]));
        assert_eq!(served(1), (end.to_vec(), vec![3, 4, 5]));
        assert_eq!(served(2), (end.to_vec(), vec![3, 4, 5]));
        assert_eq!(served(3), (end[1..].to_vec(), vec![4, 5]));
        assert_eq!(served(4), (end[2..].to_vec(), vec![5]));
        assert_eq!(served(5), (vec![], vec![]));
        assert_eq!(served(6), (end.to_vec(), vec![3, 4, 5]));
        assert_eq!(stored_view(stored).text, "Hi you");
    }

    /// What Cloudflare's documentation of Durable Objects allows a string and a table row of their SQLite.
    const MOST_BYTES: usize = 2_000_000;
    /// A row's other columns: the access token, the idempotency key (one byte a character), ids and numbers.
    const OTHER_COLUMNS: usize =
        crate::auth::claims::MAX_TOKEN_BYTES + crate::http::accept::MAX_IDEMPOTENCY_KEY_CHARS + 256;

    fn large_turn(content: &serde_json::Value, said: &str, streamed: bool) -> (TurnState, Vec<usize>) {
        let body = serde_json::to_vec(&serde_json::json!({ "content": content })).unwrap();
        let message: SendMessage = crate::api::body::parse(&body).unwrap();
        let parts = message.content.into_parts();
        let mut turn = TurnState::begin(TurnSpec { parts, ..spec() });
        if streamed {
            while !turn.is_too_long() {
                turn.hear(ModelEvent::TextDelta(said.repeat(20)));
            }
        } else {
            turn.hear(ModelEvent::TextDelta(said.repeat(1024 * 1024 / said.len() + 1)));
        }
        turn.end(Ending::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
        let mut sizes = vec![serde_json::to_string(turn.record()).unwrap().len() + OTHER_COLUMNS];
        while let Some(segment) = turn.log().unsaved() {
            sizes.push(segment.frames.len() + 256);
            turn.mark_saved(segment.last_id);
        }
        (turn, sizes)
    }

    #[rstest]
    fn the_largest_turn_fits_in_storage(
        #[values("one text", "all texts", "picture and text")] asked: &str,
        #[values("x", "\n", "\u{1}", "é", "😀", "\"some words, \\ and so on\"\n")] said: &str,
        #[values(true, false)] streamed: bool,
    ) {
        const ROOM: usize = crate::api::body::MAX_BODY_BYTES;
        let content = match asked {
            "one text" => serde_json::json!("\u{1}".repeat(100_000)),
            "all texts" => {
                let part = serde_json::json!({ "type": "text", "text": "\u{1}".repeat(100_000 / 16) });
                serde_json::json!(vec![part; 16])
            }
            _ => serde_json::json!([
                { "type": "text", "text": "\u{1}".repeat(100_000) },
                { "type": "image", "mime_type": "image/png", "data": "A".repeat((ROOM - 600_200) / 4 * 4) },
            ]),
        };
        let (turn, sizes) = large_turn(&content, said, streamed);
        assert!(sizes.iter().all(|size| *size < MOST_BYTES), "{sizes:?}");
        assert_eq!(turn.view().status, TurnStatus::Incomplete);
    }
}
