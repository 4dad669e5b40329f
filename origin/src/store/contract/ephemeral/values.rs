//! Nonces that were seen and values that are remembered.

use std::sync::Arc;

use shared::limits::window::FixedWindow;

use super::{Store, codes::code};
use crate::store::{
    contract::{
        at_once,
        samples::{START, at},
    },
    ephemeral::CodeOutcome,
};

pub(in crate::store::contract) async fn of_many_at_once_one_is_the_first(store: Store) {
    let first = at_once(32, |_| {
        let store = Arc::clone(&store);
        async move { store.first_seen("nonce", at(60_000), START).await.unwrap() }
    })
    .await;
    assert_eq!(first.iter().filter(|first| **first).count(), 1);
}

pub(in crate::store::contract) async fn what_was_seen_is_remembered_for_its_time(store: Store) {
    assert!(store.first_seen("nonce", at(1_000), START).await.unwrap());
    assert!(store.first_seen("other", at(1_000), START).await.unwrap());
    assert!(!store.first_seen("nonce", at(1_500), at(999)).await.unwrap());
    assert!(store.first_seen("nonce", at(2_000), at(1_000)).await.unwrap());
}

pub(in crate::store::contract) async fn of_many_that_remember_all_get_the_same(store: Store) {
    let got =
        at_once(32, |index| {
            let store = Arc::clone(&store);
            async move {
                store.remember("key", vec![u8::try_from(index).unwrap()], at(60_000), START).await.unwrap()
            }
        })
        .await;
    assert!(got.iter().all(|value| *value == got[0] && value.len() == 1), "{got:?}");
}

pub(in crate::store::contract) async fn what_is_remembered_lasts_its_time(store: Store) {
    let remember =
        |value: &'static [u8], until, now| store.remember("key", value.to_vec(), at(until), at(now));
    // Any bytes, those that might part a stored form among them.
    assert_eq!(remember(b":\0\xff:1", 1_000, 0).await.unwrap(), b":\0\xff:1");
    assert_eq!(remember(b"second", 5_000, 999).await.unwrap(), b":\0\xff:1");
    assert_eq!(remember(b"third", 2_000, 1_000).await.unwrap(), b"third");
    assert_eq!(remember(b"fourth", 9_000, 1_999).await.unwrap(), b"third");
    assert_eq!(remember(b"", 9_000, 2_000).await.unwrap(), b"");
    assert_eq!(remember(b"sixth", 9_000, 2_000).await.unwrap(), b"");
}

pub(in crate::store::contract) async fn what_is_remembered_is_recalled_for_its_time(store: Store) {
    let recall = |now| {
        let store = Arc::clone(&store);
        async move { store.recall("key", at(now)).await.unwrap() }
    };
    assert_eq!(recall(0).await, None);
    // To look leaves nothing behind.
    store.remember("key", b":1\xff".to_vec(), at(1_000), START).await.unwrap();
    assert_eq!(recall(999).await.as_deref(), Some(&b":1\xff"[..]));
    assert_eq!(store.recall("other", START).await.unwrap(), None);
    store.remember("key", b"second".to_vec(), at(9_000), at(500)).await.unwrap();
    assert_eq!(recall(999).await.as_deref(), Some(&b":1\xff"[..]));
    assert_eq!(recall(1_000).await, None);
    store.remember("key", vec![], at(2_000), at(1_000)).await.unwrap();
    assert_eq!(recall(1_000).await.as_deref(), Some(&[][..]));
}

pub(in crate::store::contract) async fn names_of_any_kind_are_apart(store: Store) {
    let (long, longer) = ("x".repeat(20_000), "x".repeat(20_001));
    let names = ["", " ", "a", "{a}", "{a}b", "a}{b", "a:b", "a\0b", "\u{1f600}", &long, &longer];
    for name in names {
        assert!(store.first_seen(name, at(1_000), START).await.unwrap(), "{name:.20}");
        let window = FixedWindow::new(1, 1_000);
        assert!(store.count(name, window, START).await.unwrap().allowed, "{name:.20}");
        assert_eq!(store.remember(name, name.into(), at(1_000), START).await.unwrap(), name.as_bytes());
        store.put_code(name, code(1, 1, 1_000), START).await.unwrap();
    }
    for name in names {
        assert!(!store.first_seen(name, at(1_000), START).await.unwrap(), "{name:.20}");
        assert_eq!(store.remember(name, vec![], at(1_000), START).await.unwrap(), name.as_bytes());
        assert_eq!(store.try_code(name, [1; 32], START).await.unwrap(), CodeOutcome::Accepted);
    }
}
