//! Nonces and values.

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

pub(in crate::store::contract) async fn nonces_inserted_at_once_are_new_once(store: Store) {
    let first = at_once(32, |_| {
        let store = Arc::clone(&store);
        async move { store.insert_nonce("nonce", at(60_000), START).await.unwrap() }
    })
    .await;
    assert_eq!(first.iter().filter(|first| **first).count(), 1);
}

pub(in crate::store::contract) async fn nonce_is_known_for_its_time(store: Store) {
    assert!(store.insert_nonce("nonce", at(1_000), START).await.unwrap());
    assert!(store.insert_nonce("other", at(1_000), START).await.unwrap());
    assert!(!store.insert_nonce("nonce", at(1_500), at(999)).await.unwrap());
    assert!(store.insert_nonce("nonce", at(2_000), at(1_000)).await.unwrap());
}

pub(in crate::store::contract) async fn values_inserted_at_once_are_one(store: Store) {
    let got = at_once(32, |index| {
        let store = Arc::clone(&store);
        async move {
            store.get_or_insert("key", vec![u8::try_from(index).unwrap()], at(60_000), START).await.unwrap()
        }
    })
    .await;
    assert!(got.iter().all(|value| *value == got[0] && value.len() == 1), "{got:?}");
}

pub(in crate::store::contract) async fn value_lasts_its_time(store: Store) {
    let get_or_insert =
        |value: &'static [u8], until, now| store.get_or_insert("key", value.to_vec(), at(until), at(now));
    // Any bytes, those that might part a stored form among them.
    assert_eq!(get_or_insert(b":\0\xff:1", 1_000, 0).await.unwrap(), b":\0\xff:1");
    assert_eq!(get_or_insert(b"second", 5_000, 999).await.unwrap(), b":\0\xff:1");
    assert_eq!(get_or_insert(b"third", 2_000, 1_000).await.unwrap(), b"third");
    assert_eq!(get_or_insert(b"fourth", 9_000, 1_999).await.unwrap(), b"third");
    assert_eq!(get_or_insert(b"", 9_000, 2_000).await.unwrap(), b"");
    assert_eq!(get_or_insert(b"sixth", 9_000, 2_000).await.unwrap(), b"");
}

pub(in crate::store::contract) async fn value_is_read_back_for_its_time(store: Store) {
    let get = |now| {
        let store = Arc::clone(&store);
        async move { store.get("key", at(now)).await.unwrap() }
    };
    assert_eq!(get(0).await, None);
    // To look leaves nothing behind.
    store.get_or_insert("key", b":1\xff".to_vec(), at(1_000), START).await.unwrap();
    assert_eq!(get(999).await.as_deref(), Some(&b":1\xff"[..]));
    assert_eq!(store.get("other", START).await.unwrap(), None);
    store.get_or_insert("key", b"second".to_vec(), at(9_000), at(500)).await.unwrap();
    assert_eq!(get(999).await.as_deref(), Some(&b":1\xff"[..]));
    assert_eq!(get(1_000).await, None);
    store.get_or_insert("key", vec![], at(2_000), at(1_000)).await.unwrap();
    assert_eq!(get(1_000).await.as_deref(), Some(&[][..]));
}

pub(in crate::store::contract) async fn names_of_any_kind_are_apart(store: Store) {
    let (long, longer) = ("x".repeat(20_000), "x".repeat(20_001));
    let names = ["", " ", "a", "{a}", "{a}b", "a}{b", "a:b", "a\0b", "\u{1f600}", &long, &longer];
    for name in names {
        assert!(store.insert_nonce(name, at(1_000), START).await.unwrap(), "{name:.20}");
        let window = FixedWindow::new(1, 1_000);
        assert!(store.count(name, window, START).await.unwrap().allowed, "{name:.20}");
        assert_eq!(store.get_or_insert(name, name.into(), at(1_000), START).await.unwrap(), name.as_bytes());
        store.put_code(name, code(1, 1, 1_000), START).await.unwrap();
    }
    for name in names {
        assert!(!store.insert_nonce(name, at(1_000), START).await.unwrap(), "{name:.20}");
        assert_eq!(store.get_or_insert(name, vec![], at(1_000), START).await.unwrap(), name.as_bytes());
        assert_eq!(store.try_code(name, [1; 32], START).await.unwrap(), CodeOutcome::Accepted);
    }
}
