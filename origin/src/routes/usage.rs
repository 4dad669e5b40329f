//! A user's usage.

use std::collections::BTreeMap;

use axum::{Json as Reply, extract::State};
use garde::Validate;
use serde::Deserialize;
use shared::{
    api::{
        ApiError,
        account::Plan,
        usage::{DayUsage, ModelUsage, TodayUsage, UsageReport, UsageTotals},
    },
    time::{DAY_MS, Timestamp},
};

use crate::{
    app::App,
    http::{CurrentUser, Error, Query},
    store::accounts::usage::UsageRow,
};

/// The default number of days of a report.
const DEFAULT_DAYS: i64 = 30;
/// The most days of a report.
const MAX_DAYS: i64 = 366;

/// The span of a report.
#[derive(Deserialize, Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageSpan {
    /// The first day, or a time within it; by default 29 days before the last day.
    #[serde(default)]
    #[garde(inner(length(chars, max = 40)))]
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// The last day, or a time within it; by default today.
    #[serde(default)]
    #[garde(inner(length(chars, max = 40)))]
    #[param(example = "2026-11-30")]
    to: Option<String>,
}

/// Show your usage
///
/// Usage is counted by whole UTC days, so a span covers every day it touches; at most 366. `cost_usd` is 0: prices are not
/// configured.
#[utoipa::path(
    get,
    path = "/api/v1/usage/me",
    operation_id = "show_usage",
    tag = "usage",
    security(("bearer" = [])),
    params(UsageSpan),
    responses(
        (status = 200, description = "The report", body = UsageReport),
    ),
)]
pub(super) async fn show(
    State(app): State<App>,
    current: CurrentUser,
    Query(span): Query<UsageSpan>,
) -> Result<Reply<UsageReport>, Error> {
    let now = app.clock.now();
    let days = Days::read(&span, now)?;
    let user_id = current.user.id;
    let rows = app.stores.accounts.usage(user_id, days.from.day(), days.last().day()).await?;
    let today = app.stores.accounts.usage(user_id, now.day(), now.day()).await?;
    let limit = match current.user.plan.served_as() {
        Plan::Basic => app.config.limits.basic_tier_daily_limit,
        Plan::Pro | Plan::Unknown(_) => None,
    };
    Ok(Reply(report(days, &rows, today_usage(&today, limit, now))))
}

/// Whole days, from the first instant of the first to the first instant after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Days {
    from: Timestamp,
    to: Timestamp,
}

impl Days {
    fn read(span: &UsageSpan, now: Timestamp) -> Result<Self, ApiError> {
        let last = match &span.to {
            None => now.start_of_day(),
            Some(text) => last_day(text).ok_or_else(|| not_a_day("to"))?,
        };
        let from = match &span.from {
            None => last.plus_millis(-(DEFAULT_DAYS - 1) * DAY_MS),
            Some(text) => parse(text).ok_or_else(|| not_a_day("from"))?.start_of_day(),
        };
        let days = Self { from, to: last.plus_millis(DAY_MS) };
        let length = days.to.millis_since(days.from);
        if length <= 0 {
            return Err(ApiError::invalid_field("from", "is after the end of the span"));
        }
        if length > MAX_DAYS * DAY_MS {
            return Err(ApiError::invalid_field(
                "from",
                format!("makes the span longer than {MAX_DAYS} days"),
            ));
        }
        Ok(days)
    }

    fn last(self) -> Timestamp {
        self.to.plus_millis(-DAY_MS)
    }
}

/// Returns the last day of a span with this end: a time is the first instant after the span, a day is part of it.
fn last_day(text: &str) -> Option<Timestamp> {
    let at = parse(text)?;
    let before = if is_day(text) { at } else { at.plus_millis(-1) };
    Some(before.start_of_day())
}

fn parse(text: &str) -> Option<Timestamp> {
    if is_day(text) { Timestamp::parse(&format!("{text}T00:00:00Z")) } else { Timestamp::parse(text) }
}

fn is_day(text: &str) -> bool {
    text.len() == 10
}

fn not_a_day(field: &str) -> ApiError {
    ApiError::invalid_field(field, "must be a day (YYYY-MM-DD) or an RFC 3339 time")
}

/// The messages of today as they count against the limit: one that failed does not.
fn today_usage(rows: &[UsageRow], messages_limit: Option<u64>, now: Timestamp) -> TodayUsage {
    TodayUsage {
        messages: rows.iter().map(|row| row.totals.messages.saturating_sub(row.totals.errors)).sum(),
        messages_limit,
        resets_at: now.start_of_day().plus_millis(DAY_MS),
    }
}

