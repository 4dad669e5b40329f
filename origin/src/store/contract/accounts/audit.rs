//! The audit trail: events that stand alone, and those of other writes.

use std::sync::Arc;

use shared::{
    api::{
        account::AccountEventKind,
        internal::user_event::{AddressedEvent, UserEvent},
    },
    id::Id,
};

use super::{
    Store, addresses, credentials, exchange, open, outcome, password_resets, register, try_register,
};
use crate::store::{
    accounts::{
        TimePosition, addresses::AddressChangeOutcome, audit::AuditEvent, sessions::SessionsPage,
        users::Registration,
    },
    contract::{
        at_once,
        samples::{at, audit_event, id, opening_event, session, user},
    },
};

fn failed(number: u32, millis: i64) -> AuditEvent {
    audit_event(number, id(1), AccountEventKind::SignInFailed, at(millis))
}

/// All events of a user, newest first.
async fn trail(store: &Store, number: u32) -> Vec<AuditEvent> {
    store.audit_events(id(number), None, 100).await.unwrap()
}

async fn kinds(store: &Store, number: u32) -> Vec<String> {
    trail(store, number).await.iter().map(|event| event.kind.as_str().to_owned()).collect()
}

pub(in crate::store::contract) async fn events_are_listed_from_the_newest(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    let first = trail(&store, 1).await;
    assert_eq!(first, [opening_event(&session(1, &user(1)))]);
    // 2 and 3 in the same millisecond, 4 noted late.
    let events = [failed(1, 10), failed(2, 20), failed(3, 20), failed(4, 15)];
    for event in events.clone() {
        store.append_audit_event(event).await.unwrap();
    }
    let [one, two, three, four] = events;
    let expected = [three, two, four, one, first[0].clone()];
    assert_eq!(trail(&store, 1).await, expected);
    let (mut after, mut paged): (Option<TimePosition>, Vec<_>) = (None, Vec::new());
    for length in [2, 2, 1, 0] {
        let page = store.audit_events(id(1), after, 2).await.unwrap();
        assert_eq!(page.len(), length);
        after = page.last().map(AuditEvent::position).or(after);
        paged.extend(page);
    }
    assert_eq!(paged, expected);
    assert_eq!(trail(&store, 2).await.len(), 1);
    assert_eq!(trail(&store, 9).await, []);
}

pub(in crate::store::contract) async fn event_is_noted_once_for_a_user_who_is_there(store: Store) {
    register(&store, 1).await;
    at_once(8, |_| {
        let store = Arc::clone(&store);
        async move { store.append_audit_event(failed(1, 10)).await.unwrap() }
    })
    .await;
    let nobodys = audit_event(2, id(9), AccountEventKind::SignInFailed, at(10));
    store.append_audit_event(nobodys).await.unwrap();
    assert_eq!(kinds(&store, 1).await, ["sign_in_failed", "signed_in"]);
    assert_eq!(kinds(&store, 9).await, [""; 0]);
}

pub(in crate::store::contract) async fn event_has_the_name_of_its_session(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    let named = |number, session: u32, name: Option<&str>| AuditEvent {
        session_id: Some(id(session)),
        device_name: name.map(str::to_owned),
        ..failed(number, i64::from(number))
    };
    for event in [
        named(1, 1_001, None),
        named(2, 1_001, Some("Watch")),
        named(3, 1_002, None),
        AuditEvent { ip: None, request_id: None, ..failed(4, 4) },
    ] {
        store.append_audit_event(event).await.unwrap();
    }
    let trail = trail(&store, 1).await;
    let names: Vec<_> = trail.iter().map(|event| event.device_name.as_deref()).collect();
    // Session 1002 is somebody else's.
    assert_eq!(names, [None, None, Some("Watch"), Some("Phone"), Some("Phone")]);
    assert_eq!((&trail[0].ip, &trail[0].request_id), (&None, &None));
    assert_eq!(trail[2].session_id, Some(id(1_001)));
}

