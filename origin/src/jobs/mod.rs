//! Due work: code that runs once at some time, or again and again, on whichever origin claims it.
//!
//! - [`runner`]: claims, runs and ends jobs
//! - [`apple`]: exchanges and revokes tokens at Apple
//! - [`forget`]: forgets what is over for long
//! - [`merge`]: moves conversations of guests
//! - [`notify`]: messages to users
//! - [`delete_user`]: deletes accounts
//! - [`purge`]: removes deleted conversations for good
//! - [`waker`]: tells the runner that something is due
//!
//! A job may assume this:
//!
//! - While its lease holds nobody else runs it. A run is given up long before that, so clocks of origins may differ by a few
//!   seconds.
//! - It runs **at least once**: a process that dies after the work and before the end is noted leaves the job to be run again
//!   when the lease runs out. So a run that finds its work done must be as good as the first.
//! - A run that fails, panics or takes too long is repeated, later each time. A job that runs once is given up after a day, unless
//!   it must be done; one that recurs goes on.
//! - An older version of this program leaves jobs alone whose kind it does not know.

pub mod apple;
pub mod delete_user;
pub mod forget;
pub mod merge;
pub mod notify;
pub mod purge;
pub mod runner;
pub mod waker;

#[cfg(test)]
mod tests;

use async_trait::async_trait;

use crate::store::accounts::jobs::ClaimedJob;

pub use runner::Runner;
pub use waker::Waker;

/// The error of a run, for the log and the job's row.
pub type JobError = Box<dyn std::error::Error + Send + Sync>;

/// The result of a run that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All is done.
    Done,
    /// There is more to do: it runs again at once.
    More,
}

/// The code of one kind of job.
#[async_trait]
pub trait Job: Send + Sync + 'static {
    /// Returns the name of the kind, which stands in stored jobs.
    fn kind(&self) -> &'static str;

    /// Returns the milliseconds from the end of a run to the next one; `None` for a job that runs once.
    fn period_ms(&self) -> Option<i64>;

    /// Returns whether a job that runs once is repeated until it succeeds, however long that takes.
    fn must_succeed(&self) -> bool {
        false
    }

    /// Runs a job of this kind. It may have run before.
    ///
    /// # Errors
    ///
    /// Fails when the run is to be repeated.
    async fn run(&self, job: &ClaimedJob) -> Result<Progress, JobError>;
}
