//! An ephemeral store that does not answer, not even from the process's memory: the worst its port allows.

use async_trait::async_trait;
use shared::{
    id::Id,
    limits::{
        gcra::{Gcra, GcraDecision},
        window::FixedWindow,
    },
    time::Timestamp,
};

use crate::store::{
    Ephemeral, StoreError, StoreResult,
    ephemeral::{CacheGroup, Cached, CodeOutcome, OneTimeCode, WindowDecision},
};

pub(super) struct Down;

fn down<T>() -> StoreResult<T> {
    Err(StoreError::Unavailable("a secret of the inside".to_owned()))
}

#[async_trait]
impl Ephemeral for Down {
    fn backend(&self) -> &'static str {
        "down"
    }

    async fn ping(&self) -> StoreResult<()> {
        down()
    }

    async fn count(&self, _: &str, _: FixedWindow, _: Timestamp) -> StoreResult<WindowDecision> {
        down()
    }

    async fn forget(&self, _: &str) -> StoreResult<()> {
        down()
    }

    async fn admit(&self, _: &str, _: Gcra, _: Timestamp) -> StoreResult<GcraDecision> {
        down()
    }

    async fn first_seen(&self, _: &str, _: Timestamp, _: Timestamp) -> StoreResult<bool> {
        down()
    }

    async fn remember(&self, _: &str, _: Vec<u8>, _: Timestamp, _: Timestamp) -> StoreResult<Vec<u8>> {
        down()
    }

    async fn put_code(&self, _: &str, _: OneTimeCode, _: Timestamp) -> StoreResult<()> {
        down()
    }

    async fn try_code(&self, _: &str, _: [u8; 32], _: Timestamp) -> StoreResult<CodeOutcome> {
        down()
    }

    async fn cached(&self, _: CacheGroup, _: &str, lease: Id, _: Timestamp) -> Cached {
        Cached { value: None, lease }
    }

    async fn fill(&self, _: CacheGroup, _: &str, _: Id, _: Vec<u8>, _: Timestamp, _: Timestamp) {}

    async fn invalidate(&self, _: CacheGroup) {}
}
