//! Identities, and sign-ins by them.

use shared::api::account::{AccountEventKind, Provider, User};

use super::{Store, addresses::sign_in as address_sign_in, register, try_register};
use crate::store::{
    accounts::{
        audit::AuditEvent,
        identities::{IdentityLink, IdentityLinkOutcome, IdentitySignIn, IdentityToken, NewIdentity},
        password_resets::{NewPasswordReset, PasswordReset},
        sessions::NewSession,
        sign_ins::{ProvenSignIn, SignedIn},
        users::Registration,
    },
    contract::{
        at_once,
        samples::{at, audit_event, hash, id, opening_event, session, user},
    },
};
use shared::{
    address::Address,
    api::internal::user_event::{AddressedEvent, UserEvent},
};

const EMAIL: &str = "user1@example.com";

fn identity(subject: &str, email: Option<&str>) -> NewIdentity {
    NewIdentity { provider: Provider::Google, subject: subject.to_owned(), email: email.map(str::to_owned) }
}

/// A sign-in whose new user and session have this number.
pub(super) fn sign_in(
    subject: &str,
    verified_email: Option<&str>,
    number: u8,
    millis: i64,
) -> IdentitySignIn {
    let new_user = User {
        email: verified_email.map(str::to_owned),
        email_verified: verified_email.is_some(),
        ..user(u32::from(number))
    };
    let session = NewSession { created_at: at(millis), ..session(number, &new_user) };
    let audit = AuditEvent { kind: AccountEventKind::SignedUp, ..opening_event(&session) };
    IdentitySignIn {
        identity: identity(subject, verified_email),
        verified_email: verified_email.map(str::to_owned),
        proven: ProvenSignIn { new_user, session, event_id: id(76_000 + u32::from(number)), audit },
        linked_audit_id: id(77_000 + u32::from(number)),
    }
}

async fn kinds(store: &Store, user: u32) -> Vec<String> {
    let events = store.audit_events(id(user), None, 100).await.unwrap();
    events.iter().map(|event| event.kind.as_str().to_owned()).collect()
}

async fn ended_at(store: &Store, user: u32, session: u32) -> Option<shared::time::Timestamp> {
    store.session(id(user), id(session)).await.unwrap().unwrap().ended_at
}

pub(in crate::store::contract) async fn sign_in_by_unknown_identity_creates_user_once(store: Store) {
    let first = sign_in("a", Some("new@example.com"), 31, 1_000);
    let created = SignedIn { user: first.proven.new_user.clone(), is_new: true, event: None };
    assert_eq!(store.sign_in_by_identity(first.clone()).await.unwrap().unwrap(), created);
    assert_eq!(store.sign_in_by_identity(first.clone()).await.unwrap().unwrap(), created, "a repetition");
    assert_eq!(store.user(id(31)).await.unwrap(), Some(first.proven.new_user.clone()));
    assert_eq!(store.password_hash(id(31)).await.unwrap(), None);
    let again =
        store.sign_in_by_identity(sign_in("a", Some("new@example.com"), 32, 2_000)).await.unwrap().unwrap();
    assert_eq!(again, SignedIn { user: first.proven.new_user, is_new: false, event: None });
    assert_eq!(store.user(id(32)).await.unwrap(), None);
    assert!(store.session(id(31), id(1_032)).await.unwrap().is_some());
    assert_eq!(kinds(&store, 31).await, ["signed_in", "signed_up"]);
    let without = store.sign_in_by_identity(sign_in("b", None, 33, 3_000)).await.unwrap().unwrap();
    assert_eq!((without.is_new, without.user.email), (true, None));
}

pub(in crate::store::contract) async fn sign_in_by_known_identity_ignores_the_address(store: Store) {
    register(&store, 1).await;
    let first = sign_in("a", Some("old@example.com"), 31, 1_000);
    store.sign_in_by_identity(first.clone()).await.unwrap().unwrap();
    let again = store.sign_in_by_identity(sign_in("a", Some(EMAIL), 32, 2_000)).await.unwrap().unwrap();
    assert_eq!(again, SignedIn { user: first.proven.new_user, is_new: false, event: None });
    assert_eq!(store.user(id(1)).await.unwrap(), Some(user(1)));
    assert_eq!(store.password_hash(id(1)).await.unwrap().as_deref(), Some("phc"));
}

