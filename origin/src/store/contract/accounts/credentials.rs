//! Passwords, and the networks that are known.

use super::{Store, exchange, outcome, register};
use crate::store::{
    accounts::sessions::NewSession,
    contract::samples::{at, id, session, user},
};

async fn knows(store: &Store, number: u32, network: Option<&str>) -> bool {
    let email = format!("user{number}@example.com");
    let known = store.credential(email, network.map(str::to_owned)).await.unwrap();
    known.unwrap().is_known_network
}

pub(in crate::store::contract) async fn network_of_any_session_on_record_is_known(store: Store) {
    let (home, office, other_network) = ("203.0.113.0/24", "2001:db8:1::/48", "198.51.100.0/24");
    for number in [1, 2] {
        register(&store, number).await;
    }
    let opening = NewSession { network: Some(office.to_owned()), ..session(3, &user(1)) };
    assert!(store.open_session(opening).await.unwrap());
    let nowhere = NewSession { network: None, ..session(4, &user(1)) };
    assert!(store.open_session(nowhere).await.unwrap());
    for (network, known) in [(home, true), (office, true), (other_network, false), ("", false), ("%", false)]
    {
        assert_eq!(knows(&store, 1, Some(network)).await, known, "{network}");
    }
    assert!(!knows(&store, 1, None).await, "no network is known to nobody");
    assert!(!knows(&store, 2, Some(office)).await, "it is somebody else's");
    // A session that has ended was one, until it is forgotten.
    assert_eq!(outcome(&store, exchange(1, 20, 1_000)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(1, 20, 20_000)).await.0, "reused");
    assert!(knows(&store, 1, Some(home)).await);
    assert_eq!(store.forget_sessions(at(20_001), 10).await.unwrap(), 1);
    assert!(!knows(&store, 1, Some(home)).await);
}

pub(in crate::store::contract) async fn hash_of_a_password_is_replaced_once(store: Store) {
    for number in [1, 2] {
        register(&store, number).await;
    }
    let replace = async |number, old: &str, new: &str| {
        store.replace_password_hash(id(number), old.to_owned(), new.to_owned()).await.unwrap()
    };
    assert!(!replace(1, "another", "new").await);
    assert!(replace(1, "phc", "new").await);
    assert!(replace(1, "phc", "new").await, "a repetition");
    assert!(!replace(1, "phc", "newer").await);
    assert!(!replace(9, "phc", "new").await);
    for (number, hash) in [(1, "new"), (2, "phc")] {
        let known = store.credential(format!("user{number}@example.com"), None).await.unwrap().unwrap();
        assert_eq!(known.password_hash, hash);
    }
}
