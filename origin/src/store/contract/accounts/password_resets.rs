//! Permissions to set a new password.

use shared::{
    address::Address,
    api::{
        account::AccountEventKind,
        internal::user_event::{AddressedEvent, UserEvent},
    },
};

use super::{Store, exchange, outcome, register, try_register};
use crate::store::{
    accounts::{
        jobs::NewJob,
        password_resets::{NewPasswordReset, PasswordReset},
    },
    contract::{
        at_once,
        samples::{at, audit_event, hash, id, session, user},
    },
};

pub(super) fn permission(token: u8, user: u32) -> NewPasswordReset {
    NewPasswordReset {
        token_hash: hash(token),
        user_id: id(user),
        address: Address::Email(format!("user{user}@example.com")),
        expires_at: at(30_000),
    }
}

pub(super) fn reset(token: u8, user: u32, millis: i64) -> PasswordReset {
    PasswordReset {
        token_hash: hash(token),
        user_id: id(user),
        password_hash: format!("by {token}"),
        event: AddressedEvent {
            id: id(64_000 + u32::from(token)),
            user_id: id(user),
            at: at(millis),
            event: UserEvent::UserSessionsEnded { except: None },
        },
        job: NewJob {
            id: id(65_000 + u32::from(token)),
            kind: "notify",
            key: None,
            payload: "reset".to_owned(),
            due_at: at(millis),
        },
        audit: audit_event(64_000 + u32::from(token), id(user), AccountEventKind::PasswordReset, at(millis)),
    }
}

pub(in crate::store::contract) async fn reset_sets_password_and_ends_all_sessions_once(store: Store) {
    for number in [1, 2] {
        register(&store, number).await;
    }
    for token in [100, 101] {
        assert!(store.create_password_reset(permission(token, 1)).await.unwrap());
    }
    assert!(store.create_password_reset(permission(100, 1)).await.unwrap(), "a repetition");
    assert!(store.create_password_reset(permission(102, 2)).await.unwrap());
    assert!(!store.create_password_reset(permission(103, 9)).await.unwrap(), "there is no such user");
    assert_eq!(store.password_reset_user(hash(100), at(29_999)).await.unwrap(), Some(user(1)));

    assert!(store.reset_password(reset(100, 1, 2_000)).await.unwrap());
    assert_eq!(store.password_hash(id(1)).await.unwrap().as_deref(), Some("by 100"));
    let verified = shared::api::account::User { email_verified: true, ..user(1) };
    assert_eq!(store.user(id(1)).await.unwrap(), Some(verified));
    let ended = store.session(id(1), id(1_001)).await.unwrap().unwrap().ended_at;
    assert_eq!(ended, Some(at(2_000)));
    assert_eq!(outcome(&store, exchange(1, 20, 3_000)).await.0, "ended");
    // Neither this token nor another one of the user is left; somebody else's is.
    for token in [100, 101] {
        assert_eq!(store.password_reset_user(hash(token), at(3_000)).await.unwrap(), None, "{token}");
        assert!(!store.reset_password(reset(token, 1, 3_000)).await.unwrap(), "{token}");
    }
    assert_eq!(store.password_reset_user(hash(102), at(3_000)).await.unwrap(), Some(user(2)));
    assert_eq!(store.session(id(2), id(1_002)).await.unwrap().unwrap().ended_at, None);
    let events = store.lease_events(at(900_000), at(900_000), 9).await.unwrap();
    assert_eq!(events.iter().map(|leased| leased.event.id).collect::<Vec<_>>(), [id(64_100)]);
}

pub(in crate::store::contract) async fn expired_or_foreign_permission_resets_nothing(store: Store) {
    for number in [1, 2] {
        register(&store, number).await;
    }
    assert!(store.create_password_reset(permission(100, 1)).await.unwrap());
    assert_eq!(store.password_reset_user(hash(100), at(30_000)).await.unwrap(), None);
    for refused in [reset(100, 1, 30_000), reset(100, 2, 2_000), reset(101, 1, 2_000)] {
        assert!(!store.reset_password(refused).await.unwrap());
    }
    for number in [1, 2] {
        assert_eq!(store.password_hash(id(number)).await.unwrap().as_deref(), Some("phc"));
        let session = store.session(id(number), id(1_000 + number)).await.unwrap().unwrap();
        assert_eq!(session.ended_at, None);
    }
    assert!(store.reset_password(reset(100, 1, 29_999)).await.unwrap());
}

pub(in crate::store::contract) async fn permission_for_phone_verifies_phone_if_still_the_users(store: Store) {
    let phone = |number: &str| Address::Phone(number.to_owned());
    let with_phone =
        |number| shared::api::account::User { phone: Some(format!("+4917012345{number}")), ..user(number) };
    for number in [11, 12] {
        let user = with_phone(number);
        let session = session(u8::try_from(number).unwrap(), &user);
        try_register(&store, user.clone(), "phc", session).await.unwrap();
        let address = phone(if number == 11 { "+491701234511" } else { "+491700000000" });
        let token = u8::try_from(100 + number).unwrap();
        let permission = NewPasswordReset { address, ..permission(token, number) };
        assert!(store.create_password_reset(permission).await.unwrap());
        assert!(store.reset_password(reset(token, number, 2_000)).await.unwrap());
        let known = store.user(id(number)).await.unwrap().unwrap();
        assert_eq!((known.phone_verified, known.email_verified), (number == 11, false));
    }
}

pub(in crate::store::contract) async fn of_resets_at_once_one_wins(store: Store) {
    register(&store, 1).await;
    assert!(store.create_password_reset(permission(100, 1)).await.unwrap());
    let used = at_once(6, |number| {
        let store = store.clone();
        let reset = PasswordReset { password_hash: format!("by {number}"), ..reset(100, 1, 2_000) };
        async move { store.reset_password(reset.clone()).await.unwrap().then_some(reset.password_hash) }
    })
    .await;
    let winners: Vec<_> = used.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(store.password_hash(id(1)).await.unwrap(), winners.first().cloned());
}

pub(in crate::store::contract) async fn expired_permissions_are_forgotten_oldest_first(store: Store) {
    register(&store, 1).await;
    for (token, expires_at) in [(100, 1_000), (101, 2_000), (102, 3_000)] {
        let permission = NewPasswordReset { expires_at: at(expires_at), ..permission(token, 1) };
        assert!(store.create_password_reset(permission).await.unwrap());
    }
    assert_eq!(store.forget_password_resets(at(3_000), 1).await.unwrap(), 1);
    assert_eq!(store.password_reset_user(hash(100), at(0)).await.unwrap(), None);
    assert_eq!(store.forget_password_resets(at(3_000), 9).await.unwrap(), 1);
    assert_eq!(store.password_reset_user(hash(102), at(0)).await.unwrap(), Some(user(1)));
}
