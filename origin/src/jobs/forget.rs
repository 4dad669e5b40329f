//! Forgets what is over for long: sessions with their refresh tokens, permissions to reset a password, finished jobs, and
//! events of audit trails.

use std::sync::Arc;

use async_trait::async_trait;
use shared::time::{DAY_MS, SECOND_MS};

use super::{Job, JobError, Progress};
use crate::{
    clock::Clock,
    store::{Accounts, accounts::jobs::ClaimedJob},
};

/// The time from one run to the next.
const PERIOD_MS: i64 = 60 * 60 * SECOND_MS;
/// The days that a session stays on record after its end, in which the network it began from is a known one.
const KEEP_SESSIONS_DAYS: i64 = 30;
/// The days that a finished job stays on record, in which no other one of its kind and key is scheduled.
const KEEP_JOBS_DAYS: i64 = 7;
/// The days that an event of an audit trail stays on record.
const KEEP_AUDIT_DAYS: i64 = 365;
/// The most rows that go in one step. Few, because each session has the refresh tokens of its last days.
const BATCH_ROWS: u32 = 20;
/// The same of audit trails, whose events are small.
const AUDIT_BATCH_ROWS: u32 = 200;
/// The most steps of one run.
const MAX_BATCHES: usize = 200;

/// The job.
pub struct Forget {
    accounts: Arc<dyn Accounts>,
    clock: Arc<dyn Clock>,
}

impl Forget {
    /// A job that forgets in these accounts.
    pub fn new(accounts: Arc<dyn Accounts>, clock: Arc<dyn Clock>) -> Self {
        Self { accounts, clock }
    }
}

#[async_trait]
impl Job for Forget {
    fn kind(&self) -> &'static str {
        "forget"
    }

    fn period_ms(&self) -> Option<i64> {
        Some(PERIOD_MS)
    }

    async fn run(&self, _: &ClaimedJob) -> Result<Progress, JobError> {
        let now = self.clock.now();
        for _ in 0..MAX_BATCHES {
            let over_before = now.plus_millis(-KEEP_SESSIONS_DAYS * DAY_MS);
            let sessions = self.accounts.forget_sessions(over_before, BATCH_ROWS).await?;
            let finished_before = now.plus_millis(-KEEP_JOBS_DAYS * DAY_MS);
            let jobs = self.accounts.forget_jobs(finished_before, BATCH_ROWS).await?;
            let resets = self.accounts.forget_password_resets(now, BATCH_ROWS).await?;
            let before = now.plus_millis(-KEEP_AUDIT_DAYS * DAY_MS);
            let events = self.accounts.forget_audit_events(before, AUDIT_BATCH_ROWS).await?;
            let is_little_left = sessions.max(jobs).max(resets) < u64::from(BATCH_ROWS);
            if is_little_left && events < u64::from(AUDIT_BATCH_ROWS) {
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::More)
    }
}
