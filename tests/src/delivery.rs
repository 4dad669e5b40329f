//! Finished turns as the Worker delivers them, for whoever speaks to the origin without a Worker.

use std::hash::{BuildHasher, RandomState};

use shared::{
    api::{
        chat::{FinishReason, Message, Part, Role, TurnStatus},
        internal::TurnDelivery,
        usage::Usage,
    },
    id::Id,
};

use crate::{client::Phone, clock::now};

/// An id that nobody has yet.
pub fn fresh_id() -> Id {
    let [a, b, c, d, e, f, g, h] = RandomState::new().hash_one(0_u8).to_be_bytes();
    Id::new(now(), [0, 0, a, b, c, d, e, f, g, h])
}

/// A turn of this user that went well just now: its two messages follow the one at `last_seq`.
pub fn delivery(
    phone: &Phone,
    conversation: Id,
    last_seq: u64,
    (question, answer): (&str, &str),
    usage: Usage,
) -> TurnDelivery {
    let (turn_id, at) = (fresh_id(), now());
    let user_message = Message {
        id: fresh_id(),
        conversation_id: conversation,
        turn_id,
        parent_id: None,
        seq: last_seq + 1,
        role: Role::User,
        content: question.to_owned(),
        parts: vec![Part::Text { text: question.to_owned() }],
        status: TurnStatus::Completed,
        finish_reason: None,
        model: None,
        usage: None,
        tool_calls: Vec::new(),
        created_at: at,
        updated_at: at,
    };
    let assistant_message = Message {
        id: fresh_id(),
        parent_id: Some(user_message.id),
        seq: last_seq + 2,
        role: Role::Assistant,
        content: answer.to_owned(),
        parts: vec![Part::Text { text: answer.to_owned() }],
        finish_reason: Some(FinishReason::Stop),
        model: Some("fast".to_owned()),
        usage: Some(usage),
        ..user_message.clone()
    };
    TurnDelivery {
        turn_id,
        user_id: phone.tokens.user.id,
        conversation_id: conversation,
        status: TurnStatus::Completed,
        model: "fast".to_owned(),
        error: None,
        user_message,
        assistant_message,
        usage,
        last_event_id: 5,
        created_at: at,
        finished_at: at,
    }
}
