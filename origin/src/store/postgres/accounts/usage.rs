//! Usage: a row a turn, and the sums of days.

use async_trait::async_trait;
use shared::{api::usage::UsageTotals, id::Id};
use uuid::Uuid;

use super::PostgresAccounts;
use crate::store::{
    accounts::{
        Usage,
        usage::{UsageEntry, UsageOutcome, UsageRow},
    },
    error::{StoreError, StoreResult},
    postgres::{
        pool::Connection,
        row::{Columns, key},
        step_error::Step,
    },
    values::signed,
};

#[async_trait]
impl Usage for PostgresAccounts {
    async fn record_usage(&self, entry: UsageEntry) -> StoreResult<UsageOutcome> {
        let entry = &entry;
        self.0.run(|c| async move { record(&c, entry).await }).await
    }

    async fn usage(&self, user_id: Id, first_day: String, last_day: String) -> StoreResult<Vec<UsageRow>> {
        let (first_day, last_day) = (&first_day, &last_day);
        self.0.run(|c| async move { by_day_and_model(&c, user_id, first_day, last_day).await }).await
    }
}

/// One statement: only a turn whose row is new is added to its day.
const RECORD: &str = "\
    WITH known AS ( \
        SELECT id FROM users WHERE id = $2 FOR KEY SHARE \
    ), turn AS ( \
        INSERT INTO usage_turns (turn_id, user_id, at, model, input_tokens, output_tokens, cached_tokens, \
            reasoning_tokens, total_tokens, failed, estimated) \
        SELECT $1::uuid, id, $3::bigint, $4::text, $5::bigint, $6::bigint, $7::bigint, $8::bigint, $9::bigint, \
            $10::boolean, $12::boolean FROM known \
        ON CONFLICT (turn_id) DO NOTHING \
        RETURNING user_id, model, input_tokens, output_tokens, cached_tokens, reasoning_tokens, failed::int AS failed, \
            estimated::int AS estimated \
    ), day AS ( \
        INSERT INTO usage_days AS d (user_id, day, model, requests, messages, input_tokens, output_tokens, \
            cached_tokens, reasoning_tokens, errors, estimated) \
        SELECT user_id, $11::text, model, 1, 1, input_tokens, output_tokens, cached_tokens, reasoning_tokens, failed, \
            estimated FROM turn \
        ON CONFLICT (user_id, day, model) DO UPDATE SET \
            requests = d.requests + 1, messages = d.messages + 1, \
            input_tokens = d.input_tokens + excluded.input_tokens, \
            output_tokens = d.output_tokens + excluded.output_tokens, \
            cached_tokens = d.cached_tokens + excluded.cached_tokens, \
            reasoning_tokens = d.reasoning_tokens + excluded.reasoning_tokens, \
            errors = d.errors + excluded.errors, estimated = d.estimated + excluded.estimated \
    ) SELECT id, EXISTS (SELECT FROM turn) FROM known";

/// Counts a turn, unless it has been counted.
async fn record(c: &Connection, entry: &UsageEntry) -> Step<UsageOutcome> {
    let known = c
        .row(
            RECORD,
            &[
                &key(entry.turn_id),
                &key(entry.user_id),
                &entry.at.as_millis(),
                &entry.model,
                &signed(entry.usage.input_tokens),
                &signed(entry.usage.output_tokens),
                &signed(entry.usage.cached_tokens),
                &signed(entry.usage.reasoning_tokens),
                &signed(entry.usage.total_tokens),
                &entry.failed,
                &entry.at.day(),
                &entry.usage.estimated,
            ],
        )
        .await?;
    let Some(row) = known else { return Ok(UsageOutcome::NoUser) };
    let mut columns = Columns::of("users", &row);
    columns.id("id")?;
    let is_new: bool = columns.get("is_new")?;
    if is_new {
        return Ok(UsageOutcome::Counted);
    }
    same_user(c, entry).await?;
    Ok(UsageOutcome::Repeated)
}

/// A turn that was counted for somebody else is no repetition.
async fn same_user(c: &Connection, entry: &UsageEntry) -> Step<()> {
    let row = c.row("SELECT user_id FROM usage_turns WHERE turn_id = $1", &[&key(entry.turn_id)]).await?;
    let whose: Option<Uuid> = row.map(|row| Columns::of("usage_turns", &row).get("user_id")).transpose()?;
    match whose {
        Some(user_id) if user_id == key(entry.user_id) => Ok(()),
        _ => Err(StoreError::Conflict("the turn was counted for another user").into()),
    }
}

/// The sums of the days, by day and model.
async fn by_day_and_model(
    c: &Connection,
    user_id: Id,
    first_day: &str,
    last_day: &str,
) -> Step<Vec<UsageRow>> {
    let sql = "SELECT user_id, day, model, requests, messages, input_tokens, output_tokens, cached_tokens, errors, \
               estimated FROM usage_days WHERE user_id = $1 AND day BETWEEN $2 AND $3 ORDER BY day, model";
    let rows = c.rows(sql, &[&key(user_id), &first_day, &last_day]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::of("usage_days", row);
        columns.id("user_id")?;
        found.push(UsageRow {
            day: columns.get("day")?,
            model: columns.get("model")?,
            totals: UsageTotals {
                requests: columns.count("requests")?,
                messages: columns.count("messages")?,
                input_tokens: columns.count("input_tokens")?,
                output_tokens: columns.count("output_tokens")?,
                cached_tokens: columns.count("cached_tokens")?,
                cost_usd: 0.0,
                errors: columns.count("errors")?,
                estimated: columns.count("estimated")?,
            },
        });
    }
    Ok(found)
}
