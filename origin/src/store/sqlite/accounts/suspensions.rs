//! Users whom an operator has suspended.

use async_trait::async_trait;
use rusqlite::Connection;
use shared::{api::internal::user_event::AddressedEvent, id::Id};

use super::{SqliteAccounts, audit, events, users};
use crate::store::{
    accounts::{Suspensions, audit::AuditEvent, suspensions::SuspensionOutcome},
    error::StoreResult,
};

#[async_trait]
impl Suspensions for SqliteAccounts {
    async fn suspend(
        &self,
        user_id: Id,
        event: AddressedEvent,
        audit: AuditEvent,
    ) -> StoreResult<SuspensionOutcome> {
        self.0
            .write(move |c| {
                let sql = "UPDATE users SET suspended_at = ?2 WHERE id = ?1 AND suspended_at IS NULL";
                let changed = c.prepare_cached(sql)?.execute((user_id.as_bytes(), event.at.as_millis()))?;
                if changed == 0 {
                    return unchanged(c, user_id);
                }
                let sql = "UPDATE sessions SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL";
                if c.prepare_cached(sql)?.execute((user_id.as_bytes(), event.at.as_millis()))? > 0 {
                    events::append(c, &event)?;
                }
                audit::append(c, &audit)?;
                Ok(SuspensionOutcome::Changed)
            })
            .await
    }

    async fn resume(&self, user_id: Id, audit: AuditEvent) -> StoreResult<SuspensionOutcome> {
        self.0
            .write(move |c| {
                let sql = "UPDATE users SET suspended_at = NULL WHERE id = ?1 AND suspended_at IS NOT NULL";
                if c.prepare_cached(sql)?.execute([user_id.as_bytes()])? == 0 {
                    return unchanged(c, user_id);
                }
                audit::append(c, &audit)?;
                Ok(SuspensionOutcome::Changed)
            })
            .await
    }
}

fn unchanged(c: &Connection, user_id: Id) -> StoreResult<SuspensionOutcome> {
    let is_known = users::exists(c, user_id)?;
    Ok(if is_known { SuspensionOutcome::Unchanged } else { SuspensionOutcome::NoUser })
}
