//! Users: registration, and what is read back.

use std::sync::Arc;

use shared::time::Timestamp;

use super::{Store, exchange, outcome, register, usage::usage};
use crate::store::{
    accounts::{
        usage::{UsageEntry, UsageOutcome},
        users::Registration,
    },
    contract::{
        at_once,
        samples::{at, id, session, user},
    },
};

pub(in crate::store::contract) async fn user_is_read_back_as_written(store: Store) {
    store.ping().await.unwrap();
    register(&store, 1).await;
    let known = store.credential("user1@example.com".to_owned(), None).await.unwrap().unwrap();
    assert_eq!((known.user, known.password_hash.as_str()), (user(1), "phc"));
    assert_eq!(store.user(id(1)).await.unwrap(), Some(user(1)));
    assert_eq!(store.user(id(2)).await.unwrap(), None);
    let session = store.session(id(1), id(1_001)).await.unwrap().unwrap();
    assert_eq!((session.user, session.id, session.ended_at), (user(1), id(1_001), None));
    assert_eq!(session.expires_at, at(1_000_000));
}

pub(in crate::store::contract) async fn plan_of_a_newer_version_is_kept(store: Store) {
    let plan = shared::api::account::Plan::parse("team").unwrap();
    let team = shared::api::account::User { plan, ..user(1) };
    let registered = store.register(team.clone(), "phc".to_owned(), session(1, &team)).await.unwrap();
    assert_eq!(registered, Registration::Created);
    let known = store.credential(team.email.clone().unwrap(), None).await.unwrap().unwrap();
    assert_eq!(known.user, team);
}

pub(in crate::store::contract) async fn email_is_unique_and_compared_as_stored(store: Store) {
    register(&store, 1).await;
    let mut other = user(2);
    other.email = user(1).email;
    let refused = store.register(other.clone(), "phc".to_owned(), session(2, &other)).await.unwrap();
    assert_eq!(refused, Registration::EmailTaken);
    assert!(store.session(other.id, id(1_002)).await.unwrap().is_none());
    // Neither case nor accents nor trailing spaces are folded here: the caller has normalized the address.
    for (number, email) in [(3, "ïser1@example.com"), (4, "user1@example.com "), (5, "strasse@example.com")]
    {
        let other = shared::api::account::User { email: Some(email.to_owned()), ..user(number) };
        let session = session(u8::try_from(number).unwrap(), &other);
        assert_eq!(store.register(other, "phc".to_owned(), session).await.unwrap(), Registration::Created);
    }
    for unknown in ["USER1@example.com", "straße@example.com", "user1", "", "%"] {
        assert!(store.credential(unknown.to_owned(), None).await.unwrap().is_none(), "{unknown}");
    }
}

pub(in crate::store::contract) async fn registering_again_changes_nothing(store: Store) {
    register(&store, 1).await;
    let repeated = store.register(user(1), "other".to_owned(), session(2, &user(1))).await.unwrap();
    assert_eq!(repeated, Registration::Created);
    assert_eq!(
        store.credential("user1@example.com".to_owned(), None).await.unwrap().unwrap().password_hash,
        "phc"
    );
    assert!(store.session(id(1), id(1_002)).await.unwrap().is_none());
}

pub(in crate::store::contract) async fn of_registrations_at_once_one_wins(store: Store) {
    let outcomes = at_once(16, |index| {
        let store = Arc::clone(&store);
        async move {
            let number = u32::try_from(index).unwrap() + 1;
            let user =
                shared::api::account::User { email: Some("one@example.com".to_owned()), ..user(number) };
            let session = session(u8::try_from(number).unwrap(), &user);
            store.register(user, "phc".to_owned(), session).await.unwrap()
        }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Registration::Created).count(), 1);
    assert!(store.credential("one@example.com".to_owned(), None).await.unwrap().is_some());
}

pub(in crate::store::contract) async fn registration_sent_concurrently_creates_one_user(store: Store) {
    let outcomes = at_once(16, |_| {
        let store = Arc::clone(&store);
        async move { store.register(user(1), "phc".to_owned(), session(1, &user(1))).await.unwrap() }
    })
    .await;
    assert!(outcomes.iter().all(|outcome| *outcome == Registration::Created), "{outcomes:?}");
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await.0, "exchanged");
}

pub(in crate::store::contract) async fn letters_beyond_ascii_are_kept_as_they_are(store: Store) {
    // Composed and decomposed, upper and lower case, a dotless and a dotted i: six addresses.
    let emails = ["\u{e9}va@x.org", "e\u{301}va@x.org", "Éva@x.org", "ıx@x.org", "İx@x.org", "ix@x.org"];
    for (number, email) in (1..).zip(emails) {
        let new_user = shared::api::account::User { email: Some(email.to_owned()), ..user(number) };
        let session = session(u8::try_from(number).unwrap(), &new_user);
        let outcome = store.register(new_user, "phc".to_owned(), session).await.unwrap();
        assert_eq!(outcome, Registration::Created, "{email}");
    }
    for (number, email) in (1..).zip(emails) {
        assert_eq!(
            store.credential(email.to_owned(), None).await.unwrap().unwrap().user.id,
            id(number),
            "{email}"
        );
    }
    let shouted = shared::api::account::User { email: Some("ADA@x.org".to_owned()), ..user(7) };
    let refused = store.register(shouted.clone(), "phc".to_owned(), session(7, &shouted)).await.unwrap_err();
    assert_eq!(refused.kind(), "conflict");
}

pub(in crate::store::contract) async fn email_with_nul_matches_no_user(store: Store) {
    register(&store, 1).await;
    assert!(store.credential("user1@example.com\0".to_owned(), None).await.unwrap().is_none());
}

pub(in crate::store::contract) async fn times_are_exact_to_the_millisecond_however_far(store: Store) {
    let times = [i64::MIN, -62_167_219_200_000, -1, 0, 1, Timestamp::MAX.as_millis(), i64::MAX - 1, i64::MAX];
    for (number, millis) in (1..).zip(times) {
        let at = Timestamp::from_millis(millis);
        let far = shared::api::account::User { created_at: at, ..user(number) };
        let mut session = session(u8::try_from(number).unwrap(), &far);
        session.expires_at = at;
        store.register(far.clone(), "phc".to_owned(), session).await.unwrap();
        let found = store.session(far.id, id(1_000 + number)).await.unwrap().unwrap();
        assert_eq!((found.user.created_at, found.expires_at), (at, at));
        let entry = UsageEntry { at, ..usage(number, number, 0, "fast") };
        let day = at.day();
        assert_eq!(store.record_usage(entry).await.unwrap(), UsageOutcome::Counted);
        let rows = store.usage(id(number), day.clone(), day.clone()).await.unwrap();
        assert_eq!((rows.len(), rows[0].day.as_str()), (1, day.as_str()));
    }
}
