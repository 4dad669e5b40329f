//! The suite of the accounts port.

use std::sync::Arc;

use shared::{
    api::usage::Usage,
    auth::refresh::ExchangeTerms,
    time::{DAY_MS, Timestamp},
};

use super::{
    at_once,
    samples::{START, at, hash, id, session, user},
};
use crate::store::{
    Accounts,
    accounts::{
        FORGOTTEN_AT_ONCE, NewSession, RefreshExchange, RefreshOutcome, Registration, UsageEntry,
        UsageOutcome,
    },
};

/// The cases; `$open` is a fresh store and what keeps it alive.
macro_rules! suite {
    ($open:expr) => {
        $crate::store::contract::run_suite! { accounts on $open;
            a_user_is_read_back_as_written
            plan_of_a_newer_version_is_kept
            an_email_is_taken_once_and_compared_as_it_is_stored
            registering_again_changes_nothing
            of_registrations_at_once_one_wins
            one_registration_sent_many_times_at_once_is_one
            letters_beyond_ascii_are_kept_as_they_are
            an_email_with_a_nul_character_is_nobodys
            times_are_exact_to_the_millisecond_however_far
            a_session_belongs_to_its_user
            opening_a_session_again_changes_nothing
            sessions_that_expired_long_ago_are_forgotten
            sessions_that_ended_long_ago_are_forgotten_too
            long_gone_sessions_of_others_are_forgotten_a_few_at_a_time
            sessions_opened_at_once_are_all_there
            a_refresh_token_is_exchanged_until_it_expires
            the_last_used_token_gets_the_same_successor_within_the_grace
            successor_of_an_earlier_secret_is_returned_again
            successor_of_a_secret_that_is_gone_is_replaced
            an_older_token_ends_its_session
            a_used_token_that_has_expired_is_forgotten
            exchanges_at_once_agree
            reuses_at_once_end_the_session_once
            network_of_any_session_on_record_is_known
            hash_of_a_password_is_replaced_once
            a_turn_is_counted_once
            usage_is_summed_by_day_and_model
            models_are_sorted_by_their_bytes
            turns_at_once_are_summed_exactly
        }
    };
}
pub(super) use suite;

type Store = Arc<dyn Accounts>;

async fn register(store: &Store, number: u32) {
    let user = user(number);
    let session = session(u8::try_from(number).unwrap(), &user);
    assert_eq!(store.register(user, "phc".to_owned(), session).await.unwrap(), Registration::Created);
}

fn exchange(presented: u8, successor: u8, millis: i64) -> RefreshExchange {
    RefreshExchange {
        presented: hash(presented),
        successors: vec![hash(successor)],
        terms: ExchangeTerms {
            successor_expires_at: at(millis + 500_000),
            now: at(millis),
            grace_ms: 10_000,
        },
    }
}

/// What became of an exchange, in one word, and when the successor expires.
async fn outcome(store: &Store, exchange: RefreshExchange) -> (&'static str, i64) {
    let known = exchange.successors.clone();
    match store.exchange_refresh(exchange).await.unwrap() {
        RefreshOutcome::Exchanged { session, successor, refresh_expires_at } => {
            assert_eq!(session.user, user(1));
            assert!(known.contains(&successor));
            ("exchanged", refresh_expires_at.millis_since(START))
        }
        RefreshOutcome::Unknown => ("unknown", 0),
        RefreshOutcome::Ended { user_id } => {
            assert_eq!(user_id, id(1));
            ("ended", 0)
        }
        RefreshOutcome::Reused { user_id } => {
            assert_eq!(user_id, id(1));
            ("reused", 0)
        }
    }
}

pub(super) async fn a_user_is_read_back_as_written(store: Store) {
    store.ping().await.unwrap();
    register(&store, 1).await;
    let known = store.credential("user1@example.com".to_owned(), None).await.unwrap().unwrap();
    assert_eq!((known.user, known.password_hash.as_str()), (user(1), "phc"));
    let session = store.session(id(1), id(1_001)).await.unwrap().unwrap();
    assert_eq!((session.user, session.id, session.ended_at), (user(1), id(1_001), None));
    assert_eq!(session.expires_at, at(1_000_000));
}

pub(super) async fn plan_of_a_newer_version_is_kept(store: Store) {
    let plan = shared::api::account::Plan::parse("team").unwrap();
    let team = shared::api::account::User { plan, ..user(1) };
    let registered = store.register(team.clone(), "phc".to_owned(), session(1, &team)).await.unwrap();
    assert_eq!(registered, Registration::Created);
    let known = store.credential(team.email.clone().unwrap(), None).await.unwrap().unwrap();
    assert_eq!(known.user, team);
}

