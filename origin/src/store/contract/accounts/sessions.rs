//! Sessions: how they begin, and when they are forgotten.

use std::sync::Arc;

use shared::{api::account::Platform, id::Id};

use super::{Store, exchange, open, outcome, register, try_register};
use crate::store::{
    accounts::{
        TimePosition,
        sessions::{ListedSession, MAX_SURPLUS, NewSession, SessionsPage},
        users::Registration,
    },
    contract::{
        at_once,
        samples::{at, hash, id, opening_event, session, user},
    },
};

pub(in crate::store::contract) async fn session_belongs_to_its_user(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    assert!(store.session(id(2), id(1_001)).await.unwrap().is_none());
    assert!(store.session(id(1), id(9_999)).await.unwrap().is_none());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_some());
}

pub(in crate::store::contract) async fn opening_a_session_again_changes_nothing(store: Store) {
    register(&store, 1).await;
    let opening = session(2, &user(1));
    assert!(open(&store, opening.clone()).await);
    let mut repeated = opening;
    repeated.expires_at = at(2_000_000);
    repeated.refresh_hash = hash(3);
    assert!(open(&store, repeated).await);
    assert_eq!(store.session(id(1), id(1_002)).await.unwrap().unwrap().expires_at, at(1_000_000));
    assert_eq!(outcome(&store, exchange(3, 4, 1)).await.0, "unknown");
    assert!(!open(&store, session(5, &user(5))).await);
}

pub(in crate::store::contract) async fn sessions_over_before_a_time_are_forgotten(store: Store) {
    register(&store, 1).await;
    let later = NewSession { expires_at: at(3_000_000), ..session(3, &user(1)) };
    for opening in [later, session(4, &user(1))] {
        assert!(open(&store, opening).await);
    }
    // Session 1 ends at 20,000, session 4 expires at 1,000,000, session 3 later.
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(1, 2, 20_000)).await.0, "reused");
    let left = async || {
        let mut left = Vec::new();
        for number in [1, 3, 4] {
            left.extend(store.session(id(1), id(1_000 + number)).await.unwrap().map(|_| number));
        }
        left
    };
    for (before, gone, expected) in [
        (20_000, 0, vec![1, 3, 4]),
        (20_001, 1, vec![3, 4]),
        (1_000_000, 0, vec![3, 4]),
        (1_000_001, 1, vec![3]),
        (1_000_001, 0, vec![3]),
    ] {
        assert_eq!(store.forget_sessions(at(before), 10).await.unwrap(), gone, "{before}");
        assert_eq!(left().await, expected, "{before}");
    }
    assert_eq!(outcome(&store, exchange(4, 9, 1)).await.0, "unknown", "its tokens went with it");
}

pub(in crate::store::contract) async fn forgetting_takes_the_oldest_sessions_of_anybody(store: Store) {
    for number in 1..=5 {
        let (other, until) = (user(number), at(i64::from(number)));
        let session = NewSession { expires_at: until, ..session(u8::try_from(10 - number).unwrap(), &other) };
        assert_eq!(try_register(&store, other, "phc", session).await.unwrap(), Registration::Created);
    }
    for expected in [vec![3, 4, 5], vec![5], vec![]] {
        let gone = store.forget_sessions(at(1_000), 2).await.unwrap();
        let mut left = Vec::new();
        for number in 1..=5 {
            left.extend(store.session(id(number), id(1_010 - number)).await.unwrap().map(|_| number));
        }
        assert_eq!((left, gone), (expected.clone(), if expected.is_empty() { 1 } else { 2 }));
    }
}

pub(in crate::store::contract) async fn sessions_are_opened_and_forgotten_at_once(store: Store) {
    register(&store, 1).await;
    for number in 2..20 {
        assert!(open(&store, session(number, &user(1))).await);
    }
    let gone = at_once(16, |index| {
        let store = Arc::clone(&store);
        let opening =
            NewSession { expires_at: at(3_000_000), ..session(u8::try_from(100 + index).unwrap(), &user(1)) };
        async move {
            assert!(open(&store, opening).await);
            store.forget_sessions(at(1_000_001), 5).await.unwrap()
        }
    })
    .await;
    let rest = store.forget_sessions(at(1_000_001), 100).await.unwrap();
    assert_eq!(gone.iter().sum::<u64>() + rest, 19, "each went once");
    for number in 100..116 {
        assert!(store.session(id(1), id(1_000 + number)).await.unwrap().is_some(), "{number}");
    }
}

fn page(millis: i64, after: Option<TimePosition>, limit: u32) -> SessionsPage {
    SessionsPage { now: at(millis), unused_since: at(millis - 500_000), after, limit }
}

