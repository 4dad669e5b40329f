//! Users: registration, and what is read back.

use std::sync::Arc;

use shared::{
    api::account::{AccountEventKind, UpdateProfile, User},
    time::Timestamp,
};

use super::{Store, exchange, outcome, register, try_register, usage::usage};
use crate::store::{
    accounts::{
        jobs::JobClaim,
        usage::{UsageEntry, UsageOutcome},
        users::Registration,
    },
    contract::{
        at_once,
        samples::{at, audit_event, id, opening_event, registration_job, session, user},
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
    let team = User { plan, ..user(1) };
    let registered = try_register(&store, team.clone(), "phc", session(1, &team)).await.unwrap();
    assert_eq!(registered, Registration::Created);
    let known = store.credential(team.email.clone().unwrap(), None).await.unwrap().unwrap();
    assert_eq!(known.user, team);
}

pub(in crate::store::contract) async fn email_is_unique_and_compared_as_stored(store: Store) {
    register(&store, 1).await;
    let mut other = user(2);
    other.email = user(1).email;
    let refused = try_register(&store, other.clone(), "phc", session(2, &other)).await.unwrap();
    assert_eq!(refused, Registration::EmailTaken);
    assert!(store.session(other.id, id(1_002)).await.unwrap().is_none());
    // Neither case nor accents nor trailing spaces are folded here: the caller has normalized the address.
    for (number, email) in [(3, "ïser1@example.com"), (4, "user1@example.com "), (5, "strasse@example.com")]
    {
        let other = User { email: Some(email.to_owned()), ..user(number) };
        let session = session(u8::try_from(number).unwrap(), &other);
        assert_eq!(try_register(&store, other, "phc", session).await.unwrap(), Registration::Created);
    }
    for unknown in ["USER1@example.com", "straße@example.com", "user1", "", "%"] {
        assert!(store.credential(unknown.to_owned(), None).await.unwrap().is_none(), "{unknown}");
    }
}

pub(in crate::store::contract) async fn registering_again_changes_nothing(store: Store) {
    register(&store, 1).await;
    let repeated = try_register(&store, user(1), "other", session(2, &user(1))).await.unwrap();
    assert_eq!(repeated, Registration::Created);
    assert_eq!(
        store.credential("user1@example.com".to_owned(), None).await.unwrap().unwrap().password_hash,
        "phc"
    );
    assert!(store.session(id(1), id(1_002)).await.unwrap().is_none());
}

pub(in crate::store::contract) async fn registration_schedules_its_job_once(store: Store) {
    let session = session(1, &user(1));
    for _ in 0..2 {
        let job = registration_job(&session);
        let audit = opening_event(&session);
        let registered = store.register(user(1), "phc".to_owned(), session.clone(), audit, job).await;
        assert_eq!(registered.unwrap(), Registration::Created);
    }
    let claim = JobClaim {
        owner: id(9),
        kinds: vec!["registration"],
        now: at(1_000_000),
        lease_until: at(1_100_000),
        limit: 10,
    };
    let claimed = store.claim_jobs(claim).await.unwrap();
    assert_eq!(claimed.into_iter().map(|job| job.id).collect::<Vec<_>>(), [session.id]);
}

pub(in crate::store::contract) async fn of_registrations_at_once_one_wins(store: Store) {
    let outcomes = at_once(16, |index| {
        let store = Arc::clone(&store);
        async move {
            let number = u32::try_from(index).unwrap() + 1;
            let user = User { email: Some("one@example.com".to_owned()), ..user(number) };
            let session = session(u8::try_from(number).unwrap(), &user);
            try_register(&store, user, "phc", session).await.unwrap()
        }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Registration::Created).count(), 1);
    assert!(store.credential("one@example.com".to_owned(), None).await.unwrap().is_some());
}

pub(in crate::store::contract) async fn registration_sent_concurrently_creates_one_user(store: Store) {
    let outcomes = at_once(16, |_| {
        let store = Arc::clone(&store);
        async move { try_register(&store, user(1), "phc", session(1, &user(1))).await.unwrap() }
    })
    .await;
    assert!(outcomes.iter().all(|outcome| *outcome == Registration::Created), "{outcomes:?}");
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await.0, "exchanged");
}

