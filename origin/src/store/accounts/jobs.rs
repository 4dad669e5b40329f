//! Jobs: due work that any origin may run, by a lease.

use async_trait::async_trait;
use shared::{id::Id, time::Timestamp};

use crate::store::error::StoreResult;

/// A job to schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its id.
    pub id: Id,
    /// Its kind: the code that runs it.
    pub kind: &'static str,
    /// Its name among those of its kind, of which there is one; `None` for a job that is nobody's repetition.
    pub key: Option<String>,
    /// The input of its code.
    pub payload: String,
    /// The time to run it.
    pub due_at: Timestamp,
}

/// A claim of due jobs.
#[derive(Clone, Debug)]
pub struct JobClaim {
    /// The owner of the leases, which no other claim ever had.
    pub owner: Id,
    /// The kinds that the owner can run.
    pub kinds: Vec<&'static str>,
    /// The time.
    pub now: Timestamp,
    /// The end of the leases.
    pub lease_until: Timestamp,
    /// The most jobs.
    pub limit: u32,
}

/// A job with a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedJob {
    /// Its id.
    pub id: Id,
    /// Its kind.
    pub kind: String,
    /// The input of its code.
    pub payload: String,
    /// Runs that began since it last succeeded, with this one.
    pub attempts: u32,
}

/// The fate of a job after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRun {
    /// It runs again at this time.
    Due(Timestamp),
    /// It never runs again; it ended at this time.
    Finished(Timestamp),
}

impl NextRun {
    /// Returns when it is due and when it finished, as the columns of the job have it; one is `None`.
    pub(in crate::store) fn columns(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Due(at) => (Some(at.as_millis()), None),
            Self::Finished(at) => (None, Some(at.as_millis())),
        }
    }
}

/// Jobs.
///
/// A job that is due is claimed by one owner after the other: by another one only after the lease has run out. An owner whose
/// job another one has claimed has lost it, and changes nothing of it any more.
#[async_trait]
pub trait Jobs: Send + Sync + 'static {
    /// Schedules a job, unless there is one with its id, or with its kind and key: also one that runs, or that finished and is
    /// not forgotten yet.
    async fn schedule_job(&self, job: NewJob) -> StoreResult<()>;

    /// Claims jobs that are due and without a lease, or whose lease has run out, those that are due first. Of any number of
    /// claims at once each job is in one. Repeated with the same owner, it returns its jobs again.
    async fn claim_jobs(&self, claim: JobClaim) -> StoreResult<Vec<ClaimedJob>>;

    /// Ends a run that succeeded, and its lease; a job that is finished loses its payload. False, and nothing happens, when the owner
    /// has lost the job.
    async fn complete_job(&self, id: Id, owner: Id, next: NextRun) -> StoreResult<bool>;

    /// Ends a run that failed, and its lease, and notes the error; likewise.
    async fn fail_job(&self, id: Id, owner: Id, error: String, next: NextRun) -> StoreResult<bool>;

    /// Forgets the jobs that finished before this time, the oldest `limit` of them. Returns how many went.
    async fn forget_jobs(&self, finished_before: Timestamp, limit: u32) -> StoreResult<u64>;
}
