//! Guests, and their end.

use shared::{
    address::Address,
    api::{
        account::{AccountEventKind, User},
        internal::user_event::{AddressedEvent, UserEvent},
    },
};

use super::{Store, addresses::change, register};
use crate::store::{
    accounts::{
        addresses::AddressChangeOutcome,
        guests::GuestMerge,
        jobs::{JobClaim, NewJob},
    },
    contract::{
        at_once,
        samples::{at, audit_event, id, opening_event, session, user},
    },
};

fn guest(number: u32) -> User {
    User { email: None, guest: true, ..user(number) }
}

pub(super) async fn create(store: &Store, number: u8) {
    let guest = guest(u32::from(number));
    let session = session(number, &guest);
    let audit = opening_event(&session);
    store.create_guest(guest, session, audit).await.unwrap();
}

/// A merge of a guest whose ids have this number.
fn merge(from: u32, into: u32, number: u32) -> GuestMerge {
    let event = UserEvent::UserSessionsEnded { except: None };
    let job = |place: u32| NewJob {
        id: id(90_000 + 10 * number + place),
        kind: "merge",
        key: Some(format!("{place}:{from}")),
        payload: format!("{from} to {into}"),
        due_at: at(1_000 + i64::from(place)),
    };
    GuestMerge {
        guest_id: id(from),
        into: id(into),
        event: AddressedEvent { id: id(91_000 + number), user_id: id(from), at: at(1_000), event },
        jobs: vec![job(0), job(1)],
        audit: audit_event(91_000 + number, id(into), AccountEventKind::GuestMerged, at(1_000)),
    }
}

async fn payloads(store: &Store) -> Vec<String> {
    let claim = JobClaim {
        owner: id(99_999),
        kinds: vec!["merge"],
        now: at(10_000),
        lease_until: at(20_000),
        limit: 9,
    };
    store.claim_jobs(claim).await.unwrap().into_iter().map(|job| job.payload).collect()
}

pub(in crate::store::contract) async fn guest_is_read_back_and_created_once(store: Store) {
    create(&store, 1).await;
    create(&store, 1).await;
    assert_eq!(store.user(id(1)).await.unwrap(), Some(guest(1)));
    assert_eq!(store.session(id(1), id(1_001)).await.unwrap().unwrap().user, guest(1));
    assert_eq!(store.audit_events(id(1), None, 9).await.unwrap().len(), 1);
    assert_eq!(store.password_hash(id(1)).await.unwrap(), None);
    assert_eq!(store.merged_into(id(1)).await.unwrap(), None);
    create(&store, 2).await;
}

pub(in crate::store::contract) async fn address_makes_a_guest_a_user(store: Store) {
    create(&store, 1).await;
    let address = Address::Email("ada@example.com".to_owned());
    let changed = store.change_address(change(address, 1, false)).await.unwrap();
    let AddressChangeOutcome::Changed(user) = changed else { panic!("{changed:?}") };
    assert_eq!((user.id, user.guest, user.email_verified), (id(1), false, true));
    register(&store, 2).await;
    assert!(!store.merge_guest(merge(1, 2, 1)).await.unwrap(), "a guest no more");
}

pub(in crate::store::contract) async fn merged_guest_ends_once_with_jobs_and_event(store: Store) {
    create(&store, 1).await;
    for number in [2, 3] {
        register(&store, number).await;
    }
    assert!(store.merge_guest(merge(1, 2, 1)).await.unwrap());
    assert!(store.merge_guest(merge(1, 2, 1)).await.unwrap(), "a repetition");
    assert!(!store.merge_guest(merge(1, 3, 2)).await.unwrap());
    assert_eq!(store.merged_into(id(1)).await.unwrap(), Some(id(2)));
    let session = store.session(id(1), id(1_001)).await.unwrap().unwrap();
    assert_eq!(session.ended_at, Some(at(1_000)));
    let events = store.lease_events(at(9_000), at(9_000), 9).await.unwrap();
    assert_eq!(events.into_iter().map(|leased| leased.event).collect::<Vec<_>>(), [merge(1, 2, 1).event]);
    assert_eq!(payloads(&store).await, ["1 to 2", "1 to 2"]);
    let noted = store.audit_events(id(2), None, 9).await.unwrap();
    assert_eq!(noted.iter().filter(|event| event.kind == AccountEventKind::GuestMerged).count(), 1);
    assert_eq!(store.audit_events(id(3), None, 9).await.unwrap().len(), 1);
}

pub(in crate::store::contract) async fn of_merges_at_once_one_wins(store: Store) {
    create(&store, 1).await;
    for number in 2..8 {
        register(&store, number).await;
    }
    let merged = at_once(6, |number| {
        let (store, into) = (store.clone(), 2 + u32::try_from(number).unwrap());
        async move { store.merge_guest(merge(1, into, into)).await.unwrap().then_some(id(into)) }
    })
    .await;
    let winners: Vec<_> = merged.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.merged_into(id(1)).await.unwrap(), Some(winners[0]));
    assert_eq!(payloads(&store).await.len(), 2);
}

pub(in crate::store::contract) async fn user_is_not_merged(store: Store) {
    for number in [1, 2] {
        register(&store, number).await;
    }
    create(&store, 3).await;
    assert!(!store.merge_guest(merge(1, 2, 1)).await.unwrap(), "a user");
    assert!(!store.merge_guest(merge(9, 2, 1)).await.unwrap(), "nobody");
    assert!(!store.merge_guest(merge(3, 9, 1)).await.unwrap(), "into nobody");
    assert!(!store.merge_guest(merge(3, 3, 1)).await.unwrap(), "into themselves");
    assert_eq!(store.session(id(3), id(1_003)).await.unwrap().unwrap().ended_at, None);
    assert!(payloads(&store).await.is_empty());
}
