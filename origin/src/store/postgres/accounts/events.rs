//! Events for user objects.

use async_trait::async_trait;
use shared::{api::internal::user_event::AddressedEvent, id::Id, time::Timestamp};
use tokio_postgres::Row;

use super::PostgresAccounts;
use crate::store::{
    accounts::{Events, events::LeasedEvent},
    error::StoreResult,
    postgres::{
        pool::Connection,
        row::{Columns, key},
        step_error::Step,
    },
    values::{event_json, leased_event},
};

#[async_trait]
impl Events for PostgresAccounts {
    async fn append_events(&self, events: Vec<AddressedEvent>) -> StoreResult<()> {
        let events = &events;
        self.0.run(|c| async move { append(&c, events).await }).await
    }

    async fn lease_events(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<LeasedEvent>> {
        self.0.run(|c| async move { lease(&c, now, until, limit).await }).await
    }

    async fn acknowledge_events(&self, events: Vec<Id>) -> StoreResult<()> {
        let ids: Vec<_> = events.into_iter().map(key).collect();
        let ids = &ids;
        self.0
            .run(|c| async move { c.rows("DELETE FROM user_events WHERE id = ANY($1)", &[ids]).await.map(drop) })
            .await
    }

    async fn postpone_events(&self, events: Vec<(Id, Timestamp)>) -> StoreResult<()> {
        let (ids, dues): (Vec<_>, Vec<_>) =
            events.into_iter().map(|(id, due_at)| (key(id), due_at.as_millis())).unzip();
        let (ids, dues) = (&ids, &dues);
        self.0.run(|c| async move { c.rows(POSTPONE, &[ids, dues]).await.map(drop) }).await
    }
}

const APPEND: &str = "\
    INSERT INTO user_events (id, user_id, at, event, due_at) \
    SELECT id, user_id, at, event, at \
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[]) AS new (id, user_id, at, event) \
    ON CONFLICT (id) DO NOTHING";

async fn append(c: &Connection, events: &[AddressedEvent]) -> Step<()> {
    let ids: Vec<_> = events.iter().map(|event| key(event.id)).collect();
    let users: Vec<_> = events.iter().map(|event| key(event.user_id)).collect();
    let times: Vec<_> = events.iter().map(|event| event.at.as_millis()).collect();
    let bodies: Vec<_> = events.iter().map(event_json).collect();
    c.rows(APPEND, &[&ids, &users, &times, &bodies]).await.map(drop)
}

const POSTPONE: &str = "\
    UPDATE user_events e SET due_at = new.due_at \
    FROM unnest($1::uuid[], $2::bigint[]) AS new (id, due_at) WHERE e.id = new.id";

/// Leases the events that are due. Rows locked by another lease are skipped.
const LEASE: &str = "\
    WITH due AS ( \
        SELECT id FROM user_events WHERE due_at <= $1 ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED \
    ) UPDATE user_events e SET due_at = $2, attempts = attempts + 1 FROM due WHERE e.id = due.id \
    RETURNING e.id, e.user_id, e.at, e.event, e.attempts";

async fn lease(c: &Connection, now: Timestamp, until: Timestamp, limit: u32) -> Step<Vec<LeasedEvent>> {
    let rows = c.rows(LEASE, &[&now.as_millis(), &until.as_millis(), &i64::from(limit)]).await?;
    let mut leased = rows.iter().map(read).collect::<StoreResult<Vec<_>>>()?;
    leased.sort_unstable_by_key(|leased| (leased.event.at, leased.event.id));
    Ok(leased)
}

fn read(row: &Row) -> StoreResult<LeasedEvent> {
    let mut columns = Columns::of("user_events", row);
    let (id, user_id, at) = (columns.id("id")?, columns.id("user_id")?, columns.time("at")?);
    let event = columns.word("event", |json| serde_json::from_str(json).ok())?;
    Ok(leased_event(AddressedEvent { id, user_id, at, event }, columns.count("attempts")?))
}
