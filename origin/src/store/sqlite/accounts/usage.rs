//! Usage: a row a turn, and the sums of days.

use async_trait::async_trait;
use rusqlite::{Connection, named_params};
use shared::{api::usage::UsageTotals, id::Id};

use super::{SqliteAccounts, users};
use crate::store::{
    accounts::{
        Usage,
        usage::{UsageEntry, UsageOutcome, UsageRow},
    },
    error::{StoreError, StoreResult},
    sqlite::row::Columns,
    values::signed,
};

#[async_trait]
impl Usage for SqliteAccounts {
    async fn record_usage(&self, entry: UsageEntry) -> StoreResult<UsageOutcome> {
        self.0
            .write(move |c| {
                if !users::exists(c, entry.user_id)? {
                    return Ok(UsageOutcome::NoUser);
                }
                record(c, &entry)
            })
            .await
    }

    async fn usage(&self, user_id: Id, first_day: String, last_day: String) -> StoreResult<Vec<UsageRow>> {
        self.0.read(move |c| by_day_and_model(c, user_id, &first_day, &last_day)).await
    }
}

/// Counts a turn of a user who is there, unless it has been counted.
fn record(c: &Connection, entry: &UsageEntry) -> StoreResult<UsageOutcome> {
    let inserted = c
        .prepare_cached(
            "INSERT INTO usage_turns (turn_id, user_id, at, model, input_tokens, output_tokens, cached_tokens, \
             reasoning_tokens, total_tokens, failed, estimated) VALUES (:turn_id, :user_id, :at, :model, :input, :output, \
             :cached, :reasoning, :total, :failed, :estimated) ON CONFLICT (turn_id) DO NOTHING",
        )?
        .execute(named_params! {
            ":turn_id": entry.turn_id.as_bytes(),
            ":user_id": entry.user_id.as_bytes(),
            ":at": entry.at.as_millis(),
            ":model": entry.model,
            ":input": signed(entry.usage.input_tokens),
            ":output": signed(entry.usage.output_tokens),
            ":cached": signed(entry.usage.cached_tokens),
            ":reasoning": signed(entry.usage.reasoning_tokens),
            ":total": signed(entry.usage.total_tokens),
            ":failed": entry.failed,
            ":estimated": entry.usage.estimated,
        })?;
    if inserted == 0 {
        same_user(c, entry)?;
        return Ok(UsageOutcome::Repeated);
    }
    add_to_day(c, entry)?;
    Ok(UsageOutcome::Counted)
}

fn add_to_day(c: &Connection, entry: &UsageEntry) -> StoreResult<()> {
    c.prepare_cached(
        "INSERT INTO usage_days (user_id, day, model, requests, messages, input_tokens, output_tokens, cached_tokens, \
         reasoning_tokens, errors, estimated) VALUES (:user_id, :day, :model, 1, 1, :input, :output, :cached, :reasoning, \
         :failed, :estimated) \
         ON CONFLICT (user_id, day, model) DO UPDATE SET requests = requests + 1, messages = messages + 1, \
         input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens, \
         cached_tokens = cached_tokens + excluded.cached_tokens, \
         reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens, errors = errors + excluded.errors, \
         estimated = estimated + excluded.estimated",
    )?
    .execute(named_params! {
        ":user_id": entry.user_id.as_bytes(),
        ":day": entry.at.day(),
        ":model": entry.model,
        ":input": signed(entry.usage.input_tokens),
        ":output": signed(entry.usage.output_tokens),
        ":cached": signed(entry.usage.cached_tokens),
        ":reasoning": signed(entry.usage.reasoning_tokens),
        ":failed": entry.failed,
        ":estimated": entry.usage.estimated,
    })?;
    Ok(())
}

/// A turn that was counted for somebody else is no repetition.
fn same_user(c: &Connection, entry: &UsageEntry) -> StoreResult<()> {
    let same = c
        .prepare_cached("SELECT 1 FROM usage_turns WHERE turn_id = ?1 AND user_id = ?2")?
        .exists((entry.turn_id.as_bytes(), entry.user_id.as_bytes()))?;
    if same { Ok(()) } else { Err(StoreError::Conflict("the turn was counted for another user")) }
}

/// The sums of the days, by day and model.
fn by_day_and_model(
    c: &Connection,
    user_id: Id,
    first_day: &str,
    last_day: &str,
) -> StoreResult<Vec<UsageRow>> {
    let mut statement = c.prepare_cached(
        "SELECT user_id, day, model, requests, messages, input_tokens, output_tokens, cached_tokens, errors, \
         estimated FROM usage_days WHERE user_id = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day, model",
    )?;
    let mut rows = statement.query((user_id.as_bytes(), first_day, last_day))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
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
