//! The audit trail of accounts.

use async_trait::async_trait;
use rusqlite::{Connection, named_params};
use shared::{api::account::AccountEventKind, id::Id, time::Timestamp};

use super::SqliteAccounts;
use crate::store::{
    accounts::{Audit, TimePosition, audit::AuditEvent},
    error::StoreResult,
    sqlite::row::{Columns, bytes},
};

#[async_trait]
impl Audit for SqliteAccounts {
    async fn append_audit_event(&self, event: AuditEvent) -> StoreResult<()> {
        self.0.write(move |c| append(c, &event)).await
    }

    async fn audit_events(
        &self,
        user_id: Id,
        after: Option<TimePosition>,
        limit: u32,
    ) -> StoreResult<Vec<AuditEvent>> {
        self.0.read(move |c| list(c, user_id, after, limit)).await
    }

    async fn forget_audit_events(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        self.0
            .write(move |c| {
                let gone = c.prepare_cached(FORGET)?.execute((before.as_millis(), limit))?;
                Ok(u64::try_from(gone).unwrap_or(u64::MAX))
            })
            .await
    }
}

/// Notes an event of a user, within a transaction with what it notes.
pub(super) fn append(c: &Connection, event: &AuditEvent) -> StoreResult<()> {
    c.prepare_cached(
        "INSERT INTO audit_events (id, user_id, at, kind, session_id, ip, device_name, request_id) \
         SELECT :id, u.id, :at, :kind, :session_id, :ip, coalesce(:device_name, s.device_name), :request_id \
         FROM users u LEFT JOIN sessions s ON s.id = :session_id AND s.user_id = u.id WHERE u.id = :user_id \
         ON CONFLICT (id) DO NOTHING",
    )?
    .execute(named_params! {
        ":id": event.id.as_bytes(),
        ":user_id": event.user_id.as_bytes(),
        ":at": event.at.as_millis(),
        ":kind": event.kind.as_str(),
        ":session_id": bytes(event.session_id.as_ref()),
        ":ip": event.ip,
        ":device_name": event.device_name,
        ":request_id": event.request_id,
    })?;
    Ok(())
}

/// Without a place the page is the first.
const LIST: &str = "\
    SELECT id, user_id, at, kind, session_id, ip, device_name, request_id FROM audit_events \
    WHERE user_id = :user_id AND (:after_at IS NULL OR (at, id) < (:after_at, :after_id)) \
    ORDER BY at DESC, id DESC LIMIT :limit";

fn list(
    c: &Connection,
    user_id: Id,
    after: Option<TimePosition>,
    limit: u32,
) -> StoreResult<Vec<AuditEvent>> {
    let mut statement = c.prepare_cached(LIST)?;
    let mut rows = statement.query(named_params! {
        ":user_id": user_id.as_bytes(),
        ":after_at": after.map(|after| after.at.as_millis()),
        ":after_id": bytes(after.as_ref().map(|after| &after.id)),
        ":limit": limit,
    })?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of("audit_events", row);
        events.push(AuditEvent {
            id: columns.id("id")?,
            user_id: columns.id("user_id")?,
            at: columns.time("at")?,
            kind: columns.word("kind", AccountEventKind::parse)?,
            session_id: columns.optional_id("session_id")?,
            ip: columns.get("ip")?,
            device_name: columns.get("device_name")?,
            request_id: columns.get("request_id")?,
        });
    }
    Ok(events)
}

const FORGET: &str = "DELETE FROM audit_events WHERE id IN \
                      (SELECT id FROM audit_events WHERE at < ?1 ORDER BY at LIMIT ?2)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{
        engine::{connect, plan},
        migrate,
    };

    #[tokio::test]
    async fn events_are_listed_and_forgotten_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.db");
        migrate::accounts(&path).await.unwrap();
        let file = connect(&path).unwrap();
        for (sql, index) in [(LIST, "audit_events_by_user"), (FORGET, "audit_events_by_time")] {
            let plan = plan(&file, sql);
            assert!(plan.contains(index) && !plan.contains("B-TREE"), "{plan}");
        }
    }
}
