//! Sessions: how they begin, and when they are forgotten.

use std::sync::Arc;

use super::{Store, exchange, outcome, register};
use crate::store::{
    accounts::{sessions::FORGOTTEN_AT_ONCE, users::Registration},
    contract::{
        at_once,
        samples::{START, at, hash, id, session, user},
    },
};

pub(in crate::store::contract) async fn a_session_belongs_to_its_user(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    assert!(store.session(id(2), id(1_001)).await.unwrap().is_none());
    assert!(store.session(id(1), id(9_999)).await.unwrap().is_none());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_some());
}

pub(in crate::store::contract) async fn opening_a_session_again_changes_nothing(store: Store) {
    register(&store, 1).await;
    let opening = session(2, &user(1));
    assert!(store.open_session(opening.clone(), START).await.unwrap());
    let mut repeated = opening;
    repeated.expires_at = at(2_000_000);
    repeated.refresh_hash = hash(3);
    assert!(store.open_session(repeated, START).await.unwrap());
    assert_eq!(store.session(id(1), id(1_002)).await.unwrap().unwrap().expires_at, at(1_000_000));
    assert_eq!(outcome(&store, exchange(3, 4, 1)).await.0, "unknown");
    assert!(!store.open_session(session(5, &user(5)), START).await.unwrap());
}

pub(in crate::store::contract) async fn sessions_that_expired_long_ago_are_forgotten(store: Store) {
    register(&store, 1).await;
    let mut later = session(3, &user(1));
    later.expires_at = at(3_000_000);
    assert!(store.open_session(later.clone(), at(1_000_000)).await.unwrap());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_some(), "it expired then, not before");
    later.id = id(1_004);
    later.refresh_hash = hash(4);
    assert!(store.open_session(later, at(1_000_001)).await.unwrap());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_none());
    assert_eq!(outcome(&store, exchange(1, 9, 1)).await.0, "unknown");
    for number in [1_003, 1_004] {
        assert!(store.session(id(1), id(number)).await.unwrap().is_some(), "{number}");
    }
}

pub(in crate::store::contract) async fn sessions_that_ended_long_ago_are_forgotten_too(store: Store) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(1, 2, 20_000)).await.0, "reused");
    assert!(store.open_session(session(3, &user(1)), at(20_000)).await.unwrap());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_some(), "it ended then, not before");
    assert!(store.open_session(session(4, &user(1)), at(20_001)).await.unwrap());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_none());
    assert!(store.session(id(1), id(1_003)).await.unwrap().is_some());
}

pub(in crate::store::contract) async fn long_gone_sessions_of_others_are_forgotten_a_few_at_a_time(
    store: Store,
) {
    const OTHERS: u32 = 3 * FORGOTTEN_AT_ONCE / 2;
    for number in 1..=OTHERS {
        let other = user(number);
        let mut session = session(u8::try_from(number).unwrap(), &other);
        session.expires_at = at(number.into());
        assert_eq!(store.register(other, "phc".to_owned(), session).await.unwrap(), Registration::Created);
    }
    let last = OTHERS + 1;
    register(&store, last).await;
    let left = async || {
        let mut left = Vec::new();
        for number in 1..=last {
            left.extend(store.session(id(number), id(1_000 + number)).await.unwrap().map(|_| number));
        }
        left
    };
    let open = async |number: u8| {
        assert!(store.open_session(session(number, &user(last)), at(1_000)).await.unwrap());
    };
    open(100).await;
    assert_eq!(left().await, (FORGOTTEN_AT_ONCE + 1..=last).collect::<Vec<_>>(), "the oldest went");
    open(101).await;
    assert_eq!(left().await, [last]);
}

pub(in crate::store::contract) async fn sessions_opened_at_once_are_all_there(store: Store) {
    register(&store, 1).await;
    for number in 2..20 {
        assert!(store.open_session(session(number, &user(1)), START).await.unwrap());
    }
    // Each of these forgets all of those.
    let opened = at_once(16, |index| {
        let store = Arc::clone(&store);
        let mut opening = session(u8::try_from(100 + index).unwrap(), &user(1));
        opening.expires_at = at(3_000_000);
        async move { store.open_session(opening, at(1_000_001)).await.unwrap() }
    })
    .await;
    assert!(opened.iter().all(|known_user| *known_user));
    for number in 1..20 {
        assert!(store.session(id(1), id(1_000 + number)).await.unwrap().is_none(), "{number}");
    }
    for number in 100..116 {
        assert!(store.session(id(1), id(1_000 + number)).await.unwrap().is_some(), "{number}");
    }
}
