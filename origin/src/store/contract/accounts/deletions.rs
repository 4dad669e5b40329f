//! Deletions of accounts.

use std::sync::Arc;

use shared::{
    address::Address,
    api::{
        account::{AccountEventKind, User},
        internal::user_event::{AddressedEvent, UserEvent},
        usage::Usage,
    },
    auth::consents::AcceptedVersion,
    id::Id,
    time::Timestamp,
};

use super::{Store, exchange, open, outcome, register, try_register};
use crate::store::{
    accounts::{
        addresses::AddressSignIn,
        audit::AuditEvent,
        deletions::DeletionRequest,
        jobs::{JobClaim, NewJob},
        password_resets::NewPasswordReset,
        sessions::{NewSession, SessionsPage},
        sign_ins::ProvenSignIn,
        usage::{UsageEntry, UsageOutcome},
        users::Registration,
    },
    contract::{
        at_once,
        samples::{at, audit_event, hash, id, opening_event, session, user},
    },
};

/// The deletion of user `number`, asked for at `millis` in their first session, for 1,000 ms later.
fn request(number: u32, millis: i64) -> DeletionRequest {
    let event = UserEvent::UserSessionsEnded { except: None };
    let serial = 100 * number + u32::try_from(millis).unwrap();
    let job = |kind, offset, due_at| NewJob {
        id: id(5_000_000 + 10 * serial + offset),
        kind,
        key: None,
        payload: format!("user {number}"),
        due_at,
    };
    DeletionRequest {
        user_id: id(number),
        session_id: id(1_000 + number),
        deletes_at: at(millis + 1_000),
        event: AddressedEvent { id: id(6_000_000 + serial), user_id: id(number), at: at(millis), event },
        audit: audit_event(serial, id(number), AccountEventKind::DeletionRequested, at(millis)),
        job: job("delete", 0, at(millis + 1_000)),
        notice: Some(job("tell", 1, at(millis))),
    }
}

async fn ask(store: &Store, number: u32, millis: i64) -> Option<i64> {
    let deletes_at = store.request_deletion(request(number, millis)).await.unwrap();
    deletes_at.map(|deletes_at| deletes_at.millis_since(at(0)))
}

async fn begin(store: &Store, number: u32, deletes_at: i64) -> bool {
    store.begin_deletion(id(number), at(deletes_at), at(deletes_at)).await.unwrap()
}

async fn due(store: &Store, owner: u32, now: Timestamp) -> Vec<String> {
    let claim = JobClaim {
        owner: id(owner),
        kinds: vec!["delete", "tell", "sweep"],
        now,
        lease_until: now.plus_millis(1_000_000),
        limit: 100,
    };
    let mut kinds: Vec<_> = store.claim_jobs(claim).await.unwrap().into_iter().map(|job| job.kind).collect();
    kinds.sort_unstable();
    kinds
}

async fn open_sessions(store: &Store, number: u32) -> Vec<Id> {
    let page = SessionsPage { now: at(0), unused_since: at(-1), after: None, limit: 100 };
    let sessions = store.sessions(id(number), page).await.unwrap();
    sessions.into_iter().map(|session| session.id).collect()
}

/// The kinds of all events of a user, sorted.
async fn kinds(store: &Store, number: u32) -> Vec<String> {
    let events = store.audit_events(id(number), None, 100).await.unwrap();
    let mut kinds: Vec<_> = events.into_iter().map(|event| event.kind.as_str().to_owned()).collect();
    kinds.sort_unstable();
    kinds
}

/// Session `number` of a user, begun later than the first.
fn later(number: u8, user: &User, millis: i64) -> NewSession {
    NewSession { created_at: at(millis), ..session(number, user) }
}

fn by_email(number: u8, email: &str, millis: i64) -> AddressSignIn {
    let new_user = User { email: Some(email.to_owned()), email_verified: true, ..user(u32::from(number)) };
    let session = later(number, &new_user, millis);
    let audit = AuditEvent { kind: AccountEventKind::SignedUp, ..opening_event(&session) };
    let address = Address::Email(email.to_owned());
    let event_id = id(30_000 + u32::from(number));
    AddressSignIn { address, proven: ProvenSignIn { new_user, session, event_id, audit } }
}

