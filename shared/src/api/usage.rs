//! Usage of a user.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Tokens of one answer, as the provider counts them, or as they are estimated where it did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Tokens of the prompt that the provider had cached.
    pub cached_tokens: u64,
    /// Tokens the model spent on thinking.
    pub reasoning_tokens: u64,
    /// All of it, as the provider bills it.
    pub total_tokens: u64,
    /// True when tokens of it are estimated: the answer ended before the provider had counted them.
    pub estimated: bool,
}

/// Sums over a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageTotals {
    /// Model calls.
    pub requests: u64,
    /// Messages sent by the user.
    pub messages: u64,
    /// Tokens of the prompts.
    pub input_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// Tokens of the prompts that were cached.
    pub cached_tokens: u64,
    /// Its cost, in US dollars.
    pub cost_usd: f64,
    /// Model calls that failed.
    pub errors: u64,
    /// Model calls of which tokens are estimated.
    pub estimated: u64,
}

/// Sums of one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayUsage {
    /// The day in UTC, `YYYY-MM-DD`.
    pub day: String,
    /// Its sums.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

/// Sums of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelUsage {
    /// The model's alias, as the request named it.
    pub model: String,
    /// Its sums.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

/// Today's messages against the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TodayUsage {
    /// Messages sent since midnight UTC; one that failed does not count.
    pub messages: u64,
    /// Messages the plan allows in a day; `null` when there is no limit.
    pub messages_limit: Option<u64>,
    /// The time at which the count starts anew.
    pub resets_at: Timestamp,
}

/// `GET usage/me`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageReport {
    /// The first instant of the span.
    pub from: Timestamp,
    /// The first instant after the span.
    pub to: Timestamp,
    /// Sums of the span.
    pub totals: UsageTotals,
    /// Today against the plan.
    pub today: TodayUsage,
    /// The days of the span that had usage, oldest first.
    pub by_day: Vec<DayUsage>,
    /// The models of the span, most requests first.
    pub by_model: Vec<ModelUsage>,
}
