//! The state machine of a turn: what happened goes in, events for its readers come out of its log.
//!
//! ```text
//! begin ─► running ─► end(completed | incomplete | cancelled | failed | interrupted) ─► close(persisted)
//! ```
//! `end` fixes what the turn says and cost; the record is then stored and delivered to the origin; `close` appends the
//! one terminal event, which tells whether the origin has it. Whatever comes after `end` changes nothing.

use std::borrow::Cow;

use super::{
    event::{self, Delta, Event, Reset},
    log::{EventLog, Restored},
    record::{self, TurnRecord},
};
use crate::{
    api::{
        chat::{
            FinishReason, Message, Part, Role, SentMessage, ToolCall, Turn, TurnCode, TurnError, TurnKind,
            TurnStatus, joined_text,
        },
        error::{ApiError, ErrorCode},
        internal::{TurnDelivery, TurnMessages},
        usage::Usage,
    },
    id::Id,
    provider::{ModelEvent, ProviderFailure, StreamEnd, completion::MAX_ANSWER_BYTES},
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
    /// What it does to the conversation.
    pub kind: TurnKind,
    /// The conversation's head before this turn.
    pub head_before: Option<Id>,
    /// The message that the first of this turn follows.
    pub parent_id: Option<Id>,
    /// What follows that message already, in order.
    pub siblings: Vec<Id>,
    /// The highest `seq` of the conversation before this turn.
    pub last_seq: u64,
    /// What comes before the answer, in order.
    pub input: Vec<Input>,
    /// The id of the answer.
    pub answer_id: Id,
    /// The model's alias.
    pub model: String,
    /// When it was taken on.
    pub created_at: Timestamp,
}

/// A message that is whole when its turn begins.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its id.
    pub id: Id,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part>,
    /// The tool calls that it has the results of.
    pub tool_calls: Vec<ToolCall>,
}

/// A turn in memory: its record and its events.
#[derive(Clone, Debug)]
pub struct TurnState {
    record: TurnRecord,
    log: EventLog,
    closed: bool,
    /// Bytes of the answer's text that its events have.
    flushed: usize,
    /// Bytes the answer may still take.
    room: usize,
    /// Whether the answer went on when there was no room left.
    too_long: bool,
    /// How the provider failed, for whoever waits for the answer. Not stored.
    failure: Option<ProviderFailure>,
}

