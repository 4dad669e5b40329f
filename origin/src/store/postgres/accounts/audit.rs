//! The audit trail of accounts.

use async_trait::async_trait;
use serde_json::json;
use shared::{api::account::AccountEventKind, id::Id, time::Timestamp};
use tokio_postgres::Row;

use super::PostgresAccounts;
use crate::store::{
    accounts::{Audit, TimePosition, audit::AuditEvent},
    error::StoreResult,
    postgres::row::{Columns, key},
};

#[async_trait]
impl Audit for PostgresAccounts {
    async fn append_audit_event(&self, event: AuditEvent) -> StoreResult<()> {
        let (user_id, event) = (&key(event.user_id), &audit_json(&event));
        self.0.run(|c| async move { c.rows(APPEND, &[user_id, event]).await.map(drop) }).await
    }

    async fn audit_events(
        &self,
        user_id: Id,
        after: Option<TimePosition>,
        limit: u32,
    ) -> StoreResult<Vec<AuditEvent>> {
        let (at, id) = after.map(|after| (after.at.as_millis(), key(after.id))).unzip();
        let (user_id, at, id, limit) = (&key(user_id), &at, &id, &i64::from(limit));
        self.0
            .run(|c| async move {
                let rows = c.rows(LIST, &[user_id, at, id, limit]).await?;
                Ok(rows.iter().map(read).collect::<StoreResult<_>>()?)
            })
            .await
    }

    async fn forget_audit_events(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let (before, limit) = (before.as_millis(), i64::from(limit));
        self.0.run(|c| async move { c.count(FORGET, &[&before, &limit]).await }).await
    }
}

/// The part `audited` of a statement, or one of another name: notes the event of [`audit_json`] in this parameter, if the part that is
/// its cause has a row.
macro_rules! audited {
    ($event:literal, $cause:literal) => {
        audited!("audited", $event, $cause)
    };
    ($name:literal, $event:literal, $cause:literal) => {
        concat!(
            $name,
            " AS ( \
                INSERT INTO audit_events (id, user_id, at, kind, session_id, ip, device_name, request_id) \
                SELECT e.id, e.user_id, e.at, e.kind, e.session_id, e.ip, coalesce(e.device_name, s.device_name), \
                    e.request_id \
                FROM jsonb_to_record(",
            $event,
            "::text::jsonb) AS e (id uuid, user_id uuid, at bigint, kind text, session_id uuid, ip text, \
                    device_name text, request_id text) \
                    LEFT JOIN sessions s ON s.id = e.session_id AND s.user_id = e.user_id \
                WHERE EXISTS (SELECT FROM ",
            $cause,
            ") ON CONFLICT (id) DO NOTHING \
            )"
        )
    };
}
pub(super) use audited;

/// The value of the parameter of `audited`.
pub(super) fn audit_json(event: &AuditEvent) -> String {
    json!({
        "id": event.id,
        "user_id": event.user_id,
        "at": event.at.as_millis(),
        "kind": event.kind.as_str(),
        "session_id": event.session_id,
        "ip": event.ip,
        "device_name": event.device_name,
        "request_id": event.request_id,
    })
    .to_string()
}

const APPEND: &str = concat!(
    "WITH known AS (SELECT id FROM users WHERE id = $1 FOR KEY SHARE), ",
    audited!("$2", "known"),
    " SELECT FROM known"
);

/// Without a place the page is the first.
const LIST: &str = "\
    SELECT id, user_id, at, kind, session_id, ip, device_name, request_id FROM audit_events \
    WHERE user_id = $1 AND ($2::bigint IS NULL OR (at, id) < ($2, $3::uuid)) ORDER BY at DESC, id DESC LIMIT $4";

fn read(row: &Row) -> StoreResult<AuditEvent> {
    let mut columns = Columns::of("audit_events", row);
    Ok(AuditEvent {
        id: columns.id("id")?,
        user_id: columns.id("user_id")?,
        at: columns.time("at")?,
        kind: columns.word("kind", AccountEventKind::parse)?,
        session_id: columns.optional_id("session_id")?,
        ip: columns.get("ip")?,
        device_name: columns.get("device_name")?,
        request_id: columns.get("request_id")?,
    })
}

/// Passes over rows that another call has in its hands: they are forgotten the next time.
const FORGET: &str = "\
    WITH oldest AS MATERIALIZED ( \
        SELECT id FROM audit_events WHERE at < $1 ORDER BY at LIMIT $2::bigint FOR UPDATE SKIP LOCKED \
    ) DELETE FROM audit_events USING oldest WHERE audit_events.id = oldest.id";
