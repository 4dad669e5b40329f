//! Suspended users.

use std::sync::Arc;

use shared::{
    address::Address,
    api::{
        account::AccountEventKind,
        internal::user_event::{AddressedEvent, UserEvent},
    },
};

use super::{Store, exchange, open, outcome, register};
use crate::store::{
    accounts::{password_resets::NewPasswordReset, sessions::NewSession, suspensions::SuspensionOutcome},
    contract::{
        at_once,
        samples::{at, audit_event, hash, id, session, user},
    },
};

fn end_event(millis: i64) -> AddressedEvent {
    AddressedEvent {
        id: id(70_001),
        user_id: id(1),
        at: at(millis),
        event: UserEvent::UserSessionsEnded { except: None },
    }
}

async fn suspend(store: &Store, millis: i64) -> SuspensionOutcome {
    let audit = audit_event(1, id(1), AccountEventKind::Suspended, at(millis));
    store.suspend(id(1), end_event(millis), audit).await.unwrap()
}

async fn resume(store: &Store, millis: i64) -> SuspensionOutcome {
    let audit = audit_event(2, id(1), AccountEventKind::Resumed, at(millis));
    store.resume(id(1), audit).await.unwrap()
}

pub(in crate::store::contract) async fn suspension_ends_sessions_and_is_noted_once(store: Store) {
    assert_eq!(suspend(&store, 1_000).await, SuspensionOutcome::NoUser);
    assert_eq!(resume(&store, 1_000).await, SuspensionOutcome::NoUser);
    register(&store, 1).await;
    register(&store, 2).await;
    assert_eq!(resume(&store, 1_000).await, SuspensionOutcome::Unchanged);
    assert_eq!(suspend(&store, 1_000).await, SuspensionOutcome::Changed);
    assert_eq!(suspend(&store, 2_000).await, SuspensionOutcome::Unchanged);
    let ended = store.session(id(1), id(1_001)).await.unwrap().unwrap();
    assert_eq!(ended.ended_at, Some(at(1_000)));
    assert_eq!(outcome(&store, exchange(1, 20, 3_000)).await.0, "ended");
    assert_eq!(store.session(id(2), id(1_002)).await.unwrap().unwrap().ended_at, None);
    let events = store.lease_events(at(4_000), at(5_000), 10).await.unwrap();
    assert_eq!(events.into_iter().map(|leased| leased.event).collect::<Vec<_>>(), [end_event(1_000)]);
    assert_eq!(resume(&store, 3_000).await, SuspensionOutcome::Changed);
    let noted = store.audit_events(id(1), None, 10).await.unwrap();
    let kinds: Vec<_> = noted.iter().map(|event| event.kind.as_str().to_owned()).collect();
    assert_eq!(kinds[..2], ["resumed", "suspended"]);
    assert_eq!(store.session(id(1), id(1_001)).await.unwrap().unwrap().ended_at, Some(at(1_000)));
}

pub(in crate::store::contract) async fn suspended_user_gets_no_session_and_no_permission(store: Store) {
    register(&store, 1).await;
    let email = "user1@example.com".to_owned();
    let reset = |number: u8| NewPasswordReset {
        token_hash: hash(number),
        user_id: id(1),
        address: Address::Email(email.clone()),
        expires_at: at(1_000_000),
    };
    assert!(store.create_password_reset(reset(50)).await.unwrap());
    store.link_identity(super::identities::link(1, "a", None)).await.unwrap();
    suspend(&store, 1_000).await;
    let by_identity = super::identities::sign_in("a", None, 32, 2_000);
    let sign_in = super::addresses::sign_in(Address::Email(email.clone()), 31, 2_000);
    for is_suspended in [true, false] {
        let known = store.credential(email.clone(), None).await.unwrap().unwrap();
        assert_eq!(known.is_suspended, is_suspended);
        let may = !is_suspended;
        assert_eq!(open(&store, session(3, &user(1))).await, may);
        assert_eq!(store.password_reset_user(hash(50), at(2_000)).await.unwrap().is_some(), may);
        assert_eq!(store.create_password_reset(reset(51)).await.unwrap(), may);
        let signed_in = store.sign_in_by_identity(by_identity.clone()).await.unwrap();
        assert_eq!(signed_in.map(|signed_in| signed_in.user.id), may.then_some(id(1)));
        let signed_in = store.sign_in_by_address(sign_in.clone()).await.unwrap();
        assert_eq!(signed_in.map(|signed_in| signed_in.user.id), may.then_some(id(1)));
        resume(&store, 3_000).await;
    }
}

pub(in crate::store::contract) async fn no_session_that_begins_during_suspension_stays_open(store: Store) {
    register(&store, 1).await;
    at_once(16, |index| {
        let store = Arc::clone(&store);
        async move {
            if index == 7 {
                suspend(&store, 10_000).await;
            } else {
                let number = u8::try_from(index).unwrap() + 40;
                open(&store, NewSession { created_at: at(15_000), ..session(number, &user(1)) }).await;
            }
        }
    })
    .await;
    for number in 40..56 {
        let opened = store.session(id(1), id(1_000 + number)).await.unwrap();
        assert!(opened.is_none_or(|session| session.ended_at.is_some()), "{number}");
    }
}
