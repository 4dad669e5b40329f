//! The event at which a reader of a turn resumes, in the user object and at the origin, also after a crash.
//!
//! A reader with events that are not in the turn gets a `reset` to the turn's text and continues from there; one with every
//! event of an ended turn gets nothing more. The ids of an ended turn never change.

use std::borrow::Cow;

use super::{
    event::{self, Event, Reset},
    turn::TurnState,
};
use crate::api::{
    chat::{Turn, TurnStatus},
    internal::StoredTurn,
};

/// The place at which a reader resumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// The reader gets these bytes first (a `reset`, or none), then every event after this id.
    From(Vec<u8>, u64),
    /// The reader has everything, and nothing follows.
    Complete,
}

impl TurnState {
    /// Returns where a reader with every event up to `after` resumes. After a restart that interrupted the turn, a reader with
    /// lost text has ids before that of the turn's own `reset`.
    pub fn resume(&self, after: u64) -> Resume {
        let log = self.log();
        if self.is_closed() && after == log.last_id() {
            return Resume::Complete;
        }
        if after <= log.last_id() {
            return Resume::From(Vec::new(), after);
        }
        if self.record().reset_id.is_some() {
            // The turn's own `reset` is next.
            return Resume::From(Vec::new(), log.words_end());
        }
        let mut bytes = Vec::new();
        write_reset(&mut bytes, self.flushed_text(), log.words_end());
        Resume::From(bytes, log.words_end())
    }
}

/// Encodes the rest of a turn whose events are deleted, from the origin's stored turn, for a reader with every event up to
/// `after`; `None` when that is everything. The text is repeated as a `reset`, with the ids that the turn had.
pub fn stored_events(stored: &StoredTurn, after: u64) -> Option<Vec<u8>> {
    if after == stored.last_event_id {
        return None;
    }
    let mut out = Vec::new();
    let message = stored.messages.answer();
    let is_completed = message.status == TurnStatus::Completed;
    let words_end = stored.last_event_id.saturating_sub(1 + u64::from(is_completed)).max(1);
    let is_lost = after > stored.last_event_id;
    if after == 0 {
        let model = message.model.as_deref().unwrap_or_default();
        event::started(&stored.messages, model).write(&mut out, 1);
    }
    if is_lost || (after < words_end && words_end > 1) {
        write_reset(&mut out, &message.content, words_end);
    }
    if is_completed && (is_lost || after <= words_end) {
        Event::Message(message).write(&mut out, words_end + 1);
    }
    let end = event::terminal(message.turn_id, message, stored.error.as_ref(), stored.usage, true);
    end.write(&mut out, stored.last_event_id);
    Some(out)
}

fn write_reset(out: &mut Vec<u8>, text: &str, words_end: u64) {
    Event::Reset(Reset { text: Cow::Borrowed(text), last_event_id: words_end }).write(out, words_end);
}

/// Converts a stored turn to the API's.
pub fn stored_view(stored: StoredTurn) -> Turn {
    let StoredTurn { last_event_id, error, messages, created_at, finished_at, .. } = stored;
    let question = messages.question().map(|question| question.id);
    let answer = messages.answer().clone();
    Turn {
        id: answer.turn_id,
        conversation_id: answer.conversation_id,
        status: answer.status,
        model: answer.model.unwrap_or_default(),
        text: answer.content,
        last_event_id,
        user_message_id: question,
        assistant_message_id: answer.id,
        usage: answer.usage,
        error,
        persisted: true,
        created_at,
        finished_at: Some(finished_at),
    }
}

#[cfg(test)]
mod tests;
