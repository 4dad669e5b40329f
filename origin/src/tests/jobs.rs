//! The jobs that every origin runs.

use shared::{
    api::account::AccountEventKind,
    time::{DAY_MS, SECOND_MS},
};

use super::test_env::TestEnv;
use crate::{
    auth::Requester,
    clock::Clock as _,
    store::accounts::jobs::{JobClaim, NewJob, NextRun},
};

#[tokio::test]
async fn sessions_over_for_thirty_days_are_forgotten_within_the_hour() {
    const SESSIONS: usize = 50;
    let env = TestEnv::new().await;
    let (ada, runner, accounts) = (env.register("ada").await, env.app.job_runner(), &env.app.stores.accounts);
    let mut sessions = vec![ada.session];
    for _ in 1..SESSIONS {
        let requester = Requester::operator();
        let opening = env.app.auth.prepare_session(ada.id, &requester, None, env.clock.now());
        let audit = env.app.auth.opening_event(&opening, AccountEventKind::SignedIn, &requester);
        sessions.push(opening.session.id);
        assert!(accounts.open_session(opening.session, 100, audit).await.unwrap().is_some());
    }
    let left = async || {
        let mut left = 0;
        for session in &sessions {
            left += usize::from(accounts.session(ada.id, *session).await.unwrap().is_some());
        }
        left
    };
    runner.run_due().await;
    env.clock.advance(60 * DAY_MS);
    runner.run_due().await;
    assert_eq!(left().await, SESSIONS, "they expired thirty days ago, not before");
    env.clock.advance(3_600 * SECOND_MS - 1);
    runner.run_due().await;
    assert_eq!(left().await, SESSIONS, "it is not due");
    env.clock.advance(1);
    runner.run_due().await;
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn finished_jobs_are_forgotten_after_a_week() {
    let env = TestEnv::new().await;
    let (runner, accounts, start) = (env.app.job_runner(), &env.app.stores.accounts, env.clock.now());
    let id = |offset_ms| env.app.random.id(start.plus_millis(offset_ms));
    let job = NewJob { id: id(0), kind: "done", key: None, payload: String::new(), due_at: start };
    accounts.schedule_job(job.clone()).await.unwrap();
    let (owner, lease_until) = (id(1), start.plus_millis(1));
    let claim = JobClaim { owner, kinds: vec!["done"], now: start, lease_until, limit: 1 };
    assert_eq!(accounts.claim_jobs(claim).await.unwrap().len(), 1);
    let is_there = async || accounts.complete_job(job.id, owner, NextRun::Finished(start)).await.unwrap();
    assert!(is_there().await);
    for (advance_ms, expected) in [(7 * DAY_MS, true), (3_600 * SECOND_MS, false)] {
        env.clock.advance(advance_ms);
        runner.run_due().await;
        assert_eq!(is_there().await, expected);
    }
}
