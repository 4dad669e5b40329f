//! The runner: claims what is due, runs it with a bound on time and number, and ends its lease. Any number of runners, in one
//! process or many, share the jobs of a store.

use std::{collections::BTreeMap, future::Future, pin::pin, sync::Arc, time::Duration};

use shared::{
    backoff::Backoff,
    id::Id,
    time::{SECOND_MS, Timestamp},
};
use tokio::{task::JoinSet, time};
use tracing::Instrument as _;

use super::{Job, JobError, Progress, Waker};
use crate::{
    clock::Clock,
    random::Random,
    store::{
        Accounts, StoreResult,
        accounts::jobs::{ClaimedJob, JobClaim, NewJob, NextRun},
    },
};

/// The length of a lease: longer than a run and the storing of its end take, by more than clocks of origins differ.
const LEASE_MS: i64 = 60 * SECOND_MS;
/// The most jobs that one runner runs at once.
const MAX_RUNNING: usize = 4;
/// The waits before a failed job runs again.
const RETRY: Backoff = Backoff { first_ms: 5 * SECOND_MS, longest_ms: 60 * 60 * SECOND_MS };
/// The most attempts at a job that runs once and need not succeed, about a day of them.
const MAX_ATTEMPTS: u32 = 32;
/// The most characters of an error that are stored.
const MAX_ERROR_CHARS: usize = 300;
/// The key of the one job of a kind that recurs.
const RECURRING: &str = "recurring";

/// Bounds of time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A run.
    pub run: Duration,
    /// The pause between two looks at what is due; up to a quarter less.
    pub pause: Duration,
    /// The end of running jobs when the runner is stopped. Those that take longer are given up; they run again after their
    /// lease.
    pub drain: Duration,
}

impl Limits {
    /// Those of a serving process.
    pub const DEFAULT: Self =
        Self { run: Duration::from_secs(40), pause: Duration::from_secs(5), drain: Duration::from_secs(8) };
}

/// Runs the jobs of a store.
pub struct Runner {
    accounts: Arc<dyn Accounts>,
    jobs: BTreeMap<&'static str, Arc<dyn Job>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    limits: Limits,
    waker: Waker,
}

impl Runner {
    /// A runner of these kinds of jobs, which looks for them when it is woken, and after each pause.
    pub fn new(
        accounts: Arc<dyn Accounts>,
        jobs: impl IntoIterator<Item = Arc<dyn Job>>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        limits: Limits,
        waker: Waker,
    ) -> Arc<Self> {
        let jobs = jobs.into_iter().map(|job| (job.kind(), job)).collect();
        Arc::new(Self { accounts, jobs, clock, random, limits, waker })
    }

