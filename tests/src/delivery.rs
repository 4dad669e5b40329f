//! Finished turns as the Worker delivers them, for tests of the origin without a Worker.

use std::hash::{BuildHasher, RandomState};

use shared::{
    api::{
        chat::{FinishReason, Message, Part, Role, TurnKind, TurnStatus},
        internal::{TurnDelivery, TurnMessages},
        usage::Usage,
    },
    id::Id,
};

use crate::{client::Phone, clock::now};

/// Returns a new id.
pub fn fresh_id() -> Id {
    let [a, b, c, d, e, f, g, h] = RandomState::new().hash_one(0_u8).to_be_bytes();
    Id::new(now(), [0, 0, a, b, c, d, e, f, g, h])
}

/// Returns the id of the message with this `seq`, from 1 on, among those that are delivered here.
pub fn message_id(conversation: Id, seq: u64) -> Id {
    let mut bytes = *conversation.as_bytes();
    for (byte, of_seq) in bytes.iter_mut().rev().zip(seq.to_le_bytes()).take(6) {
        *byte ^= of_seq;
    }
    Id::from_bytes(bytes)
}

/// Builds a turn of this user that has just completed: its two messages follow the one at `last_seq`.
///
/// # Panics
/// Never panics: two messages make a valid turn.
pub fn delivery(
    phone: &Phone,
    conversation: Id,
    last_seq: u64,
    (question, answer): (&str, &str),
    usage: Usage,
) -> TurnDelivery {
    let (turn_id, at) = (fresh_id(), now());
    let parent_id = (last_seq > 0).then(|| message_id(conversation, last_seq));
    let (question_id, answer_id) =
        (message_id(conversation, last_seq + 1), message_id(conversation, last_seq + 2));
    let user_message = Message {
        id: question_id,
        conversation_id: conversation,
        turn_id,
        parent_id,
        siblings: vec![question_id],
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
        id: answer_id,
        parent_id: Some(user_message.id),
        siblings: vec![answer_id],
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
        kind: TurnKind::Reply,
        status: TurnStatus::Completed,
        model: "fast".to_owned(),
        error: None,
        head_before: parent_id,
        head_id: answer_id,
        messages: TurnMessages::new(vec![user_message, assistant_message]).expect("two messages"),
        usage,
        last_event_id: 5,
        created_at: at,
        finished_at: at,
    }
}
