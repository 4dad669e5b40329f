//! Jobs: claims, leases, and what ends them.

use std::sync::Arc;

use super::Store;
use crate::store::{
    accounts::jobs::{ClaimedJob, JobClaim, NewJob, NextRun},
    contract::{
        at_once,
        samples::{at, id},
    },
};

const KINDS: [&str; 2] = ["mail", "sweep"];

fn job(number: u32, due_ms: i64) -> NewJob {
    let payload = format!("{{\"number\":{number},\"text\":\"Løvelace 🦀\"}}");
    NewJob { id: id(number), kind: "mail", key: None, payload, due_at: at(due_ms) }
}

async fn schedule(store: &Store, jobs: impl IntoIterator<Item = NewJob>) {
    for job in jobs {
        store.schedule_job(job).await.unwrap();
    }
}

/// A claim at this time with a lease of 1,000 ms.
fn claim(owner: u32, now_ms: i64, limit: u32) -> JobClaim {
    let (now, lease_until) = (at(now_ms), at(now_ms + 1_000));
    JobClaim { owner: id(owner), kinds: KINDS.to_vec(), now, lease_until, limit }
}

/// The ids and attempts of the jobs that a claim got, by id.
async fn claimed(store: &Store, claim: JobClaim) -> Vec<(u32, u32)> {
    let mut claimed = store.claim_jobs(claim).await.unwrap();
    claimed.sort_by_key(|job| job.id);
    let number = |job: &ClaimedJob| (0..1_000).find(|number| id(*number) == job.id).unwrap();
    claimed.iter().map(|job| (number(job), job.attempts)).collect()
}

pub(in crate::store::contract) async fn due_jobs_are_claimed_in_the_order_they_are_due(store: Store) {
    schedule(&store, [job(1, 300), job(2, 100), job(3, 200), job(4, 301)]).await;
    assert_eq!(claimed(&store, claim(900, 99, 10)).await, []);
    assert_eq!(claimed(&store, claim(901, 300, 2)).await, [(2, 1), (3, 1)]);
    let last = store.claim_jobs(claim(902, 300, 10)).await.unwrap();
    let expected = ClaimedJob { id: id(1), kind: "mail".to_owned(), payload: job(1, 0).payload, attempts: 1 };
    assert_eq!(last, [expected]);
}

pub(in crate::store::contract) async fn job_of_a_kind_and_key_is_scheduled_once(store: Store) {
    let keyed = |number, kind, key: &str| NewJob { kind, key: Some(key.to_owned()), ..job(number, 0) };
    schedule(&store, [keyed(1, "mail", "a"), keyed(2, "mail", "a"), keyed(3, "mail", "b")]).await;
    schedule(&store, [keyed(4, "sweep", "a"), job(5, 0), job(6, 0), job(6, 5_000)]).await;
    assert_eq!(claimed(&store, claim(900, 0, 10)).await, [(1, 1), (3, 1), (4, 1), (5, 1), (6, 1)]);
    assert!(store.complete_job(id(1), id(900), NextRun::Finished(at(0))).await.unwrap());
    schedule(&store, [keyed(7, "mail", "a")]).await;
    assert_eq!(claimed(&store, claim(901, 0, 10)).await, [], "it has finished, and is on record");
    assert_eq!(store.forget_jobs(at(1), 10).await.unwrap(), 1);
    schedule(&store, [keyed(7, "mail", "a")]).await;
    assert_eq!(claimed(&store, claim(902, 0, 10)).await, [(7, 1)]);
}

pub(in crate::store::contract) async fn job_is_claimed_again_only_after_its_lease(store: Store) {
    schedule(&store, [job(1, 0)]).await;
    assert_eq!(claimed(&store, claim(900, 0, 10)).await, [(1, 1)]);
    assert_eq!(claimed(&store, claim(901, 999, 10)).await, []);
    assert_eq!(claimed(&store, claim(902, 1_000, 10)).await, [(1, 2)]);
    assert_eq!(claimed(&store, claim(903, 1_999, 10)).await, []);
}

pub(in crate::store::contract) async fn claim_repeated_by_its_owner_returns_its_jobs(store: Store) {
    schedule(&store, [job(1, 0), job(2, 1), job(3, 2)]).await;
    for _ in 0..2 {
        assert_eq!(claimed(&store, claim(900, 100, 2)).await, [(1, 1), (2, 1)]);
    }
    assert_eq!(claimed(&store, claim(901, 100, 2)).await, [(3, 1)]);
}

pub(in crate::store::contract) async fn only_kinds_of_the_claim_are_claimed(store: Store) {
    schedule(&store, [NewJob { kind: "of a newer version", ..job(1, 0) }, job(2, 1)]).await;
    assert_eq!(claimed(&store, claim(900, 100, 1)).await, [(2, 1)]);
    let newer = JobClaim { kinds: vec!["of a newer version"], ..claim(901, 100, 10) };
    assert_eq!(claimed(&store, newer).await, [(1, 1)]);
    let none = JobClaim { kinds: Vec::new(), ..claim(902, 9_000, 10) };
    assert_eq!(claimed(&store, none).await, []);
}