pub(super) async fn an_email_is_taken_once_and_compared_as_it_is_stored(store: Store) {
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

pub(super) async fn registering_again_changes_nothing(store: Store) {
    register(&store, 1).await;
    let repeated = store.register(user(1), "other".to_owned(), session(2, &user(1))).await.unwrap();
    assert_eq!(repeated, Registration::Created);
    assert_eq!(
        store.credential("user1@example.com".to_owned(), None).await.unwrap().unwrap().password_hash,
        "phc"
    );
    assert!(store.session(id(1), id(1_002)).await.unwrap().is_none());
}

pub(super) async fn of_registrations_at_once_one_wins(store: Store) {
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

pub(super) async fn one_registration_sent_many_times_at_once_is_one(store: Store) {
    let outcomes = at_once(16, |_| {
        let store = Arc::clone(&store);
        async move { store.register(user(1), "phc".to_owned(), session(1, &user(1))).await.unwrap() }
    })
    .await;
    assert!(outcomes.iter().all(|outcome| *outcome == Registration::Created), "{outcomes:?}");
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await.0, "exchanged");
}

pub(super) async fn letters_beyond_ascii_are_kept_as_they_are(store: Store) {
    // Composed and decomposed, upper and lower case, a dotless and a dotted i: six addresses.
    let emails = ["\u{e9}va@x.org", "e\u{301}va@x.org", "Éva@x.org", "ıx@x.org", "İx@x.org", "ix@x.org"];
    for (number, email) in (1..).zip(emails) {
        let named = shared::api::account::User { email: Some(email.to_owned()), ..user(number) };
        let session = session(u8::try_from(number).unwrap(), &named);
        let outcome = store.register(named, "phc".to_owned(), session).await.unwrap();
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

pub(super) async fn an_email_with_a_nul_character_is_nobodys(store: Store) {
    register(&store, 1).await;
    assert!(store.credential("user1@example.com\0".to_owned(), None).await.unwrap().is_none());
}

pub(super) async fn times_are_exact_to_the_millisecond_however_far(store: Store) {
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

pub(super) async fn a_session_belongs_to_its_user(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    assert!(store.session(id(2), id(1_001)).await.unwrap().is_none());
    assert!(store.session(id(1), id(9_999)).await.unwrap().is_none());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_some());
}

pub(super) async fn opening_a_session_again_changes_nothing(store: Store) {
    register(&store, 1).await;
    let opening = session(2, &user(1));
    assert!(store.open_session(opening.clone(), START).await.unwrap());
    let mut repeated = opening;
    repeated.expires_at = at(2_000_000);
    repeated.refresh_hash = hash(3);
    assert!(store.open_session(repeated, START).await.unwrap());
    assert_eq!(store.session(id(1), id(1_002)).await.unwrap().unwrap().expires_at, at(1_000_000));
    assert_eq!(outcome(&store, exchange(3, 4, 1)).await.0, "unknown");
    assert!(!store.open_session(session(5, &user(5)), START).await.unwrap());
}

pub(super) async fn sessions_that_expired_long_ago_are_forgotten(store: Store) {
    register(&store, 1).await;
    let mut later = session(3, &user(1));
    later.expires_at = at(3_000_000);
    assert!(store.open_session(later.clone(), at(1_000_000)).await.unwrap());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_some(), "it expired then, not before");
    later.id = id(1_004);
    later.refresh_hash = hash(4);
    assert!(store.open_session(later, at(1_000_001)).await.unwrap());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_none());
    assert_eq!(outcome(&store, exchange(1, 9, 1)).await.0, "unknown");
    for number in [1_003, 1_004] {
        assert!(store.session(id(1), id(number)).await.unwrap().is_some(), "{number}");
    }
}

pub(super) async fn sessions_that_ended_long_ago_are_forgotten_too(store: Store) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(1, 2, 20_000)).await.0, "reused");
    assert!(store.open_session(session(3, &user(1)), at(20_000)).await.unwrap());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_some(), "it ended then, not before");
    assert!(store.open_session(session(4, &user(1)), at(20_001)).await.unwrap());
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_none());
    assert!(store.session(id(1), id(1_003)).await.unwrap().is_some());
}

pub(super) async fn long_gone_sessions_of_others_are_forgotten_a_few_at_a_time(store: Store) {
    const OTHERS: u32 = 3 * FORGOTTEN_AT_ONCE / 2;
    for number in 1..=OTHERS {
        let other = user(number);
        let mut session = session(u8::try_from(number).unwrap(), &other);
        session.expires_at = at(number.into());
        assert_eq!(store.register(other, "phc".to_owned(), session).await.unwrap(), Registration::Created);
    }
    let last = OTHERS + 1;
    register(&store, last).await;
    let left = async || {
        let mut left = Vec::new();
        for number in 1..=last {
            left.extend(store.session(id(number), id(1_000 + number)).await.unwrap().map(|_| number));
        }
        left
    };
    let open = async |number: u8| {
        assert!(store.open_session(session(number, &user(last)), at(1_000)).await.unwrap());
    };
    open(100).await;
    assert_eq!(left().await, (FORGOTTEN_AT_ONCE + 1..=last).collect::<Vec<_>>(), "the oldest went");
    open(101).await;
    assert_eq!(left().await, [last]);
}

