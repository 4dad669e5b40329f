//! Events for user objects: kept until they are acknowledged, leased to one at a time.

use std::{collections::BTreeSet, sync::Arc};

use shared::{
    api::{
        account::{AccountEventKind, Plan},
        internal::user_event::{AddressedEvent, UserEvent},
    },
    id::Id,
};

use super::{Store, exchange, open, outcome, register};
use crate::store::{
    accounts::audit::AuditEvent,
    contract::{
        at_once,
        samples::{at, audit_event, id, session, user},
    },
};

fn event(number: u32, millis: i64, event: UserEvent) -> AddressedEvent {
    AddressedEvent { id: id(5_000 + number), user_id: id(1), at: at(millis), event }
}

/// The event of the audit trail beside this one.
fn noted(event: &AddressedEvent) -> AuditEvent {
    AuditEvent { id: event.id, ..audit_event(0, event.user_id, AccountEventKind::SessionEnded, event.at) }
}

/// The events that are due at this time, leased for a second.
async fn lease(store: &Store, millis: i64) -> Vec<AddressedEvent> {
    let leased = store.lease_events(at(millis), at(millis + 1_000), 20).await.unwrap();
    leased.into_iter().map(|leased| leased.event).collect()
}

pub(in crate::store::contract) async fn event_is_leased_as_appended_until_acknowledged(store: Store) {
    let events = [
        event(1, 0, UserEvent::ConversationChanged { conversation_id: id(7) }),
        event(2, 1, UserEvent::UserSessionsEnded { except: Some(id(8)) }),
        event(3, 2, UserEvent::PlanChanged { plan: Plan::Pro }),
        event(4, 3, UserEvent::UserDeleted),
    ];
    store.append_events(events.to_vec()).await.unwrap();
    store.append_events(events.to_vec()).await.unwrap();
    assert_eq!(lease(&store, -1).await, [], "none is due");
    assert_eq!(lease(&store, 1).await, events[..2]);
    assert_eq!(lease(&store, 3).await, events[2..], "the others are leased");
    store.acknowledge_events(vec![events[0].id, id(9)]).await.unwrap();
    assert_eq!(lease(&store, 1_003).await, events[1..], "leases are over");
    store.acknowledge_events(events.iter().map(|event| event.id).collect()).await.unwrap();
    assert_eq!(lease(&store, 9_000).await, []);
}

pub(in crate::store::contract) async fn event_is_due_when_postponed_to_and_counts_its_attempts(store: Store) {
    let event = event(1, 0, UserEvent::UserDeleted);
    store.append_events(vec![event]).await.unwrap();
    assert_eq!(store.lease_events(at(0), at(1_000), 20).await.unwrap()[0].attempts, 1);
    store.postpone_events(vec![(event.id, at(5_000)), (id(9), at(0))]).await.unwrap();
    assert_eq!(lease(&store, 4_999).await, []);
    let again = store.lease_events(at(5_000), at(6_000), 20).await.unwrap();
    assert_eq!((again[0].event, again[0].attempts), (event, 2));
}

pub(in crate::store::contract) async fn event_goes_to_one_of_many_at_once(store: Store) {
    let events: Vec<_> = (0..40).map(|number| event(number, 0, UserEvent::UserDeleted)).collect();
    store.append_events(events.clone()).await.unwrap();
    let leasing = at_once(16, |_| {
        let store = Arc::clone(&store);
        async move { store.lease_events(at(0), at(1_000), 5).await.unwrap() }
    });
    let leased: Vec<Id> = leasing.await.into_iter().flatten().map(|leased| leased.event.id).collect();
    let distinct: BTreeSet<_> = leased.iter().copied().collect();
    assert_eq!(distinct.len(), leased.len(), "one went to two");
    let mut rest = lease(&store, 0).await.len();
    rest += lease(&store, 0).await.len();
    assert_eq!(leased.len() + rest, events.len());
}

pub(in crate::store::contract) async fn ended_session_is_ended_once_with_its_event(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    let (session_id, session_event) = (id(1_001), UserEvent::SessionEnded { session_id: id(1_001) });
    let ended = event(1, 10, session_event);
    assert!(!store.end_session(id(2), session_id, ended, noted(&ended)).await.unwrap(), "somebody else's");
    assert!(store.end_session(id(1), session_id, ended, noted(&ended)).await.unwrap());
    let again = event(2, 20, session_event);
    assert!(!store.end_session(id(1), session_id, again, noted(&again)).await.unwrap(), "again");
    assert_eq!(store.session(id(1), session_id).await.unwrap().unwrap().ended_at, Some(at(10)));
    assert_eq!(lease(&store, 20).await, [ended]);
    assert_eq!(outcome(&store, exchange(1, 2, 30)).await.0, "ended");
}

pub(in crate::store::contract) async fn sessions_started_before_event_end_except_one(store: Store) {
    register(&store, 1).await;
    for (number, millis) in [(2, 0), (3, 5), (4, 11)] {
        let mut other = session(number, &user(1));
        other.created_at = at(millis);
        assert!(open(&store, other).await);
    }
    let all = event(1, 10, UserEvent::UserSessionsEnded { except: Some(id(1_003)) });
    assert_eq!(store.end_sessions(id(1), Some(id(1_003)), all, noted(&all)).await.unwrap(), 2);
    for (number, is_ended) in [(1_001, true), (1_002, true), (1_003, false), (1_004, false)] {
        let session = store.session(id(1), id(number)).await.unwrap().unwrap();
        assert_eq!(session.ended_at, is_ended.then_some(at(10)), "{number}");
    }
    assert_eq!(lease(&store, 10).await, [all]);
    let again = event(2, 10, UserEvent::UserSessionsEnded { except: Some(id(1_003)) });
    assert_eq!(store.end_sessions(id(1), Some(id(1_003)), again, noted(&again)).await.unwrap(), 0);
    assert_eq!(lease(&store, 10).await, [], "nothing has ended, and nothing is to be told");
}

pub(in crate::store::contract) async fn reuse_of_refresh_token_leaves_one_event(store: Store) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(1, 2, 0)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(2, 3, 1)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(1, 4, 2)).await.0, "reused");
    assert_eq!(outcome(&store, exchange(1, 4, 3)).await.0, "ended");
    let ended = UserEvent::SessionEnded { session_id: id(1_001) };
    let events: Vec<_> = lease(&store, 9).await.into_iter().map(|event| (event.at, event.event)).collect();
    assert_eq!(events, [(at(2), ended)]);
}

pub(in crate::store::contract) async fn plan_changes_with_its_event(store: Store) {
    register(&store, 1).await;
    let changed = event(1, 5, UserEvent::PlanChanged { plan: Plan::Basic });
    assert!(store.set_plan(id(1), Plan::Basic, changed).await.unwrap());
    assert_eq!(store.user(id(1)).await.unwrap().unwrap().plan, Plan::Basic);
    assert_eq!(lease(&store, 5).await, [changed]);
    let again = event(2, 6, UserEvent::PlanChanged { plan: Plan::Basic });
    assert!(store.set_plan(id(1), Plan::Basic, again).await.unwrap());
    assert_eq!(lease(&store, 6).await, [], "it has that plan");
    assert!(!store.set_plan(id(9), Plan::Basic, again).await.unwrap());
}
