//! Consents: the first time of each version is kept.

use std::sync::Arc;

use shared::{api::account::AccountEventKind, auth::consents::AcceptedVersion};

use super::{Store, register};
use crate::store::{
    accounts::consents::ConsentOutcome,
    contract::{
        at_once,
        samples::{at, audit_event, id},
    },
};

fn accepted(document: &str, version: &str, millis: i64) -> AcceptedVersion {
    let (document, version) = (document.to_owned(), version.to_owned());
    AcceptedVersion { document, version, accepted_at: at(millis) }
}

async fn give(store: &Store, user: u32, accepted: AcceptedVersion, most: u32) -> ConsentOutcome {
    let millis = accepted.accepted_at.millis_since(at(0));
    let number = u32::try_from(millis).unwrap();
    let audit = audit_event(number, id(user), AccountEventKind::ConsentGiven, accepted.accepted_at);
    store.give_consent(id(user), accepted, most, audit).await.unwrap()
}

/// The number of consents that the audit trail of user 1 has.
async fn noted(store: &Store) -> usize {
    let events = store.audit_events(id(1), None, 100).await.unwrap();
    events.iter().filter(|event| event.kind == AccountEventKind::ConsentGiven).count()
}

pub(in crate::store::contract) async fn first_consent_to_a_version_is_kept(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    assert_eq!(store.consents(id(1)).await.unwrap(), []);
    for (consent, outcome) in [
        (accepted("terms", "2", 10), ConsentOutcome::Given),
        (accepted("terms", "2", 20), ConsentOutcome::Known(at(10))),
        (accepted("terms", "1", 30), ConsentOutcome::Given),
        (accepted("Terms", "1", 40), ConsentOutcome::Given),
        (accepted("news", "1", 50), ConsentOutcome::Given),
    ] {
        assert_eq!(give(&store, 1, consent, 100).await, outcome);
    }
    assert_eq!(
        store.consents(id(1)).await.unwrap(),
        [
            accepted("Terms", "1", 40),
            accepted("news", "1", 50),
            accepted("terms", "1", 30),
            accepted("terms", "2", 10),
        ]
    );
    assert_eq!(noted(&store).await, 4);
    assert_eq!(store.consents(id(2)).await.unwrap(), []);
    assert_eq!(give(&store, 9, accepted("terms", "1", 60), 100).await, ConsentOutcome::NoUser);
}

pub(in crate::store::contract) async fn no_more_versions_are_recorded_than_may_be(store: Store) {
    register(&store, 1).await;
    register(&store, 2).await;
    for number in 1..=3 {
        assert_eq!(
            give(&store, 1, accepted("terms", &number.to_string(), number), 3).await,
            ConsentOutcome::Given
        );
    }
    assert_eq!(give(&store, 1, accepted("terms", "4", 4), 3).await, ConsentOutcome::TooMany);
    assert_eq!(give(&store, 1, accepted("terms", "1", 5), 3).await, ConsentOutcome::Known(at(1)));
    assert_eq!((store.consents(id(1)).await.unwrap().len(), noted(&store).await), (3, 3));
    assert_eq!(give(&store, 2, accepted("terms", "4", 6), 3).await, ConsentOutcome::Given);
}

pub(in crate::store::contract) async fn one_consent_sent_many_times_at_once_is_one(store: Store) {
    register(&store, 1).await;
    let outcomes = at_once(16, |index| {
        let store = Arc::clone(&store);
        let consent = accepted("terms", "1", i64::try_from(index).unwrap() + 1);
        async move { give(&store, 1, consent, 100).await }
    })
    .await;
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == ConsentOutcome::Given).count(),
        1,
        "{outcomes:?}"
    );
    let kept = store.consents(id(1)).await.unwrap();
    assert_eq!((kept.len(), noted(&store).await), (1, 1));
    let known = |outcome: &&ConsentOutcome| **outcome == ConsentOutcome::Known(kept[0].accepted_at);
    assert_eq!(outcomes.iter().filter(known).count(), 15, "{outcomes:?}");
}
