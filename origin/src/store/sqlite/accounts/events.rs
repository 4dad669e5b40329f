//! Events for user objects.

use async_trait::async_trait;
use rusqlite::{Connection, Row};
use shared::{api::internal::user_event::AddressedEvent, id::Id, time::Timestamp};

use super::SqliteAccounts;
use crate::store::{
    accounts::{Events, events::LeasedEvent},
    error::StoreResult,
    sqlite::row::Columns,
    values::{event_json, leased_event},
};

#[async_trait]
impl Events for SqliteAccounts {
    async fn append_events(&self, events: Vec<AddressedEvent>) -> StoreResult<()> {
        self.0.write(move |c| events.iter().try_for_each(|event| append(c, event))).await
    }

    async fn lease_events(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<LeasedEvent>> {
        if !self.0.read(move |c| is_any_due(c, now)).await? {
            return Ok(Vec::new());
        }
        self.0.write(move |c| lease(c, now, until, limit)).await
    }

    async fn acknowledge_events(&self, events: Vec<Id>) -> StoreResult<()> {
        self.0
            .write(move |c| {
                let mut statement = c.prepare_cached("DELETE FROM user_events WHERE id = ?1")?;
                for id in &events {
                    statement.execute([id.as_bytes()])?;
                }
                Ok(())
            })
            .await
    }

    async fn postpone_events(&self, events: Vec<(Id, Timestamp)>) -> StoreResult<()> {
        self.0
            .write(move |c| {
                let mut statement = c.prepare_cached("UPDATE user_events SET due_at = ?2 WHERE id = ?1")?;
                for (id, due_at) in &events {
                    statement.execute((id.as_bytes(), due_at.as_millis()))?;
                }
                Ok(())
            })
            .await
    }
}

/// Stores an event, within a transaction with the change that it tells of.
pub(super) fn append(c: &Connection, event: &AddressedEvent) -> StoreResult<()> {
    let at = event.at.as_millis();
    c.prepare_cached(
        "INSERT INTO user_events (id, user_id, at, event, due_at) VALUES (?1, ?2, ?3, ?4, ?3) \
         ON CONFLICT (id) DO NOTHING",
    )?
    .execute((event.id.as_bytes(), event.user_id.as_bytes(), at, event_json(event)))?;
    Ok(())
}

/// Looks before it leases: most of the time nothing is due, and a write would wait for others.
fn is_any_due(c: &Connection, now: Timestamp) -> StoreResult<bool> {
    let mut statement = c.prepare_cached("SELECT 1 FROM user_events WHERE due_at <= ?1 LIMIT 1")?;
    Ok(statement.exists([now.as_millis()])?)
}

const LEASE: &str = "UPDATE user_events SET due_at = ?2, attempts = attempts + 1 \
                     WHERE id IN (SELECT id FROM user_events WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?3) \
                     RETURNING id, user_id, at, event, attempts";

fn lease(c: &Connection, now: Timestamp, until: Timestamp, limit: u32) -> StoreResult<Vec<LeasedEvent>> {
    let mut statement = c.prepare_cached(LEASE)?;
    let mut rows = statement.query((now.as_millis(), until.as_millis(), limit))?;
    let mut leased = Vec::new();
    while let Some(row) = rows.next()? {
        leased.push(read(row)?);
    }
    leased.sort_unstable_by_key(|leased| (leased.event.at, leased.event.id));
    Ok(leased)
}

fn read(row: &Row<'_>) -> StoreResult<LeasedEvent> {
    let mut columns = Columns::of("user_events", row);
    let (id, user_id, at) = (columns.id("id")?, columns.id("user_id")?, columns.time("at")?);
    let event = columns.word("event", |json| serde_json::from_str(json).ok())?;
    Ok(leased_event(AddressedEvent { id, user_id, at, event }, columns.count("attempts")?))
}
