//! A turn as clients and the origin see it.

use super::TurnState;
use crate::api::{
    chat::{SentMessage, Turn, TurnStatus},
    error::ApiError,
    internal::TurnDelivery,
};

impl TurnState {
    /// Returns the turn as clients see it: its text is that of its events.
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
            (Some(error), TurnStatus::Failed) => {
                let answered = self.failure.map_or_else(|| error.code.as_error().into(), ApiError::from);
                Err(ApiError { detail: error.detail.clone().into(), ..answered })
            }
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

    /// Returns the delivery to the origin; `None` while the turn runs. The terminal event is counted as if it were out already.
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