pub(super) async fn sessions_opened_at_once_are_all_there(store: Store) {
    register(&store, 1).await;
    for number in 2..20 {
        assert!(store.open_session(session(number, &user(1)), START).await.unwrap());
    }
    // Each of these forgets all of those.
    let opened = at_once(16, |index| {
        let store = Arc::clone(&store);
        let mut opening = session(u8::try_from(100 + index).unwrap(), &user(1));
        opening.expires_at = at(3_000_000);
        async move { store.open_session(opening, at(1_000_001)).await.unwrap() }
    })
    .await;
    assert!(opened.iter().all(|known_user| *known_user));
    for number in 1..20 {
        assert!(store.session(id(1), id(1_000 + number)).await.unwrap().is_none(), "{number}");
    }
    for number in 100..116 {
        assert!(store.session(id(1), id(1_000 + number)).await.unwrap().is_some(), "{number}");
    }
}

pub(super) async fn a_refresh_token_is_exchanged_until_it_expires(store: Store) {
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

pub(super) async fn the_last_used_token_gets_the_same_successor_within_the_grace(store: Store) {
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

pub(super) async fn successor_of_an_earlier_secret_is_returned_again(store: Store) {
    register(&store, 1).await;
    assert_eq!(successor(&store, exchange(1, 2, 1_000)).await, 2);
    let with_both = |millis| RefreshExchange { successors: vec![hash(9), hash(2)], ..exchange(1, 9, millis) };
    assert_eq!(successor(&store, with_both(1_001)).await, 2);
    assert_eq!(successor(&store, exchange(2, 3, 1_002)).await, 3);
    assert_eq!(outcome(&store, exchange(9, 4, 1_003)).await.0, "unknown");
    assert_eq!(outcome(&store, with_both(1_004)).await.0, "reused");
}

pub(super) async fn successor_of_a_secret_that_is_gone_is_replaced(store: Store) {
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

pub(super) async fn an_older_token_ends_its_session(store: Store) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(1, 2, 1_000)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(2, 3, 1_001)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(1, 2, 1_002)).await.0, "reused");
    assert_eq!(outcome(&store, exchange(3, 4, 1_003)).await.0, "ended");
    assert_eq!(store.session(id(1), id(1_001)).await.unwrap().unwrap().ended_at, Some(at(1_002)));
}

/// A session that is used for long does not grow: what is said of an expired token is the same as of none.
pub(super) async fn a_used_token_that_has_expired_is_forgotten(store: Store) {
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

pub(super) async fn exchanges_at_once_agree(store: Store) {
    register(&store, 1).await;
    let outcomes = at_once(16, |_| {
        let store = Arc::clone(&store);
        async move { outcome(&store, exchange(1, 2, 1_000)).await }
    })
    .await;
    assert!(outcomes.iter().all(|outcome| *outcome == ("exchanged", 501_000)), "{outcomes:?}");
    assert_eq!(outcome(&store, exchange(2, 3, 1_001)).await.0, "exchanged");
}

pub(super) async fn reuses_at_once_end_the_session_once(store: Store) {
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

fn usage(turn: u32, user: u32, day: i64, model: &str) -> UsageEntry {
    UsageEntry {
        turn_id: id(turn),
        user_id: id(user),
        at: START.plus_millis(day * DAY_MS),
        model: model.to_owned(),
        usage: Usage {
            input_tokens: 10,
            output_tokens: 20,
            cached_tokens: 3,
            reasoning_tokens: 4,
            total_tokens: 34,
        },
        failed: turn.is_multiple_of(2),
    }
}

async fn knows(store: &Store, number: u32, network: Option<&str>) -> bool {
    let email = format!("user{number}@example.com");
    let known = store.credential(email, network.map(str::to_owned)).await.unwrap();
    known.unwrap().is_known_network
}

pub(super) async fn network_of_any_session_on_record_is_known(store: Store) {
    let (home, office, elsewhere) = ("203.0.113.0/24", "2001:db8:1::/48", "198.51.100.0/24");
    for number in [1, 2] {
        register(&store, number).await;
    }
    let opening = NewSession { network: Some(office.to_owned()), ..session(3, &user(1)) };
    assert!(store.open_session(opening, START).await.unwrap());
    let nowhere = NewSession { network: None, ..session(4, &user(1)) };
    assert!(store.open_session(nowhere, START).await.unwrap());
    for (network, known) in [(home, true), (office, true), (elsewhere, false), ("", false), ("%", false)] {
        assert_eq!(knows(&store, 1, Some(network)).await, known, "{network}");
    }
    assert!(!knows(&store, 1, None).await, "no network is known to nobody");
    assert!(!knows(&store, 2, Some(office)).await, "it is somebody else's");
    // A session that has ended was one, until it is forgotten.
    assert_eq!(outcome(&store, exchange(1, 20, 1_000)).await.0, "exchanged");
    assert_eq!(outcome(&store, exchange(1, 20, 20_000)).await.0, "reused");
    assert!(knows(&store, 1, Some(home)).await);
    let later = NewSession { expires_at: at(3_000_000), network: None, ..session(5, &user(1)) };
    assert!(store.open_session(later, at(1_000_001)).await.unwrap());
    assert!(!knows(&store, 1, Some(home)).await);
}

pub(super) async fn hash_of_a_password_is_replaced_once(store: Store) {
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

pub(super) async fn a_turn_is_counted_once(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    let recorded = at_once(16, |_| {
        let store = Arc::clone(&store);
        async move { store.record_usage(usage(7, 1, 0, "fast")).await.unwrap() }
    })
    .await;
    assert_eq!(counts(&recorded), (1, 15));
    let rows = store.usage(id(1), START.day(), START.day()).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].totals.requests, rows[0].totals.messages, rows[0].totals.input_tokens), (1, 1, 10));
    assert_eq!(store.record_usage(usage(7, 2, 0, "fast")).await.unwrap_err().kind(), "conflict");
    assert!(store.usage(id(2), START.day(), START.day()).await.unwrap().is_empty());
    assert_eq!(store.record_usage(usage(8, 9, 0, "fast")).await.unwrap(), UsageOutcome::NoUser);
}