pub(in crate::store::contract) async fn completed_job_is_due_again_or_finished(store: Store) {
    schedule(&store, [job(1, 0)]).await;
    for (owner, now_ms) in [(900, 0), (901, 50)] {
        assert_eq!(claimed(&store, claim(owner, now_ms, 10)).await, [(1, 1)]);
        for _ in 0..2 {
            let next = NextRun::Due(at(now_ms + 50));
            assert!(store.complete_job(id(1), id(owner), next).await.unwrap(), "also when repeated");
        }
        assert_eq!(claimed(&store, claim(910, now_ms + 49, 10)).await, []);
    }
    assert_eq!(claimed(&store, claim(902, 100, 10)).await, [(1, 1)]);
    for _ in 0..2 {
        assert!(store.complete_job(id(1), id(902), NextRun::Finished(at(100))).await.unwrap());
    }
    assert_eq!(claimed(&store, claim(903, 1_000_000, 10)).await, []);
}

pub(in crate::store::contract) async fn failed_job_is_due_again_with_its_attempts(store: Store) {
    schedule(&store, [job(1, 0)]).await;
    for (owner, now_ms, attempts) in [(900, 0, 1), (901, 50, 2), (902, 100, 3)] {
        assert_eq!(claimed(&store, claim(owner, now_ms, 10)).await, [(1, attempts)]);
        let next = NextRun::Due(at(now_ms + 50));
        assert!(store.fail_job(id(1), id(owner), "no".to_owned(), next).await.unwrap());
    }
    assert_eq!(claimed(&store, claim(903, 150, 10)).await, [(1, 4)]);
    assert!(store.complete_job(id(1), id(903), NextRun::Due(at(200))).await.unwrap());
    assert_eq!(claimed(&store, claim(904, 200, 10)).await, [(1, 1)], "counted since it last succeeded");
    assert!(store.fail_job(id(1), id(904), "no".to_owned(), NextRun::Finished(at(200))).await.unwrap());
    assert_eq!(claimed(&store, claim(905, 1_000_000, 10)).await, [], "given up");
}

pub(in crate::store::contract) async fn owner_that_lost_its_job_changes_nothing(store: Store) {
    schedule(&store, [job(1, 0)]).await;
    assert_eq!(claimed(&store, claim(900, 0, 10)).await, [(1, 1)]);
    assert_eq!(claimed(&store, claim(901, 1_000, 10)).await, [(1, 2)]);
    let next = NextRun::Finished(at(1_500));
    assert!(!store.complete_job(id(1), id(900), next).await.unwrap());
    assert!(!store.fail_job(id(1), id(900), "late".to_owned(), NextRun::Due(at(0))).await.unwrap());
    assert!(!store.complete_job(id(2), id(900), next).await.unwrap(), "there is no such job");
    assert_eq!(claimed(&store, claim(902, 1_999, 10)).await, [], "the lease stands");
    assert_eq!(claimed(&store, claim(903, 2_000, 10)).await, [(1, 3)]);
    assert!(store.complete_job(id(1), id(903), next).await.unwrap());
}

pub(in crate::store::contract) async fn jobs_claimed_at_once_are_claimed_once(store: Store) {
    const JOBS: u32 = 200;
    schedule(&store, (0..JOBS).map(|number| job(number, 0))).await;
    let got = at_once(16, |index| {
        let store = Arc::clone(&store);
        let first_owner = 1_000 + 100 * u32::try_from(index).unwrap();
        async move {
            let mut got = Vec::new();
            for owner in first_owner.. {
                let claimed = claimed(&store, claim(owner, 0, 7)).await;
                if claimed.is_empty() {
                    break;
                }
                got.extend(claimed);
            }
            got
        }
    })
    .await;
    // A claim passes over what another has in its hands at that moment: whoever is the last finds the rest.
    let mut got = got.concat();
    got.extend(claimed(&store, claim(9_000, 0, JOBS)).await);
    got.sort_unstable();
    assert_eq!(got, (0..JOBS).map(|number| (number, 1)).collect::<Vec<_>>());
}

pub(in crate::store::contract) async fn finished_jobs_are_forgotten_and_no_others(store: Store) {
    schedule(&store, (1..=5).map(|number| job(number, 0))).await;
    assert_eq!(claimed(&store, claim(900, 0, 10)).await.len(), 5);
    for (number, finished_ms) in [(1, 30), (2, 10), (3, 20)] {
        let next = NextRun::Finished(at(finished_ms));
        assert!(store.complete_job(id(number), id(900), next).await.unwrap());
    }
    assert!(store.complete_job(id(4), id(900), NextRun::Due(at(40))).await.unwrap());
    assert_eq!(store.forget_jobs(at(10), 10).await.unwrap(), 0);
    assert_eq!(store.forget_jobs(at(100), 2).await.unwrap(), 2);
    assert!(
        store.complete_job(id(1), id(900), NextRun::Finished(at(30))).await.unwrap(),
        "the newest stayed"
    );
    assert_eq!(store.forget_jobs(at(100), 2).await.unwrap(), 1);
    assert_eq!(store.forget_jobs(at(1_000_000), 10).await.unwrap(), 0);
    assert_eq!(claimed(&store, claim(901, 2_000, 10)).await, [(4, 1), (5, 2)]);
}
