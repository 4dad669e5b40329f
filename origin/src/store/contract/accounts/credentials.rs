//! Passwords, and the networks that are known.

use shared::{
    address::Address,
    api::{
        account::AccountEventKind,
        internal::user_event::{AddressedEvent, UserEvent},
    },
};

use super::{Store, exchange, open, outcome, register};
use crate::store::{
    accounts::{
        addresses::AddressOwner,
        credentials::PasswordChange,
        jobs::{JobClaim, NewJob},
        sessions::NewSession,
    },
    contract::{
        at_once,
        samples::{at, audit_event, hash, id, session, user},
    },
};

async fn knows(store: &Store, number: u32, network: Option<&str>) -> bool {
    let email = format!("user{number}@example.com");
    let known = store.credential(email.clone(), network.map(str::to_owned)).await.unwrap();
    let owner = store.address_owner(Address::Email(email.clone()), network.map(str::to_owned)).await.unwrap();
    let known = known.unwrap();
    assert_eq!(
        owner,
        Some(AddressOwner { user_id: known.user.id, is_known_network: known.is_known_network })
    );
    known.is_known_network
}

pub(in crate::store::contract) async fn network_of_any_session_on_record_is_known(store: Store) {
    let (home, office, other_network) = ("203.0.113.0/24", "2001:db8:1::/48", "198.51.100.0/24");
    for number in [1, 2] {
        register(&store, number).await;
    }
    let opening = NewSession { network: Some(office.to_owned()), ..session(3, &user(1)) };
    assert!(open(&store, opening).await);
    let nowhere = NewSession { network: None, ..session(4, &user(1)) };
    assert!(open(&store, nowhere).await);
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

pub(super) fn change(old: &str, new: &str, millis: i64) -> PasswordChange {
    PasswordChange {
        user_id: id(1),
        old_hash: old.to_owned(),
        new_hash: new.to_owned(),
        session_id: id(1_001),
        refresh_hash: hash(40),
        refresh_expires_at: at(400_000),
        event: AddressedEvent {
            id: id(60_000),
            user_id: id(1),
            at: at(millis),
            event: UserEvent::UserSessionsEnded { except: Some(id(1_001)) },
        },
        job: NewJob {
            id: id(61_000),
            kind: "notify",
            key: None,
            payload: "changed".to_owned(),
            due_at: at(millis),
        },
        audit: audit_event(60_000, id(1), AccountEventKind::PasswordChanged, at(millis)),
    }
}

async fn claimed_payloads(store: &Store) -> Vec<String> {
    let claim = JobClaim {
        owner: id(62_000),
        kinds: vec!["notify"],
        now: at(900_000),
        lease_until: at(950_000),
        limit: 9,
    };
    store.claim_jobs(claim).await.unwrap().into_iter().map(|job| job.payload).collect()
}

pub(in crate::store::contract) async fn changed_password_ends_other_sessions_and_refresh_tokens(
    store: Store,
) {
    for number in [1, 2] {
        register(&store, number).await;
    }
    assert!(open(&store, session(3, &user(1))).await);
    assert_eq!(outcome(&store, exchange(1, 20, 1_000)).await.0, "exchanged");
    assert_eq!(store.password_hash(id(1)).await.unwrap().as_deref(), Some("phc"));
    assert_eq!(store.password_hash(id(9)).await.unwrap(), None);

    assert!(store.change_password(change("phc", "new", 2_000)).await.unwrap());
    assert!(store.change_password(change("phc", "new", 2_000)).await.unwrap(), "a repetition");
    let hashes = [1, 2].map(async |number| store.password_hash(id(number)).await.unwrap().unwrap());
    let [first, second] = hashes;
    assert_eq!((first.await.as_str(), second.await.as_str()), ("new", "phc"));
    let ended = async |user, number| store.session(id(user), id(number)).await.unwrap().unwrap().ended_at;
    assert_eq!(
        [ended(1, 1_001).await, ended(1, 1_003).await, ended(2, 1_002).await],
        [None, Some(at(2_000)), None]
    );
    for gone in [1, 20] {
        assert_eq!(outcome(&store, exchange(gone, 50, 3_000)).await.0, "unknown", "{gone}");
    }
    assert_eq!(outcome(&store, exchange(40, 41, 3_000)).await, ("exchanged", 503_000));
    let events = store.lease_events(at(900_000), at(900_000), 9).await.unwrap();
    assert_eq!(events.iter().map(|leased| leased.event.id).collect::<Vec<_>>(), [id(60_000)]);
    assert_eq!(claimed_payloads(&store).await, ["changed"]);
}

pub(in crate::store::contract) async fn password_change_of_other_hash_or_ended_session_does_nothing(
    store: Store,
) {
    for number in [1, 2] {
        register(&store, number).await;
    }
    assert!(open(&store, session(3, &user(1))).await);
    let somebody_elses = PasswordChange { session_id: id(1_002), ..change("phc", "new", 2_000) };
    let unknown = PasswordChange { user_id: id(9), ..change("phc", "new", 2_000) };
    for refused in [change("other", "new", 2_000), somebody_elses, unknown] {
        assert!(!store.change_password(refused).await.unwrap());
    }
    let event = AddressedEvent {
        id: id(63_000),
        user_id: id(1),
        at: at(2_500),
        event: UserEvent::SessionEnded { session_id: id(1_001) },
    };
    let audit = audit_event(60_001, id(1), AccountEventKind::SessionEnded, event.at);
    assert!(store.end_session(id(1), id(1_001), event, audit).await.unwrap());
    assert!(!store.change_password(change("phc", "new", 3_000)).await.unwrap());
    assert_eq!(store.password_hash(id(1)).await.unwrap().as_deref(), Some("phc"));
    assert_eq!(store.session(id(1), id(1_003)).await.unwrap().unwrap().ended_at, None);
    assert!(claimed_payloads(&store).await.is_empty());
}

pub(in crate::store::contract) async fn of_password_changes_at_once_one_wins(store: Store) {
    register(&store, 1).await;
    let changed = at_once(6, |number| {
        let (store, new) = (store.clone(), format!("new{number}"));
        let change = PasswordChange {
            refresh_hash: hash(40 + u8::try_from(number).unwrap()),
            ..change("phc", &new, 2_000)
        };
        async move { store.change_password(change).await.unwrap().then_some(new) }
    })
    .await;
    let winners: Vec<_> = changed.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(store.password_hash(id(1)).await.unwrap(), winners.first().cloned());
}
