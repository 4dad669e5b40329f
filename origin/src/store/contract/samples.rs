//! Values for the suites: every field set to something of its own.

use shared::{
    api::{
        account::{AccountEventKind, Plan, Platform, User},
        chat::{Conversation, FinishReason, Message, Part, Role, TurnKind, TurnStatus},
        internal::{TurnDelivery, TurnMessages},
        usage::Usage,
    },
    id::Id,
    time::Timestamp,
};

use crate::store::{
    accounts::{
        audit::AuditEvent,
        jobs::NewJob,
        sessions::{NewSession, ReuseJob, SessionOfUser, TokenHash},
    },
    chats::Updated,
};

/// A time with milliseconds that are no round number.
pub(in crate::store) const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);

/// An id; the same number is the same id.
pub(in crate::store) fn id(number: u32) -> Id {
    let [a, b, c, d] = number.to_be_bytes();
    Id::new(START, [0, 0, 0, 0, 0, 0, a, b, c, d])
}

/// A time so many milliseconds after [`START`].
pub(in crate::store) fn at(millis: i64) -> Timestamp {
    START.plus_millis(millis)
}

pub(in crate::store) fn hash(number: u8) -> TokenHash {
    [number; 32]
}

pub(in crate::store) fn user(number: u32) -> User {
    User {
        id: id(number),
        email: Some(format!("user{number}@example.com")),
        email_verified: false,
        phone: None,
        phone_verified: false,
        display_name: Some("Ada Løvelace 🦀".to_owned()),
        avatar_url: None,
        locale: Some("de-CH".to_owned()),
        timezone: Some("Europe/Zurich".to_owned()),
        plan: Plan::Pro,
        created_at: START,
        guest: false,
    }
}

/// A session of a user, with the refresh token `hash(number)`.
pub(in crate::store) fn session(number: u8, user: &User) -> NewSession {
    NewSession {
        id: id(1_000 + u32::from(number)),
        user_id: user.id,
        device_name: Some("Phone".to_owned()),
        platform: Some(Platform::Android),
        ip: Some("203.0.113.7".to_owned()),
        network: Some("203.0.113.0/24".to_owned()),
        created_at: START,
        expires_at: at(1_000_000),
        refresh_hash: hash(number),
        refresh_expires_at: at(500_000),
        cancellation_id: id(4_000 + u32::from(number)),
    }
}

/// An event of a user's account, of request `number`.
pub(in crate::store) fn audit_event(
    number: u32,
    user_id: Id,
    kind: AccountEventKind,
    at: Timestamp,
) -> AuditEvent {
    AuditEvent {
        id: id(8_000_000 + number),
        user_id,
        at,
        kind,
        session_id: None,
        ip: Some("203.0.113.7".to_owned()),
        device_name: None,
        request_id: Some(format!("request-{number}")),
    }
}

/// The event that this session begins.
pub(in crate::store) fn opening_event(session: &NewSession) -> AuditEvent {
    AuditEvent {
        id: session.id,
        session_id: Some(session.id),
        device_name: session.device_name.clone(),
        ip: session.ip.clone(),
        ..audit_event(0, session.user_id, AccountEventKind::SignedIn, session.created_at)
    }
}

/// A job of kind `reuse`, which names the session.
pub(in crate::store) fn reuse_job(number: u32) -> ReuseJob {
    fn make(id: Id, session: &SessionOfUser, now: Timestamp) -> NewJob {
        NewJob { id, kind: "reuse", key: None, payload: session.id.to_string(), due_at: now }
    }
    ReuseJob { id: id(number), make }
}

pub(in crate::store) fn conversation(number: u32, created_at: Timestamp) -> Conversation {
    Conversation {
        id: id(number),
        title: Some(format!("Conversation {number} ✓")),
        model: Some("fast".to_owned()),
        system: Some("Be brief.\nBe kind.".to_owned()),
        pinned: false,
        archived: false,
        head_id: None,
        message_count: 0,
        last_message_preview: None,
        last_message_at: None,
        created_at,
        updated_at: created_at,
        messages_deleted_at: None,
        deleted_at: None,
    }
}

