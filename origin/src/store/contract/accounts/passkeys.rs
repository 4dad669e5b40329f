//! Passkeys: as many as a user may have, one use a count, and the last way in stays.

use std::sync::Arc;

use shared::{
    address::Address,
    api::account::{AccountEventKind, User},
    auth::ways_in::CodeChannels,
};

use super::{
    Store,
    addresses::{change, phone, sign_in},
    guests,
    password_resets::{permission, reset},
    register,
};
use crate::store::{
    accounts::{
        addresses::AddressChange,
        passkeys::{PasskeyAddition, PasskeyRemoval, PasskeyUse, StoredPasskey},
    },
    contract::{
        at_once,
        samples::{at, audit_event, hash, id, user},
    },
};

const EVERYWHERE: CodeChannels = CodeChannels { email: true, phone: true };
const NOWHERE: CodeChannels = CodeChannels { email: false, phone: false };

/// Passkey `number` of a user, made so many milliseconds after the start.
fn passkey(number: u32, user: u32) -> StoredPasskey {
    StoredPasskey {
        id: id(5_000 + number),
        user_id: id(user),
        credential_id: [&number.to_be_bytes()[..], b"\0\xff"].concat(),
        credential: format!("{{\"key\":\"{number} ✓\"}}"),
        sign_count: 0,
        backed_up: number % 2 == 1,
        name: Some(format!("Ada's phone {number} 🦀")),
        created_at: at(i64::from(number)),
        last_used_at: None,
    }
}

async fn add(store: &Store, passkey: StoredPasskey, most: u32) -> PasskeyAddition {
    let number = u32::try_from(passkey.created_at.millis_since(at(0))).unwrap();
    let audit = audit_event(number, passkey.user_id, AccountEventKind::PasskeyAdded, passkey.created_at);
    store.add_passkey(passkey, most, audit).await.unwrap()
}

async fn remove(store: &Store, user: u32, number: u32, codes: CodeChannels) -> PasskeyRemoval {
    let audit = audit_event(500 + number, id(user), AccountEventKind::PasskeyRemoved, at(900));
    store.remove_passkey(id(user), id(5_000 + number), codes, audit).await.unwrap()
}

fn used(number: u32, sign_count: u32, millis: i64) -> PasskeyUse {
    PasskeyUse { id: id(5_000 + number), sign_count, backed_up: true, at: at(millis) }
}

async fn count(store: &Store, user: u32) -> usize {
    store.passkeys(id(user)).await.unwrap().len()
}

/// The number of events of this kind in the audit trail of a user.
async fn noted(store: &Store, user: u32, kind: AccountEventKind) -> usize {
    let events = store.audit_events(id(user), None, 100).await.unwrap();
    events.iter().filter(|event| event.kind == kind).count()
}

pub(in crate::store::contract) async fn passkey_is_read_back_as_written(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    let unnamed = StoredPasskey { name: None, sign_count: u32::MAX, ..passkey(2, 1) };
    // In the order of their making, whatever the order of their ids.
    assert_eq!(add(&store, unnamed.clone(), 20).await, PasskeyAddition::Added);
    assert_eq!(add(&store, passkey(1, 1), 20).await, PasskeyAddition::Added);
    assert_eq!(add(&store, passkey(1, 1), 20).await, PasskeyAddition::Added, "a repetition");
    assert_eq!(store.passkeys(id(1)).await.unwrap(), [passkey(1, 1), unnamed.clone()]);
    assert_eq!(store.passkeys(id(2)).await.unwrap(), []);
    let found = store.passkey_by_credential(unnamed.credential_id.clone()).await.unwrap();
    assert_eq!(found, Some(unnamed));
    assert_eq!(store.passkey_by_credential(Vec::new()).await.unwrap(), None);
    assert_eq!(noted(&store, 1, AccountEventKind::PasskeyAdded).await, 2);

    let taken = StoredPasskey { credential_id: passkey(1, 1).credential_id, ..passkey(3, 2) };
    assert_eq!(add(&store, taken, 20).await, PasskeyAddition::Taken);
    assert_eq!(add(&store, passkey(4, 9), 20).await, PasskeyAddition::NoUser);
    assert_eq!(noted(&store, 2, AccountEventKind::PasskeyAdded).await, 0);
}

