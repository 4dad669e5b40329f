//! Deletes an account once its time has come, step by step. Each step can be repeated, and the user's row goes last: a run that is cut off
//! or finds a store away is repeated from the first step until all is done, for as long as that takes.
//!
//! - [`steps`]: the steps, in an order that leaves nothing behind of which nobody knows any more
//!
//! Two days later it looks once more: a request that was under way during the deletion may have stored something after it.

pub mod steps;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shared::{
    id::Id,
    time::{DAY_MS, SECOND_MS, Timestamp},
};

use super::{Job, JobError, Progress};
use crate::{
    clock::Clock,
    random::Random,
    store::{
        Accounts,
        accounts::jobs::{ClaimedJob, NewJob},
    },
};

use steps::Step;

const KIND: &str = "delete_user";
/// The time after which a run makes room for another one: well within the bound of the runner, which would count it as a failure.
const RUN_MS: i64 = 15 * SECOND_MS;
/// The time from a deletion to the second look: longer than any request, any cached session, and any token of before.
const SWEEP_AFTER_MS: i64 = 2 * DAY_MS;

/// The stage of a deletion that a job is to do, as its payload holds it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
enum Stage {
    /// Deletes a user, unless their deletion, due at that time, was undone.
    Delete { user_id: Id, deletes_at: Timestamp },
    /// Removes what was stored after the deletion.
    Sweep { user_id: Id },
}

impl Stage {
    fn job(self, id: Id, due_at: Timestamp) -> NewJob {
        // Ids and times can be written.
        let payload = serde_json::to_string(&self).unwrap_or_default();
        NewJob { id, kind: KIND, key: None, payload, due_at }
    }
}

/// Returns the job that deletes a user at this time, unless they sign in before.
pub fn delete_user(id: Id, user_id: Id, deletes_at: Timestamp) -> NewJob {
    Stage::Delete { user_id, deletes_at }.job(id, deletes_at)
}

/// The job.
pub struct DeleteUser {
    accounts: Arc<dyn Accounts>,
    steps: Vec<Box<dyn Step>>,
    sweeps: Vec<Box<dyn Step>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl DeleteUser {
    /// A job that deletes users of these accounts by these steps, before their row goes, and by `sweeps` two days later.
    pub fn new(
        accounts: Arc<dyn Accounts>,
        steps: Vec<Box<dyn Step>>,
        sweeps: Vec<Box<dyn Step>>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self { accounts, steps, sweeps, clock, random }
    }

    async fn delete(&self, user_id: Id, deletes_at: Timestamp) -> Result<Progress, JobError> {
        if !self.accounts.begin_deletion(user_id, deletes_at, self.clock.now()).await? {
            return Ok(Progress::Done);
        }
        if self.run_all(&self.steps, user_id).await? == Progress::More {
            return Ok(Progress::More);
        }
        let now = self.clock.now();
        let sweep = Stage::Sweep { user_id }.job(self.random.id(now), now.plus_millis(SWEEP_AFTER_MS));
        self.accounts.delete_user(user_id, sweep).await?;
        tracing::info!("an account was deleted");
        Ok(Progress::Done)
    }

    /// Runs steps in order, each to its end.
    async fn run_all(&self, steps: &[Box<dyn Step>], user_id: Id) -> Result<Progress, JobError> {
        let until = self.clock.now().plus_millis(RUN_MS);
        for step in steps {
            let failed = |error| format!("the step of {} failed: {error}", step.name());
            while step.run(user_id).await.map_err(failed)? == Progress::More {
                if self.clock.now() >= until {
                    return Ok(Progress::More);
                }
            }
        }
        Ok(Progress::Done)
    }
}

#[async_trait]
impl Job for DeleteUser {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn period_ms(&self) -> Option<i64> {
        None
    }

    fn must_succeed(&self) -> bool {
        true
    }

    async fn run(&self, job: &ClaimedJob) -> Result<Progress, JobError> {
        match serde_json::from_str(&job.payload)? {
            Stage::Delete { user_id, deletes_at } => self.delete(user_id, deletes_at).await,
            Stage::Sweep { user_id } => self.run_all(&self.sweeps, user_id).await,
        }
    }
}