/// How many turns were counted, and how many had been before.
fn counts(outcomes: &[UsageOutcome]) -> (usize, usize) {
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    (count(UsageOutcome::Counted), count(UsageOutcome::Repeated))
}

pub(super) async fn usage_is_summed_by_day_and_model(store: Store) {
    register(&store, 1).await;
    for (turn, day, model) in [(1, 0, "fast"), (2, 0, "fast"), (3, 0, "lite"), (4, 1, "fast"), (5, 2, "fast")]
    {
        assert_eq!(store.record_usage(usage(turn, 1, day, model)).await.unwrap(), UsageOutcome::Counted);
    }
    let rows = store.usage(id(1), START.day(), START.plus_millis(DAY_MS).day()).await.unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.day.as_str(),
                row.model.as_str(),
                row.totals.requests,
                row.totals.output_tokens,
                row.totals.errors,
            )
        })
        .collect();
    let (first, second) = (START.day(), START.plus_millis(DAY_MS).day());
    assert_eq!(
        found,
        [
            (first.as_str(), "fast", 2, 40, 1),
            (first.as_str(), "lite", 1, 20, 0),
            (second.as_str(), "fast", 1, 20, 1),
        ]
    );
}

pub(super) async fn models_are_sorted_by_their_bytes(store: Store) {
    register(&store, 1).await;
    let sorted = ["", "B", "Z", "_", "a", "a b", "a-b", "a_b", "ab", "b", "zz", "\u{e4}", "\u{fffd}", "🦀"];
    for (turn, model) in (1..).zip(sorted.iter().rev()) {
        assert_eq!(store.record_usage(usage(turn, 1, 0, model)).await.unwrap(), UsageOutcome::Counted);
    }
    let rows = store.usage(id(1), START.day(), START.day()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.model.as_str()).collect::<Vec<_>>(), sorted);
}

pub(super) async fn turns_at_once_are_summed_exactly(store: Store) {
    const TURNS: u32 = 64;
    // Too many for 32 bits, and for the whole numbers of a float of 32 bits.
    let tokens = |turn: u32| 3_000_000_000 + u64::from(turn);
    register(&store, 1).await;
    // Each turn arrives twice.
    let recorded = at_once(2 * usize::try_from(TURNS).unwrap(), |index| {
        let store = Arc::clone(&store);
        let turn = u32::try_from(index / 2).unwrap();
        let mut entry = usage(turn, 1, 0, "fast");
        entry.usage.input_tokens = tokens(turn);
        async move { store.record_usage(entry).await.unwrap() }
    })
    .await;
    let turns = usize::try_from(TURNS).unwrap();
    assert_eq!(counts(&recorded), (turns, turns));
    let rows = store.usage(id(1), START.day(), START.day()).await.unwrap();
    let totals = rows[0].totals;
    assert_eq!((rows.len(), totals.requests, totals.messages), (1, TURNS.into(), TURNS.into()));
    assert_eq!(totals.input_tokens, (0..TURNS).map(tokens).sum::<u64>());
    assert_eq!((totals.output_tokens, totals.errors), (20 * u64::from(TURNS), u64::from(TURNS / 2)));
}
