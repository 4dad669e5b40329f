//! The tokens that turns used, summed by day and model.

use async_trait::async_trait;
use shared::{
    api::usage::{self, UsageTotals},
    id::Id,
    time::Timestamp,
};

use crate::store::error::StoreResult;

/// The usage of a turn.
#[derive(Clone, Debug)]
pub struct UsageEntry {
    /// The turn, which is counted once.
    pub turn_id: Id,
    /// The user whose turn it is.
    pub user_id: Id,
    /// The time at which it was admitted; it counts for the UTC day of it.
    pub at: Timestamp,
    /// The model's alias.
    pub model: String,
    /// The tokens it used.
    pub usage: usage::Usage,
    /// True when it failed.
    pub failed: bool,
}

/// The outcome of counting a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageOutcome {
    /// It is counted now.
    Counted,
    /// It was counted before, and nothing changed.
    Repeated,
    /// There is no such user, and nothing changed.
    NoUser,
}

/// The usage of one day and model. `cost_usd` is zero: no prices are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageRow {
    /// The day in UTC, `YYYY-MM-DD`.
    pub day: String,
    /// The model's alias.
    pub model: String,
    /// Its sums.
    pub totals: UsageTotals,
}

/// Usage of users.
#[async_trait]
pub trait Usage: Send + Sync + 'static {
    /// Counts a turn, once, in its row and in the sums of its day.
    async fn record_usage(&self, entry: UsageEntry) -> StoreResult<UsageOutcome>;

    /// Returns the sums of each day and model from `first_day` to `last_day`, both included, by day and model.
    async fn usage(&self, user_id: Id, first_day: String, last_day: String) -> StoreResult<Vec<UsageRow>>;
}
