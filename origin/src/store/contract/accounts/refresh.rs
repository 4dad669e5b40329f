//! Chains of refresh tokens.

use std::sync::Arc;

use super::{Store, exchange, outcome, register};
use crate::store::{
    accounts::{
        jobs::JobClaim,
        sessions::{RefreshExchange, RefreshOutcome},
    },
    contract::{
        at_once, drill_rounds,
        samples::{at, hash, id},
    },
};

pub(in crate::store::contract) async fn refresh_token_until_expiry_is_exchanged(store: Store) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(99, 98, 1)).await.0, "unknown");
    assert_eq!(outcome(&store, exchange(1, 2, 499_999)).await, ("exchanged", 999_999));
    // The successor cannot outlive the session.
    assert_eq!(outcome(&store, exchange(2, 3, 900_000)).await, ("exchanged", 1_000_000));
    assert_eq!(outcome(&store, exchange(3, 4, 1_000_000)).await.0, "unknown");
    register(&store, 5).await;
    assert_eq!(outcome(&store, exchange(5, 6, 500_000)).await.0, "unknown");
    assert!(store.session(id(5), id(1_005)).await.unwrap().unwrap().ended_at.is_none());
}

pub(in crate::store::contract) async fn last_used_token_in_grace_gets_same_successor(store: Store) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await, ("exchanged", 501_000));
    assert_eq!(outcome(&store, exchange(1, 2, 11_000)).await, ("exchanged", 501_000));
    assert_eq!(outcome(&store, exchange(1, 2, 11_001)).await.0, "reused");
    assert_eq!(store.session(id(1), id(1_001)).await.unwrap().unwrap().ended_at, Some(at(11_001)));
    for token in [1, 2] {
        assert_eq!(outcome(&store, exchange(token, 7, 11_002)).await.0, "ended");
    }
}

/// The successor that an exchange ends with.
async fn successor(store: &Store, exchange: RefreshExchange) -> u8 {
    match store.exchange_refresh(exchange).await.unwrap() {
        RefreshOutcome::Exchanged { successor, .. } => successor[0],
        other => panic!("{other:?}"),
    }
}

pub(in crate::store::contract) async fn successor_of_an_earlier_secret_is_returned_again(store: Store) {
    register(&store, 1).await;
    assert_eq!(successor(&store, exchange(1, 2, 1_000)).await, 2);
    let with_both = |millis| RefreshExchange { successors: vec![hash(9), hash(2)], ..exchange(1, 9, millis) };
    assert_eq!(successor(&store, with_both(1_001)).await, 2);
    assert_eq!(successor(&store, exchange(2, 3, 1_002)).await, 3);
    assert_eq!(outcome(&store, exchange(9, 4, 1_003)).await.0, "unknown");
    assert_eq!(outcome(&store, with_both(1_004)).await.0, "reused");
}

pub(in crate::store::contract) async fn successor_of_a_secret_that_is_gone_is_replaced(store: Store) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await, ("exchanged", 501_000));
    for millis in [1_001, 1_002] {
        assert_eq!(outcome(&store, exchange(1, 9, millis)).await, ("exchanged", 501_000));
    }
    // There is one successor at any time, and it goes on.
    assert_eq!(outcome(&store, exchange(2, 3, 1_003)).await.0, "unknown");
    assert_eq!(outcome(&store, exchange(9, 4, 1_004)).await, ("exchanged", 501_004));
    assert_eq!(outcome(&store, exchange(1, 9, 1_005)).await.0, "reused");
}

pub(in crate::store::contract) async fn older_token_ends_session(store: Store) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(2, 3, 1_001)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(1, 2, 1_002)).await.0, "reused");
    assert_eq!(outcome(&store, exchange(3, 4, 1_003)).await.0, "ended");
    assert_eq!(store.session(id(1), id(1_001)).await.unwrap().unwrap().ended_at, Some(at(1_002)));
}

/// A session that is used for long does not grow: what is said of an expired token is the same as of none.
pub(in crate::store::contract) async fn expired_used_token_is_forgotten(store: Store) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(1, 2, 400_000)).await, ("exchanged", 900_000));
    assert_eq!(outcome(&store, exchange(2, 3, 500_000)).await, ("exchanged", 1_000_000));
    // The first expires at 500,000, so it was there a moment ago.
    assert_eq!(outcome(&store, exchange(3, 4, 500_001)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(1, 9, 500_002)).await.0, "unknown");
    assert_eq!(outcome(&store, exchange(3, 4, 500_003)).await.0, "exchanged");
    // The second has not expired and still ends the session.
    assert_eq!(outcome(&store, exchange(2, 9, 500_004)).await.0, "reused");
    assert_eq!(outcome(&store, exchange(4, 5, 500_005)).await.0, "ended");
}

/// The chain of a session that is refreshed by many at once, again and again. `EDGECHAT_DRILL_ROUNDS` is the number of rounds (10).
pub(in crate::store::contract) async fn exchanges_at_once_agree(store: Store) {
    register(&store, 1).await;
    let rounds = drill_rounds(10).min(250);
    for token in 1..=u8::try_from(rounds).unwrap() {
        let millis = 1_000 + i64::from(token);
        let outcomes = at_once(50, |_| {
            let store = Arc::clone(&store);
            async move { outcome(&store, exchange(token, token + 1, millis)).await }
        })
        .await;
        let expected = ("exchanged", millis + 500_000);
        assert!(outcomes.iter().all(|outcome| *outcome == expected), "round {token}: {outcomes:?}");
    }
    // Each has one successor, whose chain goes on.
    let last = u8::try_from(rounds).unwrap() + 1;
    assert_eq!(outcome(&store, exchange(last, last + 1, 2_000)).await.0, "exchanged");
}

pub(in crate::store::contract) async fn reuses_at_once_end_the_session_once(store: Store) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(2, 3, 1_001)).await.0, "exchanged");
    let outcomes = at_once(16, |index| {
        let store = Arc::clone(&store);
        async move { outcome(&store, exchange(1, 2, 1_002 + i64::try_from(index).unwrap())).await.0 }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "reused").count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "ended").count(), 15, "{outcomes:?}");
}

pub(in crate::store::contract) async fn reuse_schedules_its_job_in_the_same_step(store: Store) {
    register(&store, 1).await;
    let jobs = async |owner| {
        let (now, lease_until) = (at(100_000), at(200_000));
        let claim = JobClaim { owner: id(owner), kinds: vec!["reuse"], now, lease_until, limit: 10 };
        let claimed = store.claim_jobs(claim).await.unwrap();
        claimed.into_iter().map(|job| (job.id, job.payload)).collect::<Vec<_>>()
    };
    for (token, successor, millis) in [(1, 2, 1_000), (2, 3, 1_001), (1, 2, 1_002)] {
        assert_eq!(jobs(3_000).await, [], "nothing was used twice so far");
        outcome(&store, exchange(token, successor, millis)).await;
    }
    assert_eq!(outcome(&store, exchange(1, 2, 1_003)).await.0, "ended");
    assert_eq!(jobs(3_001).await, [(id(2_001_002), id(1_001).to_string())]);
}
