//! Challenges.

use std::sync::Arc;

use super::Store;
use crate::store::{
    contract::{
        at_once,
        samples::{START, at},
    },
    ephemeral::MAX_CHALLENGE_BYTES,
};

pub(in crate::store::contract) async fn of_many_takers_at_once_one_gets_the_challenge(store: Store) {
    store.put_challenge("key", b":\0\xff".to_vec(), at(60_000), START).await.unwrap();
    let taken = at_once(32, |_| {
        let store = Arc::clone(&store);
        async move { store.take_challenge("key", START).await.unwrap() }
    })
    .await;
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(taken, [b":\0\xff".to_vec()]);
}

pub(in crate::store::contract) async fn challenge_lasts_its_time_under_its_key(store: Store) {
    assert_eq!(store.take_challenge("key", START).await.unwrap(), None);
    store.put_challenge("key", b"old".to_vec(), at(60_000), START).await.unwrap();
    store.put_challenge("key", b"new".to_vec(), at(1_000), START).await.unwrap();
    assert_eq!(store.take_challenge("other", START).await.unwrap(), None);
    assert_eq!(store.take_challenge("key", at(999)).await.unwrap(), Some(b"new".to_vec()));
    store.put_challenge("key", Vec::new(), at(1_000), START).await.unwrap();
    assert_eq!(store.take_challenge("key", at(1_000)).await.unwrap(), None);
}

pub(in crate::store::contract) async fn oversized_challenge_is_refused(store: Store) {
    let put = |bytes: usize| store.put_challenge("key", vec![7; bytes], at(1_000), START);
    assert_eq!(put(MAX_CHALLENGE_BYTES + 1).await.unwrap_err().kind(), "refused");
    assert_eq!(store.take_challenge("key", START).await.unwrap(), None);
    put(MAX_CHALLENGE_BYTES).await.unwrap();
    assert_eq!(store.take_challenge("key", START).await.unwrap(), Some(vec![7; MAX_CHALLENGE_BYTES]));
}