pub(in crate::store::contract) async fn passkeys_added_at_once_are_no_more_than_may_be(store: Store) {
    register(&store, 1).await;
    let outcomes = at_once(16, |index| {
        let store = Arc::clone(&store);
        let passkey = passkey(u32::try_from(index).unwrap() + 1, 1);
        async move { add(&store, passkey, 5).await }
    })
    .await;
    let added = outcomes.iter().filter(|outcome| **outcome == PasskeyAddition::Added).count();
    let too_many = outcomes.iter().filter(|outcome| **outcome == PasskeyAddition::TooMany).count();
    assert_eq!((added, too_many, count(&store, 1).await), (5, 11, 5), "{outcomes:?}");
    assert_eq!(noted(&store, 1, AccountEventKind::PasskeyAdded).await, 5);
}

pub(in crate::store::contract) async fn credential_added_at_once_by_many_users_is_one_users(store: Store) {
    for number in 1..=8 {
        register(&store, number).await;
    }
    let outcomes = at_once(8, |index| {
        let store = Arc::clone(&store);
        let number = u32::try_from(index).unwrap() + 1;
        let passkey = StoredPasskey { credential_id: b"one".to_vec(), ..passkey(number, number) };
        async move { add(&store, passkey, 20).await }
    })
    .await;
    let added = outcomes.iter().filter(|outcome| **outcome == PasskeyAddition::Added).count();
    let taken = outcomes.iter().filter(|outcome| **outcome == PasskeyAddition::Taken).count();
    assert_eq!((added, taken), (1, 7), "{outcomes:?}");
}

pub(in crate::store::contract) async fn use_of_passkey_needs_a_greater_count(store: Store) {
    register(&store, 1).await;
    add(&store, passkey(1, 1), 20).await;
    // Those that do not count are used at any time.
    for millis in [10, 10, 30, 20] {
        assert_eq!(store.use_passkey(used(1, 0, millis)).await.unwrap(), Some(user(1)));
    }
    let stored = store.passkeys(id(1)).await.unwrap().remove(0);
    assert_eq!((stored.last_used_at, stored.backed_up), (Some(at(30)), true));

    assert_eq!(store.use_passkey(used(1, 5, 40)).await.unwrap(), Some(user(1)));
    assert_eq!(store.use_passkey(used(1, 5, 40)).await.unwrap(), Some(user(1)), "a repetition");
    for refused in [used(1, 5, 50), used(1, 4, 50), used(1, 0, 50), used(2, 6, 50)] {
        assert_eq!(store.use_passkey(refused).await.unwrap(), None);
    }
    assert_eq!(store.use_passkey(used(1, u32::MAX, 60)).await.unwrap(), Some(user(1)));
    let stored = store.passkeys(id(1)).await.unwrap().remove(0);
    assert_eq!((stored.sign_count, stored.last_used_at), (u32::MAX, Some(at(60))));
}

pub(in crate::store::contract) async fn of_uses_at_once_with_one_count_one_is_recorded(store: Store) {
    register(&store, 1).await;
    add(&store, passkey(1, 1), 20).await;
    let outcomes = at_once(16, |index| {
        let store = Arc::clone(&store);
        let millis = 100 + i64::try_from(index).unwrap();
        async move { store.use_passkey(used(1, 7, millis)).await.unwrap() }
    })
    .await;
    assert_eq!(outcomes.iter().flatten().count(), 1);
}

pub(in crate::store::contract) async fn passkey_is_named_by_its_user_alone(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    add(&store, passkey(1, 1), 20).await;
    let rename = |user, name: &str| store.rename_passkey(id(user), id(5_001), name.to_owned());
    assert_eq!(rename(2, "mine").await.unwrap(), None);
    let renamed = StoredPasskey { name: Some("Key".to_owned()), ..passkey(1, 1) };
    assert_eq!(rename(1, "Key").await.unwrap(), Some(renamed.clone()));
    assert_eq!(store.passkeys(id(1)).await.unwrap(), [renamed]);
}

