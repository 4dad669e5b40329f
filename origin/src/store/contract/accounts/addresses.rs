//! Addresses, and sign-ins by them.

use shared::{
    address::Address,
    api::{
        account::{AccountEventKind, User},
        internal::user_event::UserEvent,
    },
};

use super::{Store, exchange, outcome, register, try_register};
use crate::store::{
    accounts::{
        addresses::{AddressChange, AddressChangeOutcome, AddressOwner, AddressSignIn},
        audit::AuditEvent,
        jobs::NewJob,
        sessions::NewSession,
        sign_ins::{ProvenSignIn, SignedIn},
        users::Registration,
    },
    contract::{
        at_once,
        samples::{at, audit_event, hash, id, opening_event, session, user},
    },
};

const PHONE: &str = "+491701234567";

pub(super) fn phone() -> Address {
    Address::Phone(PHONE.to_owned())
}

fn email(number: u32) -> Address {
    Address::Email(format!("user{number}@example.com"))
}

/// A sign-in whose new user and session have this number.
pub(super) fn sign_in(address: Address, number: u8, millis: i64) -> AddressSignIn {
    let mut new_user = User { email: None, display_name: None, ..user(u32::from(number)) };
    match &address {
        Address::Email(email) => (new_user.email, new_user.email_verified) = (Some(email.clone()), true),
        Address::Phone(phone) => (new_user.phone, new_user.phone_verified) = (Some(phone.clone()), true),
    }
    let session = NewSession { created_at: at(millis), ..session(number, &new_user) };
    let audit = AuditEvent { kind: AccountEventKind::SignedUp, ..opening_event(&session) };
    let event_id = id(66_000 + u32::from(number));
    AddressSignIn { address, proven: ProvenSignIn { new_user, session, event_id, audit } }
}

pub(in crate::store::contract) async fn sign_in_by_unknown_address_creates_verified_user_once(store: Store) {
    let first = sign_in(phone(), 31, 1_000);
    let created = SignedIn { user: first.proven.new_user.clone(), is_new: true, event: None };
    assert_eq!(store.user_by_address(phone()).await.unwrap(), None);
    assert_eq!(store.address_owner(phone(), None).await.unwrap(), None);
    assert_eq!(store.sign_in_by_address(first.clone()).await.unwrap().unwrap(), created);
    assert_eq!(store.sign_in_by_address(first.clone()).await.unwrap().unwrap(), created, "a repetition");
    assert_eq!(store.user_by_address(phone()).await.unwrap(), Some(first.proven.new_user.clone()));
    let owner = AddressOwner { user_id: id(31), is_known_network: true };
    assert_eq!(
        store.address_owner(phone(), first.proven.session.network.clone()).await.unwrap(),
        Some(owner)
    );
    assert_eq!(store.password_hash(id(31)).await.unwrap(), None);
    assert_eq!(outcome_of(&store, 31).await, "exchanged");

    let again = store.sign_in_by_address(sign_in(phone(), 32, 2_000)).await.unwrap().unwrap();
    assert_eq!(again, SignedIn { user: first.proven.new_user, is_new: false, event: None });
    assert_eq!(store.user(id(32)).await.unwrap(), None);
    assert!(store.session(id(31), id(1_032)).await.unwrap().is_some());
}

/// Returns the outcome of exchanging the first refresh token of a session with this number, of any user.
async fn outcome_of(store: &Store, number: u8) -> &'static str {
    use crate::store::accounts::sessions::RefreshOutcome;
    match store.exchange_refresh(exchange(number, number + 100, 3_000)).await.unwrap() {
        RefreshOutcome::Exchanged { .. } => "exchanged",
        RefreshOutcome::Unknown => "unknown",
        RefreshOutcome::Ended { .. } => "ended",
        RefreshOutcome::Reused { .. } => "reused",
    }
}

pub(in crate::store::contract) async fn sign_in_by_verified_address_keeps_password_and_sessions(
    store: Store,
) {
    let verified = User { email_verified: true, ..user(1) };
    let registered = try_register(&store, verified.clone(), "phc", session(1, &verified)).await.unwrap();
    assert_eq!(registered, Registration::Created);
    let signed_in = store.sign_in_by_address(sign_in(email(1), 31, 1_000)).await.unwrap().unwrap();
    assert_eq!(signed_in, SignedIn { user: verified, is_new: false, event: None });
    assert_eq!(store.password_hash(id(1)).await.unwrap().as_deref(), Some("phc"));
    for number in [1_001, 1_031] {
        assert_eq!(store.session(id(1), id(number)).await.unwrap().unwrap().ended_at, None);
    }
    assert!(store.lease_events(at(9_000), at(9_000), 9).await.unwrap().is_empty());
}

pub(in crate::store::contract) async fn sign_in_by_unverified_address_removes_password_and_sessions(
    store: Store,
) {
    for number in [1, 2] {
        register(&store, number).await;
    }
    let by_owner = sign_in(email(1), 31, 1_000);
    let signed_in = store.sign_in_by_address(by_owner.clone()).await.unwrap().unwrap();
    let event = by_owner.proven.end_event(id(1));
    assert_eq!(event.event, UserEvent::UserSessionsEnded { except: Some(id(1_031)) });
    let verified = User { email_verified: true, ..user(1) };
    assert_eq!(signed_in, SignedIn { user: verified.clone(), is_new: false, event: Some(event) });
    assert_eq!(store.user(id(1)).await.unwrap(), Some(verified));
    assert_eq!(store.password_hash(id(1)).await.unwrap(), None);
    assert_eq!(store.password_hash(id(2)).await.unwrap().as_deref(), Some("phc"));
    let ended = async |user, number| store.session(id(user), id(number)).await.unwrap().unwrap().ended_at;
    assert_eq!(
        [ended(1, 1_001).await, ended(1, 1_031).await, ended(2, 1_002).await],
        [Some(at(1_000)), None, None]
    );
    let events = store.lease_events(at(9_000), at(9_000), 9).await.unwrap();
    assert_eq!(events.into_iter().map(|leased| leased.event).collect::<Vec<_>>(), [event]);

    assert_eq!(store.sign_in_by_address(by_owner).await.unwrap().unwrap().event, None, "a repetition");
    assert_eq!(ended(1, 1_031).await, None);
}

