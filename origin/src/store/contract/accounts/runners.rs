//! Runners of two origins on one store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::Store;
use crate::{
    clock::SystemClock,
    jobs::{Job, JobError, Progress, Runner, Waker, runner::Limits},
    random::SystemRandom,
    store::{
        accounts::jobs::{ClaimedJob, NewJob},
        contract::samples::{START, id},
    },
};

/// No test waits longer than this for what must happen.
const BOUND: Duration = Duration::from_mins(1);
const JOBS: usize = 60;

/// Counts its runs by payload.
struct Counted {
    runs: Mutex<BTreeMap<String, u32>>,
    total: watch::Sender<usize>,
}

#[async_trait]
impl Job for Counted {
    fn kind(&self) -> &'static str {
        "counted"
    }

    fn period_ms(&self) -> Option<i64> {
        None
    }

    async fn run(&self, job: &ClaimedJob) -> Result<Progress, JobError> {
        *self.runs.lock().unwrap().entry(job.payload.clone()).or_default() += 1;
        self.total.send_modify(|total| *total += 1);
        Ok(Progress::Done)
    }
}

pub(in crate::store::contract) async fn job_with_two_origins_runs_once(stores: [Store; 2]) {
    let job = Arc::new(Counted { runs: Mutex::default(), total: watch::Sender::new(0) });
    for number in 0..JOBS {
        let id = id(u32::try_from(number).unwrap());
        let job = NewJob { id, kind: "counted", key: None, payload: number.to_string(), due_at: START };
        stores[number % 2].schedule_job(job).await.unwrap();
    }
    let limits = Limits { pause: Duration::from_millis(10), ..Limits::DEFAULT };
    let runners = stores.map(|store| {
        let (mut total, code) = (job.total.subscribe(), Arc::clone(&job) as Arc<dyn Job>);
        let runner = Runner::new(
            store,
            [code],
            Arc::new(SystemClock::start()),
            Arc::new(SystemRandom),
            limits,
            Waker::default(),
        );
        tokio::spawn(runner.run(async move {
            total.wait_for(|total| *total >= JOBS).await.unwrap();
        }))
    });
    for runner in runners {
        tokio::time::timeout(BOUND, runner).await.unwrap().unwrap();
    }
    let runs = job.runs.lock().unwrap();
    assert!(runs.len() == JOBS && runs.values().all(|count| *count == 1), "{runs:?}");
}
