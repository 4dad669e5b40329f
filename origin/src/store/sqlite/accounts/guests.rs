//! Guests.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};
use shared::{api::account::User, id::Id};

use super::{SqliteAccounts, audit, jobs, sessions, users};
use crate::store::{
    accounts::{Guests, audit::AuditEvent, guests::GuestMerge, sessions::NewSession},
    error::StoreResult,
    sqlite::row::Columns,
};

#[async_trait]
impl Guests for SqliteAccounts {
    async fn create_guest(&self, user: User, session: NewSession, audit: AuditEvent) -> StoreResult<()> {
        self.0
            .write(move |c| {
                if users::exists(c, user.id)? {
                    return Ok(());
                }
                users::insert_row(c, &user)?;
                sessions::insert(c, &session)?;
                audit::append(c, &audit)
            })
            .await
    }

    async fn merge_guest(&self, merge: GuestMerge) -> StoreResult<bool> {
        self.0.write(move |c| merge_into(c, &merge)).await
    }

    async fn merged_into(&self, guest_id: Id) -> StoreResult<Option<Id>> {
        self.0.read(move |c| find_merged_into(c, guest_id)).await
    }
}

/// Merges within a write transaction.
fn merge_into(c: &Connection, merge: &GuestMerge) -> StoreResult<bool> {
    if let Some(into) = find_merged_into(c, merge.guest_id)? {
        return Ok(into == merge.into);
    }
    if !users::exists(c, merge.into)? {
        return Ok(false);
    }
    let merged = c
        .prepare_cached("UPDATE users SET merged_into = ?2 WHERE id = ?1 AND guest AND id <> ?2")?
        .execute((merge.guest_id.as_bytes(), merge.into.as_bytes()))?;
    if merged == 0 {
        return Ok(false);
    }
    sessions::end_all(c, merge.guest_id, None, &merge.event)?;
    for job in &merge.jobs {
        jobs::schedule(c, job)?;
    }
    audit::append(c, &merge.audit)?;
    Ok(true)
}

fn find_merged_into(c: &Connection, guest_id: Id) -> StoreResult<Option<Id>> {
    let mut statement = c.prepare_cached("SELECT merged_into FROM users WHERE id = ?1")?;
    let found = statement
        .query_row([guest_id.as_bytes()], |row| Ok(Columns::of("users", row).optional_id("merged_into")));
    Ok(found.optional()?.transpose()?.flatten())
}