pub(in crate::store::contract) async fn removed_passkey_is_gone_and_noted_once(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    add(&store, passkey(1, 1), 20).await;
    assert_eq!(remove(&store, 2, 1, EVERYWHERE).await, PasskeyRemoval::Absent);
    assert_eq!(remove(&store, 1, 1, NOWHERE).await, PasskeyRemoval::Removed, "a password stays");
    assert_eq!(remove(&store, 1, 1, NOWHERE).await, PasskeyRemoval::Removed, "a repetition");
    assert_eq!(remove(&store, 1, 2, NOWHERE).await, PasskeyRemoval::Absent);
    assert_eq!(count(&store, 1).await, 0);
    assert_eq!(noted(&store, 1, AccountEventKind::PasskeyRemoved).await, 1);
    assert_eq!(store.use_passkey(used(1, 1, 950)).await.unwrap(), None);
    assert_eq!(add(&store, passkey(1, 1), 20).await, PasskeyAddition::Added, "it can be registered again");
}

pub(in crate::store::contract) async fn of_removals_at_once_the_last_way_in_stays(store: Store) {
    // A user with a phone number and no password.
    store.sign_in_by_address(sign_in(phone(), 31, 1_000)).await.unwrap();
    for number in 1..=4 {
        add(&store, passkey(number, 31), 20).await;
    }
    let outcomes = at_once(4, |index| {
        let store = Arc::clone(&store);
        async move { remove(&store, 31, u32::try_from(index).unwrap() + 1, NOWHERE).await }
    })
    .await;
    let removed = outcomes.iter().filter(|outcome| **outcome == PasskeyRemoval::Removed).count();
    let last = outcomes.iter().filter(|outcome| **outcome == PasskeyRemoval::LastWayIn).count();
    assert_eq!((removed, last, count(&store, 31).await), (3, 1, 1), "{outcomes:?}");
    assert_eq!(noted(&store, 31, AccountEventKind::PasskeyRemoved).await, 3);

    let left = store.passkeys(id(31)).await.unwrap().remove(0).id;
    for (codes, expected) in [
        (CodeChannels { email: true, phone: false }, PasskeyRemoval::LastWayIn),
        (CodeChannels { email: false, phone: true }, PasskeyRemoval::Removed),
    ] {
        let audit = audit_event(600, id(31), AccountEventKind::PasskeyRemoved, at(2_000));
        assert_eq!(store.remove_passkey(id(31), left, codes, audit).await.unwrap(), expected);
    }
}

pub(in crate::store::contract) async fn passkey_makes_a_guest_a_user(store: Store) {
    guests::create(&store, 1).await;
    assert!(store.user(id(1)).await.unwrap().unwrap().guest);
    assert_eq!(add(&store, passkey(1, 1), 20).await, PasskeyAddition::Added);
    assert!(!store.user(id(1)).await.unwrap().unwrap().guest);
}

/// Whoever registered with somebody else's address may have added a passkey, and a phone number of their own.
pub(in crate::store::contract) async fn proof_of_an_unverified_address_removes_passkeys_and_phone(
    store: Store,
) {
    for number in [1, 2] {
        register(&store, number).await;
        let own = Address::Phone(format!("+49170123456{number}"));
        let audit = audit_event(67_000 + number, id(number), AccountEventKind::PhoneChanged, at(500));
        let refresh_hash = hash(140 + u8::try_from(number).unwrap());
        let own = AddressChange { refresh_hash, audit, ..change(own, number, false) };
        store.change_address(own).await.unwrap();
        assert!(store.user(id(number)).await.unwrap().unwrap().phone_verified);
        add(&store, passkey(number, number), 20).await;
    }
    let email = |number: u32| Address::Email(format!("user{number}@example.com"));
    store.sign_in_by_address(sign_in(email(1), 41, 1_000)).await.unwrap();
    assert_eq!(count(&store, 1).await, 0);
    assert!(store.create_password_reset(permission(102, 2)).await.unwrap());
    assert!(store.reset_password(reset(102, 2, 2_000)).await.unwrap());
    assert_eq!(count(&store, 2).await, 0);

    // The address is verified now.
    for number in [1, 2] {
        let verified = User { email_verified: true, ..user(number) };
        assert_eq!(store.user(id(number)).await.unwrap(), Some(verified));
        add(&store, passkey(10 + number, number), 20).await;
    }
    store.sign_in_by_address(sign_in(email(1), 42, 3_000)).await.unwrap();
    assert!(store.create_password_reset(permission(103, 2)).await.unwrap());
    assert!(store.reset_password(reset(103, 2, 4_000)).await.unwrap());
    assert_eq!((count(&store, 1).await, count(&store, 2).await), (1, 1));
}
