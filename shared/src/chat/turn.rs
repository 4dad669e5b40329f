//! The state machine of a turn: what happened goes in, events for its readers come out of its log.
//!
//! ```text
//! begin ─► running ─► end(completed | incomplete | cancelled | failed | interrupted) ─► close(persisted)
//! ```
//! `end` fixes what the turn says and cost; the record is then stored and delivered to the origin; `close` appends the
//! one terminal event, which tells whether the origin has it. Whatever comes after `end` changes nothing.
//!
//! - `spec`: a turn that is taken on
//! - `outcome`: the end of a turn
//! - `views`: a turn as clients and the origin see it

mod outcome;
mod spec;
mod views;

use std::borrow::Cow;

pub use self::{
    outcome::TurnOutcome,
    spec::{Input, TurnSpec},
};

use super::{
    event::{self, Delta, Event, Reset},
    log::{EventLog, Restored},
    record::{self, TurnRecord},
};
use crate::{
    api::chat::{Message, Part, TurnStatus},
    provider::{ModelEvent, ProviderFailure, StreamEnd, completion::MAX_ANSWER_BYTES, estimate},
    telemetry::TraceContext,
    time::Timestamp,
};

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
    /// True when the answer went on after there was no room left.
    too_long: bool,
    /// The provider's failure, for whoever waits for the answer. Not stored.
    failure: Option<ProviderFailure>,
    /// Bytes of the answer's text at the provider's last count of tokens; `None` before the first. Not stored: after a restart the
    /// tokens are estimated.
    counted: Option<usize>,
}

impl TurnState {
    /// Takes a turn on: it is running, and `turn.started` is its first event.
    pub fn begin(spec: TurnSpec) -> Self {
        let record = spec.into_record();
        let mut log = EventLog::default();
        log.push(&event::started(&record.messages, &record.model));
        Self {
            record,
            log,
            closed: false,
            flushed: 0,
            room: MAX_ANSWER_BYTES,
            too_long: false,
            failure: None,
            counted: None,
        }
    }

    /// Returns the same with the request that began it, in its trace.
    #[must_use]
    pub fn with_trace(mut self, trace: Option<TraceContext>) -> Self {
        self.record.trace = trace;
        self
    }

    /// Returns the same with about the tokens of its prompt, for the case that the provider does not count them.
    #[must_use]
    pub const fn with_prompt_tokens(mut self, prompt_tokens: u64) -> Self {
        self.record.prompt_tokens = prompt_tokens;
        self
    }

    /// Restores a turn from storage after a restart. One that was running is over: it ends as interrupted, with the text that
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
        let mut turn =
            Self { record, log, closed, flushed, room: 0, too_long: false, failure: None, counted: None };
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

    /// Returns the record to store of it.
    pub const fn record(&self) -> &TurnRecord {
        &self.record
    }

    /// Returns the record to store of a turn that has ended when storage does not take its own.
    pub fn record_without_answer(&self) -> TurnRecord {
        self.record.without_answer(self.log.reserved_end() + 1)
    }

    /// Returns its events.
    pub const fn log(&self) -> &EventLog {
        &self.log
    }

    /// Returns the bytes of memory it takes: its messages and its events.
    pub fn memory_bytes(&self) -> usize {
        let message = |message: &Message| message.content_bytes().saturating_add(message.content.len());
        let messages = self.record.messages.iter().map(message).fold(0, usize::saturating_add);
        messages.saturating_add(self.log.memory_bytes())
    }

    /// Notes that storage has its events up to this id.
    pub fn mark_saved(&mut self, last_id: u64) {
        self.log.mark_saved(last_id);
    }

    /// Returns whether the model may still speak.
    pub const fn is_running(&self) -> bool {
        self.record.finished_at.is_none()
    }

    /// Returns whether it failed: it is no message of the day then.
    pub fn is_failed(&self) -> bool {
        self.record.messages.answer().status == TurnStatus::Failed
    }

    /// Returns whether the answer is longer than [`MAX_ANSWER_BYTES`]: what is over was dropped, and the turn ends as one whose
    /// provider failed.
    pub const fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Returns whether its terminal event is out: readers are done.
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
            ModelEvent::Usage(usage) => {
                self.record.usage = usage;
                self.counted = Some(self.record.messages.answer().content.len());
            }
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

    /// Returns the text that its events have.
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
        let spoke = !self.record.messages.answer().content.is_empty();
        let (status, error) = outcome.status(spoke);
        if let TurnOutcome::Failed(failure) = outcome {
            self.failure = Some(failure);
        }
        self.complete_usage(outcome, status);
        let message = self.record.messages.answer_mut();
        message.status = status;
        // A turn without an answer has no reason why its answer stopped.
        message.finish_reason = outcome.finish_reason().filter(|_| status != TurnStatus::Failed);
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

    /// Estimates the tokens that the provider did not count. What a call that failed cost is only what the provider said: one that it
    /// refuses costs nothing. The last count of an answer that it finished is whole, wherever it stands.
    fn complete_usage(&mut self, outcome: TurnOutcome, status: TurnStatus) {
        let is_finished = matches!(outcome, TurnOutcome::Answered(StreamEnd::Completed(_)));
        if status == TurnStatus::Failed || (is_finished && self.counted.is_some()) {
            return;
        }
        let said = self.counted.map(|_| self.record.usage);
        let content = &self.record.messages.answer().content;
        let uncounted = content.get(self.counted.unwrap_or(0)..).unwrap_or_default();
        self.record.usage = estimate::complete(said, self.record.prompt_tokens, uncounted);
    }

    /// Notes that the origin has it.
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
}

#[cfg(test)]
mod tests;