/// The numbers of the sessions of a page of user 1.
async fn listed(store: &Store, page: SessionsPage) -> Vec<u32> {
    let sessions = store.sessions(id(1), page).await.unwrap();
    let number = |wanted: Id| (0..2_000).find(|number| id(1_000 + number) == wanted).unwrap();
    sessions.into_iter().map(|session| number(session.id)).collect()
}

pub(in crate::store::contract) async fn open_sessions_are_listed_from_the_last_that_began(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    // 5 and 6 begin in the same millisecond, 7 has expired at 300, and 8 is ended.
    for (number, created, expires) in
        [(3, 10, 1_000_000), (5, 20, 1_000_000), (6, 20, 1_000_000), (7, 30, 300)]
    {
        let opening =
            NewSession { created_at: at(created), expires_at: at(expires), ..session(number, &user(1)) };
        assert!(open(&store, opening).await);
    }
    assert!(open(&store, NewSession { created_at: at(40), ..session(8, &user(1)) }).await);
    assert_eq!(listed(&store, page(299, None, 10)).await, [8, 7, 6, 5, 3, 1]);
    assert_eq!(outcome(&store, exchange(8, 9, 100)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(8, 9, 10_101)).await.0, "reused");
    assert_eq!(listed(&store, page(10_101, None, 10)).await, [6, 5, 3, 1]);
    let mut after = None;
    for expected in [vec![6, 5], vec![3, 1], vec![]] {
        let wanted = page(10_101, after, 2);
        assert_eq!(listed(&store, wanted).await, expected);
        after = store.sessions(id(1), wanted).await.unwrap().last().map(ListedSession::position);
    }
    assert_eq!(listed(&store, page(500_010, None, 10)).await, [6, 5], "the others were not used since");
    assert_eq!(listed(&store, page(1_000_000, None, 10)).await, [0_u32; 0]);
    assert_eq!(store.sessions(id(2), page(299, None, 10)).await.unwrap().len(), 1);
    assert_eq!(store.sessions(id(9), page(299, None, 10)).await.unwrap(), []);
}

pub(in crate::store::contract) async fn use_of_a_session_moves_its_time_and_address(store: Store) {
    register(&store, 1).await;
    let nothing = NewSession { device_name: None, platform: None, ip: None, ..session(2, &user(1)) };
    assert!(open(&store, nothing).await);
    let first = ListedSession {
        id: id(1_001),
        device_name: Some("Phone".to_owned()),
        platform: Some(Platform::Android),
        ip: Some("203.0.113.7".to_owned()),
        created_at: at(0),
        last_used_at: at(0),
        expires_at: at(1_000_000),
    };
    let second =
        ListedSession { id: id(1_002), device_name: None, platform: None, ip: None, ..first.clone() };
    assert_eq!(store.sessions(id(1), page(1, None, 10)).await.unwrap(), [second.clone(), first.clone()]);
    assert_eq!(outcome(&store, exchange(1, 3, 1_000)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(1, 3, 2_000)).await.0, "exchanged", "the same again");
    let used = ListedSession { last_used_at: at(1_000), ip: Some("2001:db8::7".to_owned()), ..first };
    assert_eq!(store.sessions(id(1), page(1, None, 10)).await.unwrap(), [second, used]);
}

pub(in crate::store::contract) async fn sessions_that_are_too_many_are_those_unused_for_longest(
    store: Store,
) {
    register(&store, 1).await;
    register(&store, 90).await;
    let begin = async |number: u8, most| {
        let opening = NewSession { created_at: at(i64::from(number) * 10), ..session(number, &user(1)) };
        let audit = opening_event(&opening);
        store.open_session(opening, most, audit).await.unwrap().unwrap()
    };
    assert_eq!(begin(2, 3).await, []);
    assert_eq!(begin(3, 3).await, []);
    // Session 1 began first, and is used last.
    assert_eq!(outcome(&store, exchange(1, 100, 35)).await.0, "exchanged");
    assert_eq!(begin(4, 3).await, [id(1_002)]);
    assert_eq!(begin(4, 3).await, [id(1_002)], "a repetition");
    assert_eq!(begin(5, 3).await, [id(1_003), id(1_002)]);
    for number in 6..30 {
        begin(number, 1_000).await;
    }
    assert_eq!(begin(30, 3).await.len(), usize::try_from(MAX_SURPLUS).unwrap());
    let other = NewSession { created_at: at(300), ..session(91, &user(90)) };
    let audit = opening_event(&other);
    assert_eq!(store.open_session(other, 1, audit).await.unwrap(), Some(vec![id(1_090)]));
}