fn report(days: Days, rows: &[UsageRow], today: TodayUsage) -> UsageReport {
    let mut totals = UsageTotals::default();
    let mut by_day = BTreeMap::<&str, UsageTotals>::new();
    let mut by_model = BTreeMap::<&str, UsageTotals>::new();
    for row in rows {
        add(&mut totals, &row.totals);
        add(by_day.entry(&row.day).or_default(), &row.totals);
        add(by_model.entry(&row.model).or_default(), &row.totals);
    }
    let mut by_model: Vec<_> =
        by_model.into_iter().map(|(model, totals)| ModelUsage { model: model.to_owned(), totals }).collect();
    by_model.sort_by_key(|usage| std::cmp::Reverse(usage.totals.requests));
    UsageReport {
        from: days.from,
        to: days.to,
        totals,
        today,
        by_day: by_day.into_iter().map(|(day, totals)| DayUsage { day: day.to_owned(), totals }).collect(),
        by_model,
    }
}

fn add(sum: &mut UsageTotals, more: &UsageTotals) {
    sum.requests += more.requests;
    sum.messages += more.messages;
    sum.input_tokens += more.input_tokens;
    sum.output_tokens += more.output_tokens;
    sum.cached_tokens += more.cached_tokens;
    sum.cost_usd += more.cost_usd;
    sum.errors += more.errors;
    sum.estimated += more.estimated;
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NOW: &str = "2026-11-21T09:30:00Z";

    #[rstest]
    #[case(None, None, Ok(("2026-10-23", "2026-11-22")))]
    #[case(Some("2026-11-01"), None, Ok(("2026-11-01", "2026-11-22")))]
    #[case(Some("2026-11-01"), Some("2026-11-01"), Ok(("2026-11-01", "2026-11-02")))]
    #[case(None, Some("2026-11-10"), Ok(("2026-10-12", "2026-11-11")))]
    #[case(Some("2026-11-01T23:00:00Z"), Some("2026-11-02T00:00:00Z"), Ok(("2026-11-01", "2026-11-02")))]
    #[case(Some("2026-11-01T00:00:00+02:00"), Some("2026-11-02T00:00:01Z"), Ok(("2026-10-31", "2026-11-03")))]
    #[case(Some("2025-11-21"), None, Ok(("2025-11-21", "2026-11-22")))]
    #[case(Some("2025-11-20"), None, Err("from"))]
    #[case(Some("2026-11-22"), None, Err("from"))]
    #[case(Some("2026-13-01"), None, Err("from"))]
    #[case(None, Some("yesterday"), Err("to"))]
    fn span_covers_each_touched_day(
        #[case] from: Option<&str>,
        #[case] to: Option<&str>,
        #[case] expected: Result<(&str, &str), &str>,
    ) {
        let span = UsageSpan { from: from.map(str::to_owned), to: to.map(str::to_owned) };
        let days = Days::read(&span, Timestamp::parse(NOW).unwrap());
        let found = days.map(|days| (days.from.day(), days.to.day()));
        match expected {
            Ok((first, end)) => assert_eq!(found, Ok((first.to_owned(), end.to_owned()))),
            Err(field) => assert_eq!(found.unwrap_err().errors[0].field, field),
        }
    }

    #[test]
    fn rows_are_summed_by_day_and_by_model() {
        let row = |day: &str, model: &str, requests: u64| UsageRow {
            day: day.to_owned(),
            model: model.to_owned(),
            totals: UsageTotals {
                requests,
                messages: requests,
                input_tokens: 10 * requests,
                ..UsageTotals::default()
            },
        };
        let rows = [row("2026-11-01", "fast", 1), row("2026-11-01", "lite", 3), row("2026-11-02", "fast", 1)];
        let now = Timestamp::parse(NOW).unwrap();
        let days = Days { from: now.start_of_day(), to: now.start_of_day().plus_millis(DAY_MS) };
        let report = report(days, &rows, today_usage(&rows, Some(5), now));
        assert_eq!((report.totals.requests, report.totals.input_tokens), (5, 50));
        let days: Vec<_> = report.by_day.iter().map(|day| (day.day.as_str(), day.totals.requests)).collect();
        assert_eq!(days, [("2026-11-01", 4), ("2026-11-02", 1)]);
        let models: Vec<_> =
            report.by_model.iter().map(|usage| (usage.model.as_str(), usage.totals.requests)).collect();
        assert_eq!(models, [("lite", 3), ("fast", 2)]);
        assert_eq!(report.today.resets_at.to_string(), "2026-11-22T00:00:00.000Z");
    }
}