pub(in crate::store::contract) async fn requested_deletion_ends_every_session_once(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    // One that began after the request, by another clock.
    assert!(open(&store, later(3, &user(1), 900)).await);
    assert_eq!(ask(&store, 9, 5).await, None);
    let foreign = DeletionRequest { session_id: id(1_002), ..request(1, 5) };
    assert_eq!(store.request_deletion(foreign).await.unwrap(), None);
    for millis in [5, 5, 7] {
        assert_eq!(ask(&store, 1, millis).await, Some(1_005));
    }
    assert_eq!(open_sessions(&store, 1).await, []);
    assert_eq!(open_sessions(&store, 2).await, [id(1_002)]);
    assert_eq!(outcome(&store, exchange(1, 101, 6)).await, ("ended", 0));
    let events = store.lease_events(at(5_000), at(9_000), 100).await.unwrap();
    let events: Vec<_> = events.into_iter().map(|leased| leased.event).collect();
    assert_eq!(events, [request(1, 5).event]);
    assert_eq!(kinds(&store, 1).await, ["deletion_requested", "signed_in", "signed_in"]);
    assert_eq!(due(&store, 900, at(1_004)).await, ["tell"]);
    assert_eq!(due(&store, 901, at(1_005)).await, ["delete"]);
    // The account is still there, and so is its address.
    let taken = User { email: user(1).email, ..user(4) };
    let refused = try_register(&store, taken.clone(), "phc", session(4, &taken)).await.unwrap();
    assert_eq!(refused, Registration::EmailTaken);
}

pub(in crate::store::contract) async fn sign_in_undoes_deletion_and_notes_it_once(store: Store) {
    register(&store, 1).await;
    assert_eq!(ask(&store, 1, 5).await, Some(1_005));
    for _ in 0..2 {
        assert!(open(&store, later(2, &user(1), 10)).await);
    }
    assert!(!begin(&store, 1, 1_005).await);
    let noted = ["deletion_cancelled", "deletion_requested", "signed_in", "signed_in"];
    assert_eq!(kinds(&store, 1).await, noted);
    assert_eq!(open_sessions(&store, 1).await, [id(1_002)]);
    // The session that asked has ended: its request may be on its way a second time.
    assert_eq!(ask(&store, 1, 20).await, None);

    let again = DeletionRequest { session_id: id(1_002), ..request(1, 30) };
    assert_eq!(store.request_deletion(again).await.unwrap(), Some(at(1_030)));
    for _ in 0..2 {
        let email = user(1).email.unwrap();
        let signed_in = store.sign_in_by_address(by_email(3, &email, 40)).await.unwrap().unwrap();
        assert_eq!((signed_in.user.id, signed_in.is_new), (id(1), false));
    }
    assert!(!begin(&store, 1, 1_030).await && !begin(&store, 1, 1_005).await);
    let cancelled = kinds(&store, 1).await.iter().filter(|kind| *kind == "deletion_cancelled").count();
    assert_eq!(cancelled, 2);
    let user = store.user(id(1)).await.unwrap().unwrap();
    assert!(user.email_verified, "{user:?}");
}

pub(in crate::store::contract) async fn begun_deletion_frees_address_and_lets_nobody_in(store: Store) {
    register(&store, 1).await;
    let email = user(1).email.unwrap();
    let reset = NewPasswordReset {
        token_hash: hash(77),
        user_id: id(1),
        address: Address::Email(email.clone()),
        expires_at: at(9_000),
    };
    assert!(store.create_password_reset(reset).await.unwrap());
    assert!(!begin(&store, 1, 1_005).await, "nobody asked for it");
    assert_eq!(ask(&store, 1, 5).await, Some(1_005));
    for _ in 0..2 {
        assert!(begin(&store, 1, 1_005).await);
    }
    assert!(!begin(&store, 1, 1_006).await);
    assert!(!open(&store, later(2, &user(1), 1_010)).await);
    assert!(store.credential(email.clone(), None).await.unwrap().is_none());
    assert!(store.password_hash(id(1)).await.unwrap().is_none());
    assert!(store.password_reset_user(hash(77), at(10)).await.unwrap().is_none());
    assert!(store.user_by_address(Address::Email(email.clone())).await.unwrap().is_none());
    let signed_in = store.sign_in_by_address(by_email(3, &email, 1_010)).await.unwrap().unwrap();
    assert_eq!((signed_in.user.id, signed_in.is_new), (id(3), true));
    assert!(begin(&store, 1, 1_005).await, "it goes on");
}

