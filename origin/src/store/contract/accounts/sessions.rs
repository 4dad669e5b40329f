//! Sessions: how they begin, and when they are forgotten.

use std::sync::Arc;

use super::{Store, exchange, outcome, register};
use crate::store::{
    accounts::{sessions::NewSession, users::Registration},
    contract::{
        at_once,
        samples::{at, hash, id, session, user},
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
    assert!(store.open_session(opening.clone()).await.unwrap());
    let mut repeated = opening;
    repeated.expires_at = at(2_000_000);
    repeated.refresh_hash = hash(3);
    assert!(store.open_session(repeated).await.unwrap());
    assert_eq!(store.session(id(1), id(1_002)).await.unwrap().unwrap().expires_at, at(1_000_000));
    assert_eq!(outcome(&store, exchange(3, 4, 1)).await.0, "unknown");
    assert!(!store.open_session(session(5, &user(5))).await.unwrap());
}

pub(in crate::store::contract) async fn sessions_over_before_a_time_are_forgotten(store: Store) {
    register(&store, 1).await;
    let later = NewSession { expires_at: at(3_000_000), ..session(3, &user(1)) };
    for opening in [later, session(4, &user(1))] {
        assert!(store.open_session(opening).await.unwrap());
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
        assert_eq!(store.register(other, "phc".to_owned(), session).await.unwrap(), Registration::Created);
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
        assert!(store.open_session(session(number, &user(1))).await.unwrap());
    }
    let gone = at_once(16, |index| {
        let store = Arc::clone(&store);
        let opening =
            NewSession { expires_at: at(3_000_000), ..session(u8::try_from(100 + index).unwrap(), &user(1)) };
        async move {
            assert!(store.open_session(opening).await.unwrap());
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