/// How a turn comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnOutcome {
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
        let TurnSpec { turn_id, user_id, conversation_id, kind, head_before, model, created_at, .. } = spec;
        let mut parent_id = spec.parent_id;
        let mut others = spec.siblings;
        let mut seq = spec.last_seq;
        let mut next = |id: Id, role: Role, parts: Vec<Part>, tool_calls: Vec<ToolCall>| {
            seq += 1;
            let mut siblings = std::mem::take(&mut others);
            siblings.push(id);
            Message {
                id,
                conversation_id,
                turn_id,
                parent_id: parent_id.replace(id),
                siblings,
                seq,
                role,
                content: joined_text(&parts),
                parts,
                status: TurnStatus::Completed,
                finish_reason: None,
                model: None,
                usage: None,
                tool_calls,
                created_at,
                updated_at: created_at,
            }
        };
        let mut before = Vec::new();
        for Input { id, role, parts, tool_calls } in spec.input {
            before.push(next(id, role, parts, tool_calls));
        }
        let mut answer = next(spec.answer_id, Role::Assistant, Vec::new(), Vec::new());
        answer.status = TurnStatus::Running;
        answer.model = Some(model.clone());
        let messages = TurnMessages::with_answer(before, answer);
        let mut log = EventLog::default();
        log.push(&event::started(&messages, &model));
        let record = TurnRecord {
            turn_id,
            user_id,
            conversation_id,
            kind,
            head_before,
            messages,
            model,
            usage: Usage::default(),
            error: None,
            persisted: false,
            created_at,
            finished_at: None,
            reset_id: None,
        };
        Self {
            record,
            log,
            closed: false,
            flushed: 0,
            room: MAX_ANSWER_BYTES,
            too_long: false,
            failure: None,
        }
    }

    /// A turn as storage has it after a restart. One that was running is over: it ends as interrupted, with the text that
    /// was checkpointed, and must be stored and delivered like any that ends. From then on its words end where that
    /// checkpoint did, however often it is restored, and behind all ids that may have been given out a `reset` to them and
    /// the end follow.
    pub fn restore<'a>(
        record: TurnRecord,
        segments: impl IntoIterator<Item = (u64, &'a str)>,
        now: Timestamp,
    ) -> Self {
        let Restored { mut log, text, whole, closed } = EventLog::restore(segments);
        if log.last_id() == 0 {
            log.push(&event::started(&record.messages, &record.model));
        }
        // Not the status: a newer version may have named one that this one does not know.
        let running = record.finished_at.is_none();
        let flushed = if running { text.len() } else { record.messages.answer().content.len() };
        let mut turn = Self { record, log, closed, flushed, room: 0, too_long: false, failure: None };
        if running {
            turn.record.messages.answer_mut().content.clone_from(&text);
            turn.record.reset_id = Some(turn.log.reserved_end() + 1);
            turn.end(TurnOutcome::Interrupted, now);
        }
        match turn.record.messages.answer().status {
            TurnStatus::Interrupted => {
                turn.record.recover_answer(text);
                turn.flushed = turn.record.messages.answer().content.len();
                turn.push_reset();
            }
            TurnStatus::Completed if !whole => {
                turn.log.push(&Event::Message(turn.record.messages.answer()));
            }
            _ => {}
        }
        turn
    }

    fn push_reset(&mut self) {
        if let (Some(id), false) = (self.record.reset_id, self.closed) {
            let text = Cow::Borrowed(&*self.record.messages.answer().content);
            self.log.push_at(id, &Event::Reset(Reset { text, last_event_id: id }));
        }
    }

    /// What is stored of it.
    pub const fn record(&self) -> &TurnRecord {
        &self.record
    }

    /// Returns the record to store of a turn that has ended when storage does not take its own.
    pub fn record_without_answer(&self) -> TurnRecord {
        self.record.without_answer(self.log.reserved_end() + 1)
    }

    /// Its events.
    pub const fn log(&self) -> &EventLog {
        &self.log
    }

    /// Returns the bytes of memory it takes: its messages and its events.
    pub fn memory_bytes(&self) -> usize {
        let message = |message: &Message| message.content_bytes().saturating_add(message.content.len());
        let messages = self.record.messages.iter().map(message).fold(0, usize::saturating_add);
        messages.saturating_add(self.log.memory_bytes())
    }

    /// Storage has its events up to this id.
    pub fn mark_saved(&mut self, last_id: u64) {
        self.log.mark_saved(last_id);
    }

    /// Whether the model may still speak.
    pub const fn is_running(&self) -> bool {
        self.record.finished_at.is_none()
    }

    /// Returns whether it failed: it is no message of the day then.
    pub fn is_failed(&self) -> bool {
        self.record.messages.answer().status == TurnStatus::Failed
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

    /// Takes what the model says; its words are events once they are flushed. After the end it is dropped.
    pub fn apply(&mut self, said: ModelEvent) {
        if !self.is_running() {
            return;
        }
        match said {
            ModelEvent::TextDelta(text) => {
                let (fits, room) = record::fitting(&text, self.room);
                self.room = room;
                self.too_long |= fits.len() < text.len();
                self.record.messages.answer_mut().content.push_str(fits);
            }
            ModelEvent::Usage(usage) => self.record.usage = usage,
            ModelEvent::Finish(reason) => self.record.messages.answer_mut().finish_reason = Some(reason),
            // No tools are offered to the model, so it has none to call; why a prompt was blocked shows in the outcome.
            ModelEvent::ToolCall { .. } | ModelEvent::Refused(_) => {}
        }
    }

    /// Returns whether there are words that no event has.
    pub const fn has_unflushed(&self) -> bool {
        self.record.messages.answer().content.len() > self.flushed
    }

    /// Makes one event of the words that no event has.
    pub fn flush(&mut self) {
        let content = &self.record.messages.answer().content;
        if let Some(text) = content.get(self.flushed..).filter(|text| !text.is_empty()) {
            self.log.push(&Event::Delta(Delta { text: Cow::Borrowed(text) }));
            self.flushed = content.len();
        }
    }

    /// The text that its events have.
    pub fn flushed_text(&self) -> &str {
        self.record.messages.answer().content.get(..self.flushed).unwrap_or_default()
    }

    /// Ends the turn. Only the first outcome counts. A clock that was set back meanwhile does not let it end before it began.
    pub fn end(&mut self, outcome: TurnOutcome, now: Timestamp) {
        if !self.is_running() {
            return;
        }
        self.flush();
        let now = now.max(self.record.created_at);
        let outcome = match outcome {
            TurnOutcome::Answered(_) if self.too_long => TurnOutcome::Failed(ProviderFailure::TooLarge),
            outcome => outcome,
        };
        let (status, error) = self.status_of(outcome);
        if let TurnOutcome::Failed(failure) = outcome {
            self.failure = Some(failure);
        }
        let message = self.record.messages.answer_mut();
        message.status = status;
        // Where the model did not say why it stopped, or an answer has none that holds, there is no reason.
        let stopped = matches!(outcome, TurnOutcome::Answered(StreamEnd::Completed(_)));
        if !stopped || status == TurnStatus::Failed {
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
            self.log.push(&Event::Message(self.record.messages.answer()));
        }
    }

    /// The status of a turn with this outcome. One that failed has no answer; one that is incomplete has the words that came.
    fn status_of(&self, outcome: TurnOutcome) -> (TurnStatus, Option<TurnError>) {
        let error = |status, code| (status, Some(TurnError::new(code, None)));
        let failed = |code: ErrorCode| error(TurnStatus::Failed, code.into());
        let incomplete = |code| error(TurnStatus::Incomplete, code);
        let spoke = !self.record.messages.answer().content.is_empty();
        match outcome {
            TurnOutcome::Answered(StreamEnd::Completed(reason)) => match reason {
                FinishReason::ToolCalls => (TurnStatus::Completed, None),
                FinishReason::Stop if spoke => (TurnStatus::Completed, None),
                FinishReason::Length => incomplete(TurnCode::Length),
                FinishReason::ContentFilter if spoke => incomplete(TurnCode::Safety),
                FinishReason::Recitation if spoke => incomplete(TurnCode::Recitation),
                FinishReason::InvalidOutput if spoke => incomplete(TurnCode::InvalidOutput),
                FinishReason::ContentFilter | FinishReason::Recitation => failed(ErrorCode::ProviderRefused),
                _ if spoke => incomplete(ErrorCode::ProviderError.into()),
                _ => failed(ErrorCode::ProviderError),
            },
            TurnOutcome::Answered(StreamEnd::Refused) => failed(ErrorCode::ProviderRefused),
            TurnOutcome::Answered(StreamEnd::Incomplete)
            | TurnOutcome::Failed(ProviderFailure::Disconnected)
                if spoke =>
            {
                incomplete(TurnCode::ProviderDisconnected)
            }
            TurnOutcome::Answered(StreamEnd::Incomplete) => failed(ErrorCode::ProviderError),
            TurnOutcome::Failed(failure) if spoke => incomplete(failure.code().into()),
            TurnOutcome::Failed(failure) => failed(failure.code()),
            TurnOutcome::Cancelled => (TurnStatus::Cancelled, None),
            TurnOutcome::Interrupted => (TurnStatus::Interrupted, None),
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
        let message = record.messages.answer();
        self.log.push(&event::terminal(
            record.turn_id,
            message,
            record.error.as_ref(),
            record.usage,
            record.persisted,
        ));
        self.closed = true;
    }

    /// The turn as clients see it: its text is that of its events.
    pub fn view(&self) -> Turn {
        let record = &self.record;
        let message = record.messages.answer();
        Turn {
            id: record.turn_id,
            conversation_id: record.conversation_id,
            status: message.status,
            model: record.model.clone(),
            text: self.flushed_text().to_owned(),
            last_event_id: self.log.last_id(),
            user_message_id: record.messages.question().map(|question| question.id),
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
        match (&record.error, record.messages.answer().status) {
            (Some(error), TurnStatus::Failed) => Err(match self.failure {
                Some(failure) => failure.into(),
                None => ApiError::new(error.code.as_error(), error.detail.clone()),
            }),
            (_, status) => Ok(SentMessage {
                turn_id: record.turn_id,
                status,
                user_message: record.messages.question().cloned(),
                assistant_message: record.messages.answer().clone(),
                usage: record.messages.answer().usage,
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
            conversation_id: record.conversation_id,
            kind: record.kind,
            status: record.messages.answer().status,
            model: record.model.clone(),
            error: record.error.clone(),
            head_before: record.head_before,
            head_id: record.messages.answer().id,
            messages: record.messages.clone(),
            usage: record.usage,
            last_event_id: self.log.last_id() + u64::from(!self.closed),
            created_at: record.created_at,
            finished_at,
        })
    }
}

#[cfg(test)]
mod tests;