pub(in crate::store::contract) async fn of_begin_and_sign_in_at_once_one_happens(store: Store) {
    for number in 1..=12_u32 {
        register(&store, number).await;
        assert_eq!(ask(&store, number, 5).await, Some(1_005));
        let outcomes = at_once(2, |index| {
            let (store, user) = (Arc::clone(&store), user(number));
            async move {
                if index == 0 {
                    begin(&store, number, 1_005).await
                } else {
                    open(&store, later(u8::try_from(100 + number).unwrap(), &user, 1_005)).await
                }
            }
        })
        .await;
        assert_ne!(outcomes[0], outcomes[1], "of user {number}");
        let is_noted = kinds(&store, number).await.contains(&"deletion_cancelled".to_owned());
        assert_eq!(is_noted, outcomes[1], "of user {number}");
    }
}

pub(in crate::store::contract) async fn of_request_and_sign_in_at_once_the_later_one_counts(store: Store) {
    for number in 1..=12_u32 {
        register(&store, number).await;
        at_once(2, |index| {
            let (store, user) = (Arc::clone(&store), user(number));
            async move {
                if index == 0 {
                    assert_eq!(ask(&store, number, 5).await, Some(1_005));
                } else {
                    assert!(open(&store, later(u8::try_from(100 + number).unwrap(), &user, 5)).await);
                }
            }
        })
        .await;
        let is_signed_in = !open_sessions(&store, number).await.is_empty();
        assert_eq!(begin(&store, number, 1_005).await, !is_signed_in, "of user {number}");
    }
}

pub(in crate::store::contract) async fn deleted_user_leaves_nothing(store: Store) {
    let usage = |turn: u32, number: u32| UsageEntry {
        turn_id: id(200_000 + turn),
        user_id: id(number),
        at: at(0),
        model: "fast".to_owned(),
        usage: Usage { input_tokens: 1, total_tokens: 1, ..Usage::default() },
        failed: false,
    };
    for number in [1, 2] {
        register(&store, number).await;
        for turn in 0..5 {
            let counted = store.record_usage(usage(10 * number + turn, number)).await.unwrap();
            assert_eq!(counted, UsageOutcome::Counted);
        }
        let accepted =
            AcceptedVersion { document: "terms".to_owned(), version: "1".to_owned(), accepted_at: at(0) };
        let audit = audit_event(number, id(number), AccountEventKind::ConsentGiven, at(1));
        store.give_consent(id(number), accepted, 10, audit).await.unwrap();
    }
    let sweep =
        NewJob { id: id(7_000_000), kind: "sweep", key: None, payload: String::new(), due_at: at(5_000) };
    assert_eq!(ask(&store, 1, 5).await, Some(1_005));
    assert_eq!(store.delete_user_rows(id(1), 2).await.unwrap(), 0, "it has not begun");
    store.delete_user(id(1), sweep.clone()).await.unwrap();
    assert!(store.user(id(1)).await.unwrap().is_some(), "it has not begun");
    assert!(begin(&store, 1, 1_005).await);
    // A session, three events, five turns.
    let mut gone = Vec::new();
    loop {
        match store.delete_user_rows(id(1), 2).await.unwrap() {
            0 => break,
            rows => gone.push(rows),
        }
    }
    assert_eq!(gone, [5, 3, 1]);
    for _ in 0..2 {
        store.delete_user(id(1), sweep.clone()).await.unwrap();
    }
    assert!(store.user(id(1)).await.unwrap().is_none());
    assert!(!begin(&store, 1, 1_005).await);
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_none());
    assert_eq!(store.consents(id(1)).await.unwrap(), []);
    assert_eq!(kinds(&store, 1).await, [""; 0]);
    assert_eq!(store.usage(id(1), "2000-01-01".into(), "2100-01-01".into()).await.unwrap(), []);
    assert_eq!(store.lease_events(at(5_000), at(9_000), 100).await.unwrap(), []);
    assert_eq!(due(&store, 900, at(5_000)).await, ["delete", "sweep", "tell"]);
    // A late delivery writes nothing.
    assert_eq!(store.record_usage(usage(19, 1)).await.unwrap(), UsageOutcome::NoUser);
    let late = audit_event(40, id(1), AccountEventKind::SignInFailed, at(9));
    store.append_audit_event(late).await.unwrap();
    assert_eq!(kinds(&store, 1).await, [""; 0]);
    assert!(!open(&store, later(5, &user(1), 2_000)).await);
    // The other user has everything, and the address is free.
    assert_eq!(store.consents(id(2)).await.unwrap().len(), 1);
    assert_eq!(kinds(&store, 2).await.len(), 2);
    assert_eq!(store.usage(id(2), "2000-01-01".into(), "2100-01-01".into()).await.unwrap().len(), 1);
    let anew = User { email: user(1).email, ..user(6) };
    let created = try_register(&store, anew.clone(), "phc", session(6, &anew)).await.unwrap();
    assert_eq!(created, Registration::Created);
}