/// Turn `number` of a conversation, which follows turn `number - 1`: messages `10 × number` and `10 × number + 1`, at `seq` and
/// `seq + 1`.
pub(in crate::store) fn delivery(user_id: Id, conversation_id: Id, number: u32, seq: u64) -> TurnDelivery {
    let before = number.checked_sub(1).filter(|before| *before > 0).map(|before| id(10 * before + 1));
    delivery_after(before, user_id, conversation_id, number, seq)
}

/// The same, which follows this message.
pub(in crate::store) fn delivery_after(
    parent_id: Option<Id>,
    user_id: Id,
    conversation_id: Id,
    number: u32,
    seq: u64,
) -> TurnDelivery {
    let taken_on = at(i64::from(number) * 1_000);
    let question = format!("question {number}");
    let user_message = Message {
        id: id(10 * number),
        conversation_id,
        turn_id: id(100_000 + number),
        parent_id,
        siblings: vec![id(10 * number)],
        seq,
        role: Role::User,
        content: question.clone(),
        parts: vec![Part::Text { text: question }],
        status: TurnStatus::Completed,
        finish_reason: None,
        model: None,
        usage: None,
        tool_calls: Vec::new(),
        created_at: taken_on,
        updated_at: taken_on,
    };
    let usage = Usage {
        input_tokens: 11,
        output_tokens: 22,
        cached_tokens: 3,
        reasoning_tokens: 4,
        total_tokens: 37,
        estimated: true,
    };
    let answer = format!("answer {number}");
    let assistant_message = Message {
        id: id(10 * number + 1),
        parent_id: Some(user_message.id),
        siblings: vec![id(10 * number + 1)],
        seq: seq + 1,
        role: Role::Assistant,
        content: answer.clone(),
        parts: vec![Part::Text { text: answer }],
        finish_reason: Some(FinishReason::Stop),
        model: Some("fast".to_owned()),
        usage: Some(usage),
        created_at: taken_on.plus_millis(1),
        updated_at: taken_on.plus_millis(500),
        ..user_message.clone()
    };
    TurnDelivery {
        turn_id: user_message.turn_id,
        user_id,
        conversation_id,
        kind: TurnKind::Reply,
        status: TurnStatus::Completed,
        model: "fast".to_owned(),
        error: None,
        head_before: parent_id,
        head_id: assistant_message.id,
        messages: TurnMessages::new(vec![user_message, assistant_message]).unwrap(),
        usage,
        last_event_id: 17,
        created_at: taken_on,
        finished_at: taken_on.plus_millis(500),
    }
}

/// The same turn with a picture of so many bytes in its question.
pub(in crate::store) fn pictured(mut turn: TurnDelivery, bytes: usize) -> TurnDelivery {
    question_of(&mut turn).parts.push(picture(bytes));
    turn
}

/// The first message of a turn.
pub(in crate::store) fn question_of(turn: &mut TurnDelivery) -> &mut Message {
    turn.messages.iter_mut().next().unwrap()
}

/// The conversation after an update; `None` where there is none to update.
pub(in crate::store) fn updated(outcome: Updated) -> Option<Conversation> {
    match outcome {
        Updated::Now(conversation) => Some(*conversation),
        Updated::Absent => None,
        Updated::UnknownHead => panic!("an update of a head that is no message"),
    }
}

/// A picture of so many bytes.
pub(in crate::store) fn picture(bytes: usize) -> Part {
    Part::Image { mime_type: Some("image/png".to_owned()), data: Some("A".repeat(bytes)), file_id: None }
}

/// The job that is scheduled with a registration, at its session's begin.
pub(in crate::store) fn registration_job(session: &NewSession) -> NewJob {
    NewJob {
        id: session.id,
        kind: "registration",
        key: None,
        payload: "{}".to_owned(),
        due_at: session.created_at,
    }
}