    /// Runs until `stop` completes, then lets running jobs finish, for a bounded time. A store that does not answer is asked
    /// again after the pause.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut running = JoinSet::new();
        let mut is_scheduled = false;
        loop {
            is_scheduled = is_scheduled || tolerate(self.schedule_recurring().await).is_some();
            self.start_due(&mut running).await;
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = running.join_next() => {}
                () = self.waker.woken() => {}
                () = time::sleep(self.pause()) => {}
            }
        }
        let draining = async { while running.join_next().await.is_some() {} };
        if time::timeout(self.limits.drain, draining).await.is_err() {
            tracing::warn!("ending: some jobs did not finish in time");
        }
    }

    /// Schedules the jobs that recur, where they are not on record.
    async fn schedule_recurring(&self) -> StoreResult<()> {
        let now = self.clock.now();
        for job in self.jobs.values().filter(|job| job.period_ms().is_some()) {
            let job = NewJob {
                id: self.random.id(now),
                kind: job.kind(),
                key: Some(RECURRING.to_owned()),
                payload: String::new(),
                due_at: now,
            };
            self.accounts.schedule_job(job).await?;
        }
        Ok(())
    }

    /// Starts as many jobs that are due as there is room for. Returns how many.
    async fn start_due(self: &Arc<Self>, running: &mut JoinSet<()>) -> usize {
        let room = MAX_RUNNING.saturating_sub(running.len());
        if room == 0 {
            return 0;
        }
        let now = self.clock.now();
        let owner = self.random.id(now);
        let claim = JobClaim {
            owner,
            kinds: self.jobs.keys().copied().collect(),
            now,
            lease_until: now.plus_millis(LEASE_MS),
            limit: u32::try_from(room).unwrap_or(u32::MAX),
        };
        let claimed = tolerate(self.accounts.claim_jobs(claim).await).unwrap_or_default();
        let count = claimed.len();
        for job in claimed {
            let span = tracing::info_span!("job", kind = job.kind, id = %job.id, attempt = job.attempts);
            let runner = Arc::clone(self);
            running.spawn(async move { runner.run_one(job, owner).await }.instrument(span));
        }
        count
    }

    /// Runs a job and ends its lease.
    async fn run_one(&self, job: ClaimedJob, owner: Id) {
        let Some(code) = self.jobs.get(&*job.kind) else { return };
        let outcome = run_with_timeout(self.limits.run, Arc::clone(code), job.clone()).await;
        let now = self.clock.now();
        let ended = match outcome {
            Ok(progress) => {
                let next = after_success(progress, code.period_ms(), now);
                self.accounts.complete_job(job.id, owner, next).await
            }
            Err(error) => {
                let next = self.after_failure(&job, &**code, now);
                tracing::warn!(%error, is_last = matches!(next, NextRun::Finished(_)), "a job failed");
                self.accounts.fail_job(job.id, owner, to_store(&error), next).await
            }
        };
        match ended {
            Ok(true) => {}
            Ok(false) => tracing::warn!("a job's lease ran out before the end of its run"),
            Err(error) => tracing::warn!(%error, "a job's end was not stored; it runs again after its lease"),
        }
    }

    fn after_failure(&self, job: &ClaimedJob, code: &dyn Job, now: Timestamp) -> NextRun {
        if code.period_ms().is_none() && !code.must_succeed() && job.attempts >= MAX_ATTEMPTS {
            return NextRun::Finished(now);
        }
        NextRun::Due(now.plus_millis(RETRY.wait_ms(job.attempts, self.jitter())))
    }

    fn pause(&self) -> Duration {
        let pause_ms = i64::try_from(self.limits.pause.as_millis()).unwrap_or(i64::MAX);
        let wait_ms = Backoff { first_ms: pause_ms, longest_ms: pause_ms }.wait_ms(0, self.jitter());
        Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))
    }

    fn jitter(&self) -> u32 {
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes);
        u32::from_ne_bytes(bytes)
    }

    /// Runs everything that is due now; for tests.
    #[cfg(test)]
    pub(crate) async fn run_due(self: &Arc<Self>) {
        self.schedule_recurring().await.unwrap();
        let mut running = JoinSet::new();
        while self.start_due(&mut running).await > 0 {
            while let Some(ended) = running.join_next().await {
                ended.unwrap();
            }
        }
    }
}

/// Runs a job for so long at most; a panic is a failure. Given up, it is cut off.
async fn run_with_timeout(
    limit: Duration,
    code: Arc<dyn Job>,
    job: ClaimedJob,
) -> Result<Progress, JobError> {
    // A set ends its task when it is dropped.
    let mut run = JoinSet::new();
    run.spawn(async move { code.run(&job).await }.in_current_span());
    match time::timeout(limit, run.join_next()).await {
        Ok(Some(ended)) => ended?,
        Ok(None) => Ok(Progress::Done),
        Err(_) => Err(format!("it took longer than {} s", limit.as_secs()).into()),
    }
}

fn after_success(progress: Progress, period_ms: Option<i64>, now: Timestamp) -> NextRun {
    match (progress, period_ms) {
        (Progress::More, _) => NextRun::Due(now),
        (Progress::Done, Some(period_ms)) => NextRun::Due(now.plus_millis(period_ms)),
        (Progress::Done, None) => NextRun::Finished(now),
    }
}

/// The error as its row holds it: bounded, and without the one character that not every store takes.
fn to_store(error: &JobError) -> String {
    error.to_string().chars().filter(|c| *c != '\0').take(MAX_ERROR_CHARS).collect()
}

/// Returns the store's answer, if it gave one.
fn tolerate<T>(answer: StoreResult<T>) -> Option<T> {
    answer.inspect_err(|error| tracing::warn!(%error, "jobs cannot be claimed")).ok()
}