pub(in crate::store::contract) async fn identity_is_linked_to_whoever_verified_the_address(store: Store) {
    let verified = User { email_verified: true, ..user(1) };
    let registered = try_register(&store, verified.clone(), "phc", session(1, &verified)).await.unwrap();
    assert_eq!(registered, Registration::Created);
    let by_google = sign_in("a", Some(EMAIL), 31, 1_000);
    let linked = SignedIn { user: verified, is_new: false, event: None };
    assert_eq!(store.sign_in_by_identity(by_google.clone()).await.unwrap().unwrap(), linked);
    assert_eq!(store.sign_in_by_identity(by_google).await.unwrap().unwrap(), linked, "a repetition");
    assert_eq!(store.password_hash(id(1)).await.unwrap().as_deref(), Some("phc"));
    assert_eq!([ended_at(&store, 1, 1_001).await, ended_at(&store, 1, 1_031).await], [None, None]);
    let mut noted = kinds(&store, 1).await;
    noted.sort_unstable();
    assert_eq!(noted, ["identity_linked", "signed_in", "signed_in"]);
    let later = store.sign_in_by_identity(sign_in("a", None, 32, 2_000)).await.unwrap().unwrap();
    assert_eq!(later.user.id, id(1));
}

pub(in crate::store::contract) async fn identity_takes_over_account_that_never_verified_the_address(
    store: Store,
) {
    register(&store, 1).await;
    let squatter = link(1, "squatter", None);
    let linked = store.link_identity(squatter).await.unwrap();
    assert!(matches!(linked, IdentityLinkOutcome::Linked(_)), "{linked:?}");
    let by_owner = sign_in("a", Some(EMAIL), 31, 5_000);
    let event = by_owner.proven.end_event(id(1));
    let verified = User { email_verified: true, ..user(1) };
    let taken_over = store.sign_in_by_identity(by_owner.clone()).await.unwrap().unwrap();
    assert_eq!(taken_over, SignedIn { user: verified.clone(), is_new: false, event: Some(event) });
    assert_eq!(store.user(id(1)).await.unwrap(), Some(verified));
    assert_eq!(store.password_hash(id(1)).await.unwrap(), None);
    assert_eq!([ended_at(&store, 1, 1_001).await, ended_at(&store, 1, 1_031).await], [Some(at(5_000)), None]);
    let events = store.lease_events(at(9_000), at(9_000), 9).await.unwrap();
    assert_eq!(events.into_iter().map(|leased| leased.event).collect::<Vec<_>>(), [event]);
    assert_eq!(store.sign_in_by_identity(by_owner).await.unwrap().unwrap().event, None, "a repetition");
    let squatter = store.sign_in_by_identity(sign_in("squatter", None, 32, 6_000)).await.unwrap().unwrap();
    assert!(squatter.is_new, "the identity that was linked before is gone");
}

pub(in crate::store::contract) async fn unverified_address_links_nothing(store: Store) {
    register(&store, 1).await;
    let unverified = IdentitySignIn { identity: identity("a", Some(EMAIL)), ..sign_in("a", None, 31, 1_000) };
    let signed_in = store.sign_in_by_identity(unverified).await.unwrap().unwrap();
    assert!(signed_in.is_new && signed_in.user.email.is_none());
    assert_eq!(store.user(id(1)).await.unwrap(), Some(user(1)));
}

pub(in crate::store::contract) async fn sign_ins_at_once_by_unknown_identity_create_one_user(store: Store) {
    for (subject, email) in [("a", Some("new@example.com")), ("b", None)] {
        let first = if email.is_some() { 31 } else { 41 };
        let signed_in = at_once(6, |number| {
            let (store, number) = (store.clone(), first + u8::try_from(number).unwrap());
            async move {
                store.sign_in_by_identity(sign_in(subject, email, number, 1_000)).await.unwrap().unwrap()
            }
        })
        .await;
        let user = signed_in[0].user.clone();
        assert!(signed_in.iter().all(|one| one.user == user && one.event.is_none()), "{signed_in:?}");
        assert_eq!(signed_in.iter().filter(|one| one.is_new).count(), 1);
        for number in 0..6 {
            let session = id(1_000 + u32::from(first) + number);
            assert!(store.session(user.id, session).await.unwrap().is_some(), "{number}");
        }
    }
}

