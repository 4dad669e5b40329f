//! Events for the user object: what a change at the origin means at the edge.
//!
//! The origin puts them into the header [`USER_EVENTS`](crate::http::headers::USER_EVENTS) of its answer to a request of the
//! Worker's, as a JSON array; the front delivers them before the client gets that answer, and strips the header. What no request
//! of the Worker's caused, and every end of a session, is posted to [`EVENTS_PATH`] of the Worker, signed
//! ([`crate::auth::edge`]), until it is acknowledged. So an event may come twice, late and out of order: each names a state that
//! holds whenever it is read.

use serde::{Deserialize, Serialize};

use crate::{api::account::Plan, id::Id, time::Timestamp};

/// `POST` an [`EventBatch`] here, at the Worker.
pub const EVENTS_PATH: &str = "/internal/v1/events";
/// The most events of a batch: each may cost the front a call of its own.
pub const MAX_BATCH_EVENTS: usize = 20;
/// The largest batch, in bytes.
pub const MAX_BATCH_BYTES: usize = 32 * 1024;

/// A change at the origin that the user's object must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UserEvent {
    /// A conversation was changed: its cached context is wrong.
    ConversationChanged {
        /// The conversation.
        conversation_id: Id,
    },
    /// A conversation was deleted.
    ConversationDeleted {
        /// The conversation.
        conversation_id: Id,
    },
    /// A session has ended.
    SessionEnded {
        /// The session.
        session_id: Id,
    },
    /// All sessions that were open at the time of the event have ended, but for one.
    UserSessionsEnded {
        /// The session that goes on, if any.
        except: Option<Id>,
    },
    /// The user has another plan.
    PlanChanged {
        /// The plan.
        plan: Plan,
    },
    /// The user's account was deleted.
    UserDeleted,
    /// One of a newer origin. It is not acknowledged, and comes again to a version that knows it.
    #[serde(other)]
    Unknown,
}

/// An event with its addressee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressedEvent {
    /// The event's id.
    pub id: Id,
    /// The user that it is about.
    pub user_id: Id,
    /// The time of the change.
    pub at: Timestamp,
    /// The change.
    #[serde(flatten)]
    pub event: UserEvent,
}

/// Events that are posted together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBatch {
    /// At most [`MAX_BATCH_EVENTS`], of any users, in the order in which they are applied.
    pub events: Vec<AddressedEvent>,
}

/// The answer to a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventReceipt {
    /// The events that their user objects have stored. The others are to be sent again.
    pub acknowledged: Vec<Id>,
}

/// Sorts events by user; each user's stay in their order.
pub fn by_user(events: Vec<AddressedEvent>) -> Vec<(Id, Vec<AddressedEvent>)> {
    let mut users: Vec<(Id, Vec<AddressedEvent>)> = Vec::new();
    for event in events {
        match users.iter_mut().find(|(user, _)| *user == event.user_id) {
            Some((_, events)) => events.push(event),
            None => users.push((event.user_id, vec![event])),
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn id(n: u8) -> Id {
        Id::new(AT, [n; 10])
    }

    fn addressed(n: u8, user: u8, event: UserEvent) -> AddressedEvent {
        AddressedEvent { id: id(n), user_id: id(user), at: AT, event }
    }

    #[rstest]
    #[case(UserEvent::ConversationChanged { conversation_id: id(7) })]
    #[case(UserEvent::ConversationDeleted { conversation_id: id(7) })]
    #[case(UserEvent::SessionEnded { session_id: id(7) })]
    #[case(UserEvent::UserSessionsEnded { except: None })]
    #[case(UserEvent::UserSessionsEnded { except: Some(id(7)) })]
    #[case(UserEvent::PlanChanged { plan: Plan::Pro })]
    #[case(UserEvent::UserDeleted)]
    fn event_reads_back_and_fits_its_batch(#[case] event: UserEvent) {
        let batch = EventBatch { events: vec![addressed(1, 2, event); MAX_BATCH_EVENTS] };
        let json = serde_json::to_string(&batch).unwrap();
        assert!(json.len() < MAX_BATCH_BYTES, "{json}");
        assert!(json.is_ascii(), "it goes into a header");
        assert_eq!(serde_json::from_str::<EventBatch>(&json).unwrap(), batch);
    }

    #[test]
    fn event_of_newer_version_is_unknown_and_spoils_no_other() {
        let known = serde_json::to_value(addressed(1, 2, UserEvent::UserDeleted)).unwrap();
        let newer = json!({ "id": id(3), "user_id": id(2), "at": AT, "type": "face_changed", "face": [1] });
        let batch: EventBatch = serde_json::from_value(json!({ "events": [newer, known] })).unwrap();
        let events: Vec<_> = batch.events.iter().map(|event| event.event).collect();
        assert_eq!(events, [UserEvent::Unknown, UserEvent::UserDeleted]);
    }

    #[test]
    fn events_of_users_keep_their_order() {
        let event = |n, user| addressed(n, user, UserEvent::UserDeleted);
        let users = by_user(vec![event(1, 1), event(2, 2), event(3, 1)]);
        assert_eq!(users, [(id(1), vec![event(1, 1), event(3, 1)]), (id(2), vec![event(2, 2)])]);
    }
}
