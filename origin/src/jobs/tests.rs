//! The runner on the embedded store, with a clock that tests move.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use shared::{
    id::Id,
    time::{SECOND_MS, Timestamp},
};
use tokio::sync::{Notify, oneshot};

use super::{Job, JobError, Progress, Runner, Waker, runner::Limits};
use crate::{
    clock::{Clock, TestClock},
    random::{Random as _, SystemRandom},
    store::{
        Accounts,
        accounts::jobs::{ClaimedJob, JobClaim, NewJob},
        contract::sqlite_accounts,
    },
};

const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);
/// No test waits longer than this for what must happen.
const BOUND: Duration = Duration::from_secs(20);

/// A job whose runs go as the test says, the last way from then on.
struct Scripted {
    period_ms: Option<i64>,
    must_succeed: bool,
    ways: Vec<Way>,
    runs: Mutex<Vec<String>>,
}

#[derive(Clone, Copy)]
enum Way {
    Done,
    More,
    Fail,
    Panic,
    Hang,
}

impl Scripted {
    fn new(period_ms: Option<i64>, ways: &[Way]) -> Arc<Self> {
        Arc::new(Self { period_ms, must_succeed: false, ways: ways.to_vec(), runs: Mutex::default() })
    }

    fn runs(&self) -> usize {
        self.runs.lock().unwrap().len()
    }
}

#[async_trait]
impl Job for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn period_ms(&self) -> Option<i64> {
        self.period_ms
    }

    fn must_succeed(&self) -> bool {
        self.must_succeed
    }

    async fn run(&self, job: &ClaimedJob) -> Result<Progress, JobError> {
        let way = {
            let mut runs = self.runs.lock().unwrap();
            runs.push(job.payload.clone());
            self.ways[(runs.len() - 1).min(self.ways.len() - 1)]
        };
        match way {
            Way::Done => Ok(Progress::Done),
            Way::More => Ok(Progress::More),
            Way::Fail => Err("an error\0 of the job".into()),
            Way::Panic => panic!("a job that panics"),
            Way::Hang => std::future::pending().await,
        }
    }
}

struct Stage {
    accounts: Arc<dyn Accounts>,
    clock: Arc<TestClock>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let (accounts, folder) = sqlite_accounts().await;
        Self { accounts, clock: Arc::new(TestClock::at(START)), _folder: folder }
    }

    fn runner(&self, job: Arc<dyn Job>) -> Arc<Runner> {
        let limits =
            Limits { run: Duration::from_millis(50), pause: Duration::from_millis(20), drain: BOUND };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Runner::new(
            Arc::clone(&self.accounts),
            [job],
            clock,
            Arc::new(SystemRandom),
            limits,
            Waker::default(),
        )
    }

    async fn schedule(&self, payload: &str) {
        let now = self.clock.now();
        let payload = payload.to_owned();
        let job = NewJob { id: SystemRandom.id(now), kind: "scripted", key: None, payload, due_at: now };
        self.accounts.schedule_job(job).await.unwrap();
    }

    /// The jobs that are due and without a lease.
    async fn due(&self) -> usize {
        let now = self.clock.now();
        let claim = JobClaim {
            owner: Id::new(now, [9; 10]),
            kinds: vec!["scripted"],
            now,
            lease_until: now,
            limit: 100,
        };
        self.accounts.claim_jobs(claim).await.unwrap().len()
    }
}

#[tokio::test]
async fn job_that_succeeds_runs_once() {
    let stage = Stage::new().await;
    let job = Scripted::new(None, &[Way::Done]);
    let runner = stage.runner(Arc::clone(&job) as Arc<dyn Job>);
    for payload in ["a", "b", "c", "d", "e", "f"] {
        stage.schedule(payload).await;
    }
    runner.run_due().await;
    stage.clock.advance(3_600 * SECOND_MS);
    runner.run_due().await;
    let mut runs = job.runs.lock().unwrap().clone();
    runs.sort();
    assert_eq!(runs, ["a", "b", "c", "d", "e", "f"]);
}

#[tokio::test]
async fn job_that_recurs_is_due_again_after_its_period() {
    let stage = Stage::new().await;
    let job = Scripted::new(Some(60_000), &[Way::Done]);
    let runner = stage.runner(Arc::clone(&job) as Arc<dyn Job>);
    for (advance_ms, runs) in [(0, 1), (59_999, 1), (1, 2), (60_000, 3)] {
        stage.clock.advance(advance_ms);
        // Another process schedules it as well.
        stage.runner(Arc::clone(&job) as Arc<dyn Job>).run_due().await;
        runner.run_due().await;
        assert_eq!(job.runs(), runs);
    }
}