pub(in crate::store::contract) async fn sign_ins_at_once_by_identity_and_address_create_one_user(
    store: Store,
) {
    let email = "both@example.com";
    let users = at_once(6, |number| {
        let (store, place) = (store.clone(), 31 + u8::try_from(number).unwrap());
        async move {
            if number % 2 == 0 {
                let subject = if number == 0 { "a" } else { "b" };
                store
                    .sign_in_by_identity(sign_in(subject, Some(email), place, 1_000))
                    .await
                    .unwrap()
                    .unwrap()
                    .user
            } else {
                let address = Address::Email(email.to_owned());
                store.sign_in_by_address(address_sign_in(address, place, 1_000)).await.unwrap().unwrap().user
            }
        }
    })
    .await;
    assert!(users.iter().all(|user| user.id == users[0].id && user.email_verified), "{users:?}");
}

pub(in crate::store::contract) async fn code_of_unverified_address_removes_linked_identity(store: Store) {
    register(&store, 1).await;
    store.link_identity(link(1, "squatter", None)).await.unwrap();
    let address = Address::Email(EMAIL.to_owned());
    store.sign_in_by_address(address_sign_in(address, 31, 1_000)).await.unwrap();
    assert!(store.sign_in_by_identity(sign_in("squatter", None, 32, 2_000)).await.unwrap().unwrap().is_new);
}

pub(in crate::store::contract) async fn reset_of_unverified_address_removes_linked_identity(store: Store) {
    for (user, is_removed) in [(1, true), (2, false)] {
        register(&store, user).await;
        if !is_removed {
            let address = Address::Email(format!("user{user}@example.com"));
            store.sign_in_by_address(address_sign_in(address, 51, 500)).await.unwrap();
        }
        let subject = format!("linked {user}");
        let number = if is_removed { 1 } else { 51 };
        let own = IdentityLink { session_id: id(1_000 + number), ..link(user, &subject, None) };
        store.link_identity(own).await.unwrap();
        reset(&store, user).await;
        let session = 32 + u8::try_from(user).unwrap();
        let signed_in =
            store.sign_in_by_identity(sign_in(&subject, None, session, 3_000)).await.unwrap().unwrap();
        assert_eq!(signed_in.is_new, is_removed, "{user}");
    }
}

async fn reset(store: &Store, user: u32) {
    let token_hash = hash(200 + u8::try_from(user).unwrap());
    let reset = NewPasswordReset {
        token_hash,
        user_id: id(user),
        address: Address::Email(format!("user{user}@example.com")),
        expires_at: at(100_000),
    };
    assert!(store.create_password_reset(reset).await.unwrap());
    let event = UserEvent::UserSessionsEnded { except: None };
    let used = PasswordReset {
        token_hash,
        user_id: id(user),
        password_hash: "new".to_owned(),
        event: AddressedEvent { id: id(78_000 + user), user_id: id(user), at: at(2_000), event },
        job: job(79_000 + user),
        audit: audit_event(78_000 + user, id(user), AccountEventKind::PasswordReset, at(2_000)),
    };
    assert!(store.reset_password(used).await.unwrap());
}

fn job(number: u32) -> crate::store::accounts::jobs::NewJob {
    let (kind, payload) = ("notify", String::new());
    crate::store::accounts::jobs::NewJob { id: id(number), kind, key: None, payload, due_at: at(1_000) }
}

/// A link to the first session of a user.
pub(super) fn link(user: u32, subject: &str, verified_email: Option<&str>) -> IdentityLink {
    IdentityLink {
        user_id: id(user),
        identity: identity(subject, verified_email),
        verified_email: verified_email.map(str::to_owned),
        session_id: id(1_000 + user),
        refresh_hash: hash(100 + u8::try_from(user).unwrap()),
        refresh_expires_at: at(400_000),
        audit: audit_event(80_000 + user, id(user), AccountEventKind::IdentityLinked, at(500)),
    }
}