pub(in crate::store::contract) async fn letters_beyond_ascii_are_kept_as_they_are(store: Store) {
    // Composed and decomposed, upper and lower case, a dotless and a dotted i: six addresses.
    let emails = ["\u{e9}va@x.org", "e\u{301}va@x.org", "Éva@x.org", "ıx@x.org", "İx@x.org", "ix@x.org"];
    for (number, email) in (1..).zip(emails) {
        let new_user = User { email: Some(email.to_owned()), ..user(number) };
        let session = session(u8::try_from(number).unwrap(), &new_user);
        let outcome = try_register(&store, new_user, "phc", session).await.unwrap();
        assert_eq!(outcome, Registration::Created, "{email}");
    }
    for (number, email) in (1..).zip(emails) {
        assert_eq!(
            store.credential(email.to_owned(), None).await.unwrap().unwrap().user.id,
            id(number),
            "{email}"
        );
    }
    let shouted = User { email: Some("ADA@x.org".to_owned()), ..user(7) };
    let refused = try_register(&store, shouted.clone(), "phc", session(7, &shouted)).await.unwrap_err();
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
        let far = User { created_at: at, ..user(number) };
        let mut session = session(u8::try_from(number).unwrap(), &far);
        session.expires_at = at;
        try_register(&store, far.clone(), "phc", session).await.unwrap();
        let found = store.session(far.id, id(1_000 + number)).await.unwrap().unwrap();
        assert_eq!((found.user.created_at, found.expires_at), (at, at));
        let entry = UsageEntry { at, ..usage(number, number, 0, "fast") };
        let day = at.day();
        assert_eq!(store.record_usage(entry).await.unwrap(), UsageOutcome::Counted);
        let rows = store.usage(id(number), day.clone(), day.clone()).await.unwrap();
        assert_eq!((rows.len(), rows[0].day.as_str()), (1, day.as_str()));
    }
}

/// The kinds of the events that are noted of user 1, newest first.
async fn noted(store: &Store) -> Vec<String> {
    let events = store.audit_events(id(1), None, 100).await.unwrap();
    events.iter().map(|event| event.kind.as_str().to_owned()).collect()
}

pub(in crate::store::contract) async fn profile_changes_where_it_is_named(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    let change = async |number: u32, user: u32, update: UpdateProfile| {
        let audit = audit_event(number, id(user), AccountEventKind::ProfileChanged, at(number.into()));
        store.update_profile(id(user), update, audit).await.unwrap()
    };
    let picture = Some("https://example.com/a.png".to_owned());
    let update = UpdateProfile {
        display_name: Some(None),
        avatar_url: Some(picture.clone()),
        ..UpdateProfile::default()
    };
    let changed = User { display_name: None, avatar_url: picture, ..user(1) };
    assert_eq!(change(1, 1, update.clone()).await, Some(changed.clone()));
    assert_eq!(store.user(id(1)).await.unwrap(), Some(changed.clone()));
    assert_eq!(change(1, 1, update.clone()).await, Some(changed.clone()), "a repetition");
    assert_eq!(change(2, 1, update.clone()).await, Some(changed.clone()), "it has all of it");
    assert_eq!(change(3, 1, UpdateProfile::default()).await, Some(changed.clone()));
    assert_eq!(noted(&store).await, ["profile_changed", "signed_in"]);
    let rest = UpdateProfile {
        locale: Some(None),
        timezone: Some(Some("Asia/Tokyo".to_owned())),
        ..UpdateProfile::default()
    };
    let changed = User { locale: None, timezone: Some("Asia/Tokyo".to_owned()), ..changed };
    assert_eq!(change(4, 1, rest).await, Some(changed));
    assert_eq!(noted(&store).await, ["profile_changed", "profile_changed", "signed_in"]);
    assert_eq!(change(5, 9, update).await, None);
    assert_eq!(store.user(id(2)).await.unwrap(), Some(user(2)), "it is somebody else's");
}

pub(in crate::store::contract) async fn profiles_changed_at_once_keep_every_field(store: Store) {
    register(&store, 1).await;
    at_once(16, |index| {
        let store = Arc::clone(&store);
        let value = Some(Some(format!("value {}", index / 4)));
        let update = match index % 4 {
            0 => UpdateProfile { display_name: value, ..UpdateProfile::default() },
            1 => UpdateProfile { avatar_url: value, ..UpdateProfile::default() },
            2 => UpdateProfile { locale: value, ..UpdateProfile::default() },
            _ => UpdateProfile { timezone: value, ..UpdateProfile::default() },
        };
        let number = u32::try_from(index).unwrap();
        let audit = audit_event(number, id(1), AccountEventKind::ProfileChanged, at(1));
        async move { store.update_profile(id(1), update, audit).await.unwrap().unwrap() }
    })
    .await;
    let User { display_name, avatar_url, locale, timezone, .. } = store.user(id(1)).await.unwrap().unwrap();
    for field in [display_name, avatar_url, locale, timezone] {
        assert!(field.as_deref().is_some_and(|text| text.starts_with("value ")), "{field:?}");
    }
    assert_eq!(noted(&store).await.len(), 17);
}