pub(in crate::store::contract) async fn sign_ins_at_once_by_unknown_address_create_one_user(store: Store) {
    let signed_in = at_once(6, |number| {
        let (store, number) = (store.clone(), 31 + u8::try_from(number).unwrap());
        async move { store.sign_in_by_address(sign_in(phone(), number, 1_000)).await.unwrap().unwrap() }
    })
    .await;
    let known = store.user_by_address(phone()).await.unwrap().unwrap();
    assert!(signed_in.iter().all(|one| one.user == known && one.event.is_none()), "{signed_in:?}");
    assert_eq!(signed_in.iter().filter(|one| one.is_new).count(), 1);
    for number in 1_031..1_037 {
        assert!(store.session(known.id, id(number)).await.unwrap().is_some(), "{number}");
    }
}

pub(super) fn change(address: Address, user: u32, job: bool) -> AddressChange {
    let job = job.then(|| NewJob {
        id: id(67_000),
        kind: "notify",
        key: None,
        payload: "changed".to_owned(),
        due_at: at(1_000),
    });
    AddressChange {
        user_id: id(user),
        address,
        session_id: id(1_000 + user),
        refresh_hash: hash(40),
        refresh_expires_at: at(400_000),
        job,
        audit: audit_event(67_000, id(user), AccountEventKind::PhoneChanged, at(1_000)),
    }
}

pub(in crate::store::contract) async fn changed_address_is_verified_and_replaces_refresh_tokens(
    store: Store,
) {
    register(&store, 1).await;
    assert_eq!(outcome(&store, exchange(1, 20, 1_000)).await.0, "exchanged");
    let with_phone = User { phone: Some(PHONE.to_owned()), phone_verified: true, ..user(1) };
    let changed = AddressChangeOutcome::Changed(Box::new(with_phone.clone()));
    assert_eq!(store.change_address(change(phone(), 1, true)).await.unwrap(), changed);
    assert_eq!(store.change_address(change(phone(), 1, true)).await.unwrap(), changed, "a repetition");
    for gone in [1, 20] {
        assert_eq!(outcome_of(&store, gone).await, "unknown", "{gone}");
    }
    let with_email = User { email: Some("new@example.com".to_owned()), email_verified: true, ..with_phone };
    let address = Address::Email("new@example.com".to_owned());
    let change = AddressChange { refresh_hash: hash(41), ..change(address, 1, false) };
    assert_eq!(
        store.change_address(change).await.unwrap(),
        AddressChangeOutcome::Changed(Box::new(with_email.clone()))
    );
    assert_eq!(store.user_by_address(email(1)).await.unwrap(), None);
    assert_eq!(store.user(id(1)).await.unwrap(), Some(with_email));
    assert_eq!([outcome_of(&store, 40).await, outcome_of(&store, 41).await], ["unknown", "exchanged"]);
    let claim = crate::store::accounts::jobs::JobClaim {
        owner: id(68_000),
        kinds: vec!["notify"],
        now: at(9_000),
        lease_until: at(90_000),
        limit: 9,
    };
    assert_eq!(store.claim_jobs(claim).await.unwrap().len(), 1);
}

pub(in crate::store::contract) async fn address_of_somebody_else_is_taken(store: Store) {
    for number in [1, 2] {
        register(&store, number).await;
    }
    let taken = AddressChangeOutcome::Taken;
    assert_eq!(store.change_address(change(email(2), 1, true)).await.unwrap(), taken);
    assert_eq!(store.user(id(1)).await.unwrap(), Some(user(1)));
    assert_eq!(outcome_of(&store, 1).await, "exchanged");
    for refused in [
        AddressChange { session_id: id(1_002), ..change(phone(), 1, true) },
        AddressChange { user_id: id(9), ..change(phone(), 1, true) },
    ] {
        assert_eq!(store.change_address(refused).await.unwrap(), AddressChangeOutcome::NoSession);
    }
    assert_eq!(store.user_by_address(phone()).await.unwrap(), None);
}

pub(in crate::store::contract) async fn email_is_verified_once_while_it_is_the_users(store: Store) {
    for number in [1, 2] {
        register(&store, number).await;
    }
    let audit = || audit_event(3, id(1), AccountEventKind::EmailVerified, at(1_000));
    let verify = async |user: u32, number: u32| {
        store.verify_email(id(user), format!("user{number}@example.com"), audit()).await.unwrap()
    };
    assert_eq!((verify(1, 2).await, verify(3, 3).await), (false, false));
    assert!(!store.user(id(1)).await.unwrap().unwrap().email_verified);
    assert_eq!((verify(1, 1).await, verify(1, 1).await), (true, true), "also a repetition");
    assert!(store.user(id(1)).await.unwrap().unwrap().email_verified);
    assert!(!store.user(id(2)).await.unwrap().unwrap().email_verified);
    let events = store.audit_events(id(1), None, 10).await.unwrap();
    let noted = events.iter().filter(|event| event.kind == AccountEventKind::EmailVerified);
    assert_eq!(noted.count(), 1);
}
