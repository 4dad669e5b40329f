//! Moves the conversations of a guest to the user whom they were merged into. A run that dies is repeated and goes on with the rest.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shared::{
    id::Id,
    time::{SECOND_MS, Timestamp},
};

use super::{Job, JobError, Progress};
use crate::store::{
    Chats, Ephemeral, StoreResult,
    accounts::jobs::{ClaimedJob, NewJob},
    ephemeral::CacheGroup,
};

const KIND: &str = "merge_guest";
/// The most conversations that are moved in one step.
const BATCH: u32 = 50;
/// The most steps of one run.
const MAX_BATCHES: usize = 200;
/// The time after which the move is repeated: requests of the guest that had begun before their sessions ended, and processes that
/// remember the sessions for a minute, may have opened a conversation meanwhile.
const REPEATED_AFTER_MS: i64 = 3 * 60 * SECOND_MS;

/// A guest and the user whom they were merged into.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Move {
    /// The guest.
    pub from: Id,
    /// The user.
    pub to: Id,
}

impl Move {
    /// Returns the jobs that move the conversations, now and again a little later. A guest is merged once, so each has one place.
    pub fn jobs(self, ids: [Id; 2], now: Timestamp) -> Vec<NewJob> {
        // Two ids can be written.
        let payload = serde_json::to_string(&self).unwrap_or_default();
        let times = [("first", now), ("again", now.plus_millis(REPEATED_AFTER_MS))];
        let job = |(id, (name, due_at)): (Id, (&str, Timestamp))| NewJob {
            id,
            kind: KIND,
            key: Some(format!("{name}:{}", self.from)),
            payload: payload.clone(),
            due_at,
        };
        ids.into_iter().zip(times).map(job).collect()
    }

    /// Moves conversations, up to a bound; true when none is left. What is cached of the user's list is forgotten, whatever came
    /// of it.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn run(self, chats: &dyn Chats, ephemeral: &dyn Ephemeral) -> StoreResult<bool> {
        let moved = self.move_batches(chats).await;
        ephemeral.invalidate(CacheGroup::ConversationsOf(self.to)).await;
        moved
    }

    async fn move_batches(self, chats: &dyn Chats) -> StoreResult<bool> {
        for _ in 0..MAX_BATCHES {
            if chats.move_conversations(self.from, self.to, BATCH).await? == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The job.
pub struct MergeGuest {
    chats: Arc<dyn Chats>,
    ephemeral: Arc<dyn Ephemeral>,
}

impl MergeGuest {
    /// A job that moves conversations in this store.
    pub fn new(chats: Arc<dyn Chats>, ephemeral: Arc<dyn Ephemeral>) -> Self {
        Self { chats, ephemeral }
    }
}

#[async_trait]
impl Job for MergeGuest {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn period_ms(&self) -> Option<i64> {
        None
    }

    async fn run(&self, job: &ClaimedJob) -> Result<Progress, JobError> {
        let merge: Move = serde_json::from_str(&job.payload)?;
        let is_done = merge.run(&*self.chats, &*self.ephemeral).await?;
        Ok(if is_done { Progress::Done } else { Progress::More })
    }
}