pub(in crate::store::contract) async fn link_keeps_the_session_and_gives_an_address(store: Store) {
    let guest = User { email: None, guest: true, ..user(1) };
    store.create_guest(guest.clone(), session(1, &guest), opening_event(&session(1, &guest))).await.unwrap();
    let linked =
        User { email: Some("ada@example.com".to_owned()), email_verified: true, guest: false, ..guest };
    let outcome = IdentityLinkOutcome::Linked(Box::new(linked));
    assert_eq!(store.link_identity(link(1, "a", Some("ada@example.com"))).await.unwrap(), outcome);
    assert_eq!(store.link_identity(link(1, "a", Some("ada@example.com"))).await.unwrap(), outcome);
    assert_eq!(kinds(&store, 1).await, ["identity_linked", "signed_in"]);
    assert_eq!(ended_at(&store, 1, 1_001).await, None);

    // An address that is there stays, and is verified where it is the same.
    register(&store, 2).await;
    let outcome = store.link_identity(link(2, "b", Some("other@example.com"))).await.unwrap();
    assert_eq!(outcome, IdentityLinkOutcome::Linked(Box::new(user(2))));
    let outcome = store.link_identity(link(2, "c", Some("user2@example.com"))).await.unwrap();
    let verified = User { email_verified: true, ..user(2) };
    assert_eq!(outcome, IdentityLinkOutcome::Linked(Box::new(verified)));
}

pub(in crate::store::contract) async fn link_of_somebody_elses_identity_is_taken(store: Store) {
    for number in [1, 2] {
        register(&store, number).await;
    }
    store.link_identity(link(1, "a", None)).await.unwrap();
    assert_eq!(store.link_identity(link(2, "a", None)).await.unwrap(), IdentityLinkOutcome::Taken);
    assert_eq!(kinds(&store, 2).await, ["signed_in"]);
    let no_session = IdentityLink { session_id: id(1_001), ..link(2, "b", None) };
    assert_eq!(store.link_identity(no_session).await.unwrap(), IdentityLinkOutcome::NoSession);
    let nobody = IdentityLink { user_id: id(9), ..link(2, "b", None) };
    assert_eq!(store.link_identity(nobody).await.unwrap(), IdentityLinkOutcome::NoSession);
    assert!(store.sign_in_by_identity(sign_in("b", None, 31, 1_000)).await.unwrap().unwrap().is_new);
}

pub(in crate::store::contract) async fn guest_gets_no_address_of_somebody_else(store: Store) {
    register(&store, 2).await;
    let guest = User { email: None, guest: true, ..user(1) };
    store.create_guest(guest.clone(), session(1, &guest), opening_event(&session(1, &guest))).await.unwrap();
    let taken = store.link_identity(link(1, "a", Some("user2@example.com"))).await.unwrap();
    assert_eq!(taken, IdentityLinkOutcome::Taken);
    assert_eq!(store.user(id(1)).await.unwrap(), Some(guest));
    // A user has a way to sign in already: they get the identity without the address.
    let phone = Address::Phone("+491701234567".to_owned());
    let signed_in = store.sign_in_by_address(address_sign_in(phone, 31, 100)).await.unwrap().unwrap();
    let own = IdentityLink { session_id: id(1_031), ..link(31, "a", Some("user2@example.com")) };
    let outcome = store.link_identity(own).await.unwrap();
    assert_eq!(outcome, IdentityLinkOutcome::Linked(Box::new(signed_in.user)));
}

pub(in crate::store::contract) async fn token_of_an_identity_is_kept_for_its_user(store: Store) {
    register(&store, 1).await;
    store.link_identity(link(1, "a", None)).await.unwrap();
    let token = |byte| IdentityToken { client_id: "com.example.app".to_owned(), sealed: vec![byte, 0, 255] };
    let keep = async |user, subject: &str, byte| {
        let subject = subject.to_owned();
        store.keep_identity_token(id(user), Provider::Google, subject, token(byte)).await.unwrap()
    };
    assert_eq!(store.identity_tokens(id(1), Provider::Google).await.unwrap(), []);
    assert_eq!([keep(1, "a", 1).await, keep(1, "a", 2).await], [true, true]);
    assert_eq!([keep(2, "a", 3).await, keep(1, "b", 4).await], [false, false]);
    assert_eq!(store.identity_tokens(id(1), Provider::Google).await.unwrap(), [token(2)]);
    assert_eq!(store.identity_tokens(id(1), Provider::Apple).await.unwrap(), []);
}