#[tokio::test]
async fn job_with_more_to_do_runs_again_at_once() {
    let stage = Stage::new().await;
    let job = Scripted::new(Some(60_000), &[Way::More, Way::More, Way::Done]);
    stage.runner(Arc::clone(&job) as Arc<dyn Job>).run_due().await;
    assert_eq!((job.runs(), stage.due().await), (3, 0));
}

#[tokio::test]
async fn failed_run_is_repeated_later_each_time() {
    let stage = Stage::new().await;
    let job = Scripted::new(None, &[Way::Fail, Way::Panic, Way::Hang, Way::Done]);
    let runner = stage.runner(Arc::clone(&job) as Arc<dyn Job>);
    stage.schedule("a").await;
    // At most a quarter is taken off a wait: 5 s, 10 s, 20 s.
    for (too_early_ms, rest_ms) in [(3_749, 1_251), (7_499, 2_501), (14_999, 5_001)] {
        runner.run_due().await;
        let runs = job.runs();
        stage.clock.advance(too_early_ms);
        runner.run_due().await;
        assert_eq!(job.runs(), runs);
        stage.clock.advance(rest_ms);
    }
    runner.run_due().await;
    assert_eq!((job.runs(), stage.due().await), (4, 0));
}

#[tokio::test]
async fn job_that_always_fails_is_given_up_unless_it_recurs_or_must_succeed() {
    for (period_ms, must_succeed, most) in [(None, false, 32), (Some(60_000), false, 40), (None, true, 40)] {
        let stage = Stage::new().await;
        let runs = Mutex::default();
        let job = Arc::new(Scripted { period_ms, must_succeed, ways: vec![Way::Fail], runs });
        let runner = stage.runner(Arc::clone(&job) as Arc<dyn Job>);
        if period_ms.is_none() {
            stage.schedule("a").await;
        }
        for _ in 0..40 {
            runner.run_due().await;
            stage.clock.advance(3_600 * SECOND_MS);
        }
        assert_eq!(job.runs(), most, "{period_ms:?}");
    }
}

/// A job that says when it has begun, and ends when it is told to.
struct Held {
    started: Notify,
    end: Notify,
    ended: AtomicU32,
}

#[async_trait]
impl Job for Held {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn period_ms(&self) -> Option<i64> {
        None
    }

    async fn run(&self, _: &ClaimedJob) -> Result<Progress, JobError> {
        self.started.notify_one();
        self.end.notified().await;
        self.ended.fetch_add(1, Ordering::SeqCst);
        Ok(Progress::Done)
    }
}

#[tokio::test]
async fn stopped_runner_lets_running_jobs_finish_and_starts_no_others() {
    let stage = Stage::new().await;
    let job = Arc::new(Held { started: Notify::new(), end: Notify::new(), ended: 0.into() });
    let limits = Limits { run: BOUND, ..Limits::DEFAULT };
    let runner = Runner::new(
        Arc::clone(&stage.accounts),
        [Arc::clone(&job) as Arc<dyn Job>],
        Arc::clone(&stage.clock) as Arc<dyn Clock>,
        Arc::new(SystemRandom),
        limits,
        Waker::default(),
    );
    stage.schedule("a").await;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(runner.run(async { drop(stopped.await) }));
    tokio::time::timeout(BOUND, job.started.notified()).await.unwrap();
    stage.schedule("b").await;
    drop(stop);
    job.end.notify_one();
    tokio::time::timeout(BOUND, running).await.unwrap().unwrap();
    assert_eq!((job.ended.load(Ordering::SeqCst), stage.due().await), (1, 1));
}

#[tokio::test]
async fn woken_runner_runs_what_was_scheduled_without_the_pause() {
    let stage = Stage::new().await;
    let job = Scripted::new(None, &[Way::Done]);
    let waker = Waker::default();
    // The bound of the test is shorter.
    let limits = Limits { pause: BOUND * 100, ..Limits::DEFAULT };
    let runner = Runner::new(
        Arc::clone(&stage.accounts),
        [Arc::clone(&job) as Arc<dyn Job>],
        Arc::clone(&stage.clock) as Arc<dyn Clock>,
        Arc::new(SystemRandom),
        limits,
        waker.clone(),
    );
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(runner.run(async { drop(stopped.await) }));
    // The last ones are more than run at once: the rest follows without being woken for.
    for (scheduled, runs) in [(1, 1), (1, 2), (9, 11)] {
        for _ in 0..scheduled {
            stage.schedule("a").await;
        }
        waker.wake();
        let ran = async {
            while job.runs() < runs {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(BOUND, ran).await.unwrap();
    }
    drop(stop);
    tokio::time::timeout(BOUND, running).await.unwrap().unwrap();
    assert_eq!((job.runs(), stage.due().await), (11, 0));
}
