//! The keys of access tokens that follow one another.

use std::sync::Arc;

use super::Store;
use crate::store::{
    accounts::token_keys::TokenKey,
    contract::{at_once, samples::at},
};

fn key(number: u32, filler: u8) -> TokenKey {
    let (published_at, signs_from) = (at(i64::from(number) * 100), at(i64::from(number) * 100 + 60));
    TokenKey { number, public_key: [filler; 32], salt: Some([filler + 100; 32]), published_at, signs_from }
}

fn without_salt(key: TokenKey) -> TokenKey {
    TokenKey { salt: None, ..key }
}

pub(in crate::store::contract) async fn keys_are_read_back_by_number(store: Store) {
    assert_eq!(store.token_keys().await.unwrap(), []);
    for number in [1, 2] {
        assert!(store.add_token_key(key(number, 7), 0).await.unwrap());
    }
    assert_eq!(store.token_keys().await.unwrap(), [key(1, 7), key(2, 7)]);
}

pub(in crate::store::contract) async fn key_takes_a_number_once(store: Store) {
    assert!(store.add_token_key(key(1, 7), 0).await.unwrap());
    assert!(store.add_token_key(key(1, 7), 0).await.unwrap(), "a repetition");
    assert!(!store.add_token_key(key(1, 8), 2).await.unwrap());
    assert_eq!(store.token_keys().await.unwrap(), [key(1, 7)]);
}

pub(in crate::store::contract) async fn added_key_ends_the_salts_and_keys_before(store: Store) {
    for number in 1..=4 {
        assert!(store.add_token_key(key(number, 7), 0).await.unwrap());
    }
    let expected = [without_salt(key(1, 7)), without_salt(key(2, 7)), key(3, 7), key(4, 7)];
    assert_eq!(store.token_keys().await.unwrap(), expected);
    assert!(store.add_token_key(key(5, 7), 3).await.unwrap());
    assert_eq!(store.token_keys().await.unwrap(), [without_salt(key(3, 7)), key(4, 7), key(5, 7)]);
}

pub(in crate::store::contract) async fn of_keys_added_at_once_one_takes_the_number(store: Store) {
    let added = at_once(8, |index| {
        let store = Arc::clone(&store);
        async move { store.add_token_key(key(1, u8::try_from(index).unwrap()), 0).await.unwrap() }
    })
    .await;
    assert_eq!(added.iter().filter(|is_added| **is_added).count(), 1, "{added:?}");
    assert_eq!(store.token_keys().await.unwrap().len(), 1);
}
