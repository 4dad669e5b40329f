//! Removes for good what users deleted and can no longer bring back.

use std::sync::Arc;

use async_trait::async_trait;
use shared::{
    api::chat::UNDELETE_DAYS,
    time::{DAY_MS, SECOND_MS},
};

use super::{Job, JobError, Progress};
use crate::{
    clock::Clock,
    store::{Chats, accounts::jobs::ClaimedJob},
};

/// The time from one run to the next.
const PERIOD_MS: i64 = 60 * 60 * SECOND_MS;
/// The days after the last one on which a conversation can be brought back: clocks of origins may differ.
const MARGIN_DAYS: i64 = 1;
/// The most messages, or other rows of a conversation, that go in one step. A message may have a megabyte of pictures.
const BATCH_ROWS: u32 = 50;
/// The most steps of one run.
const MAX_BATCHES: usize = 400;

/// The job.
pub struct Purge {
    chats: Arc<dyn Chats>,
    clock: Arc<dyn Clock>,
}

impl Purge {
    /// A job that removes in these chats.
    pub fn new(chats: Arc<dyn Chats>, clock: Arc<dyn Clock>) -> Self {
        Self { chats, clock }
    }
}

#[async_trait]
impl Job for Purge {
    fn kind(&self) -> &'static str {
        "purge_conversations"
    }

    fn period_ms(&self) -> Option<i64> {
        Some(PERIOD_MS)
    }

    async fn run(&self, _: &ClaimedJob) -> Result<Progress, JobError> {
        let before = self.clock.now().plus_millis(-(UNDELETE_DAYS + MARGIN_DAYS) * DAY_MS);
        for _ in 0..MAX_BATCHES {
            if self.chats.purge_conversations(before, BATCH_ROWS).await? == 0 {
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::More)
    }
}