pub(in crate::store::contract) async fn writes_note_their_events_once(store: Store) {
    register(&store, 1).await;
    for _ in 0..2 {
        let registered = try_register(&store, user(1), "phc", session(1, &user(1))).await.unwrap();
        assert_eq!(registered, Registration::Created);
        assert!(open(&store, session(2, &user(1))).await);
    }
    let taken = user(1).email;
    let other = shared::api::account::User { email: taken, ..user(3) };
    let refused = try_register(&store, other.clone(), "phc", session(3, &other)).await.unwrap();
    assert_eq!((refused, kinds(&store, 3).await.len()), (Registration::EmailTaken, 0));
    assert_eq!(kinds(&store, 1).await, ["signed_in", "signed_in"]);

    let event =
        |number, millis, event| AddressedEvent { id: id(number), user_id: id(1), at: at(millis), event };
    let end = async |number: u32, session_id: Id, millis| {
        let ended = event(number, millis, UserEvent::SessionEnded { session_id });
        let audit = AuditEvent {
            session_id: Some(session_id),
            ..audit_event(number, id(1), AccountEventKind::SessionEnded, at(millis))
        };
        store.end_session(id(1), session_id, ended, audit).await.unwrap()
    };
    assert!(end(1, id(1_002), 10).await && end(1, id(1_002), 10).await);
    assert!(!end(2, id(1_002), 11).await && !end(3, id(9_999), 11).await);
    let end_all = async |number, millis| {
        let ended = event(number, millis, UserEvent::UserSessionsEnded { except: None });
        let audit = audit_event(number, id(1), AccountEventKind::SessionsEnded, at(millis));
        store.end_sessions(id(1), None, ended, audit).await.unwrap()
    };
    assert_eq!((end_all(4, 20).await, end_all(5, 21).await), (1, 0));
    assert_eq!(kinds(&store, 1).await, ["sessions_ended", "session_ended", "signed_in", "signed_in"]);
    let ended = &trail(&store, 1).await[1];
    assert_eq!((ended.session_id, ended.device_name.as_deref()), (Some(id(1_002)), Some("Phone")));
}

pub(in crate::store::contract) async fn reuse_of_refresh_token_is_noted(store: Store) {
    register(&store, 1).await;
    for (token, successor, millis, expected) in [
        (1, 2, 1_000, "exchanged"),
        (2, 3, 1_001, "exchanged"),
        (1, 2, 1_002, "reused"),
        (1, 2, 1_003, "ended"),
    ] {
        assert_eq!(outcome(&store, exchange(token, successor, millis)).await.0, expected);
    }
    let trail = trail(&store, 1).await;
    assert_eq!(trail.len(), 2);
    let expected = AuditEvent {
        device_name: Some("Phone".to_owned()),
        ..exchange(1, 2, 1_002).audit_event(id(1), id(1_001))
    };
    assert_eq!(trail[0], expected);
}

pub(in crate::store::contract) async fn changes_of_password_and_address_are_noted_once(store: Store) {
    register(&store, 1).await;
    for _ in 0..2 {
        assert!(store.change_password(credentials::change("phc", "new", 500)).await.unwrap());
        let changed = store.change_address(addresses::change(addresses::phone(), 1, true)).await.unwrap();
        assert!(matches!(changed, AddressChangeOutcome::Changed(_)), "{changed:?}");
    }
    assert!(!store.change_password(credentials::change("phc", "newer", 600)).await.unwrap());
    assert!(store.create_password_reset(password_resets::permission(7, 1)).await.unwrap());
    let used = [
        store.reset_password(password_resets::reset(7, 1, 2_000)).await.unwrap(),
        store.reset_password(password_resets::reset(7, 1, 2_000)).await.unwrap(),
    ];
    assert_eq!(used, [true, false]);
    let expected = ["password_reset", "phone_changed", "password_changed", "signed_in"];
    assert_eq!(kinds(&store, 1).await, expected);
}

pub(in crate::store::contract) async fn sign_ins_by_address_are_noted_once(store: Store) {
    for number in [31, 31, 32, 32] {
        let sign_in = addresses::sign_in(addresses::phone(), number, i64::from(number));
        store.sign_in_by_address(sign_in).await.unwrap().unwrap();
    }
    assert_eq!(kinds(&store, 31).await, ["signed_in", "signed_up"]);
    let listed = store.audit_events(id(31), None, 10).await.unwrap();
    let sessions: Vec<_> = listed.iter().map(|event| event.session_id).collect();
    assert_eq!(sessions, [Some(id(1_032)), Some(id(1_031))]);
    let page = SessionsPage { now: at(40), unused_since: at(0), after: None, limit: 10 };
    let sessions = store.sessions(id(31), page).await.unwrap();
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| session.platform.is_some() && session.ip.is_some()));
}

pub(in crate::store::contract) async fn old_events_are_forgotten_and_no_others(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    for number in 1..=6 {
        store.append_audit_event(failed(number, i64::from(number) * 10)).await.unwrap();
    }
    // The two first are of the sign-ups.
    assert_eq!(store.forget_audit_events(at(40), 3).await.unwrap(), 3);
    assert_eq!(trail(&store, 1).await.len() + trail(&store, 2).await.len(), 5);
    let gone = at_once(8, |_| {
        let store = Arc::clone(&store);
        async move { store.forget_audit_events(at(40), 1).await.unwrap() }
    })
    .await;
    assert_eq!(gone.iter().sum::<u64>() + store.forget_audit_events(at(40), 10).await.unwrap(), 2);
    assert_eq!(trail(&store, 1).await, [failed(6, 60), failed(5, 50), failed(4, 40)]);
}

pub(in crate::store::contract) async fn event_of_a_newer_version_is_kept(store: Store) {
    register(&store, 1).await;
    let kind = AccountEventKind::parse("password_changed").unwrap();
    let newer = audit_event(1, id(1), kind, at(10));
    store.append_audit_event(newer.clone()).await.unwrap();
    assert_eq!(trail(&store, 1).await[0], newer);
}
