//! Passwords, as hashes.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};
use shared::{id::Id, time::Timestamp};

use super::{SqliteAccounts, audit, jobs, sessions, users};
use crate::store::{
    accounts::{
        Credentials,
        credentials::{Credential, PasswordChange},
    },
    error::StoreResult,
    sqlite::row::Columns,
};

#[async_trait]
impl Credentials for SqliteAccounts {
    async fn credential(&self, email: String, network: Option<String>) -> StoreResult<Option<Credential>> {
        self.0.read(move |c| find(c, &email, network.as_deref())).await
    }

    async fn password_hash(&self, user_id: Id) -> StoreResult<Option<String>> {
        self.0.read(move |c| find_hash(c, user_id)).await
    }

    async fn change_password(&self, change: PasswordChange) -> StoreResult<bool> {
        self.0.write(move |c| change_hash(c, &change)).await
    }

    async fn replace_password_hash(&self, user_id: Id, old: String, new: String) -> StoreResult<bool> {
        let sql =
            "UPDATE credentials SET password_hash = ?3 WHERE user_id = ?1 AND password_hash IN (?2, ?3)";
        self.0.write(move |c| Ok(c.prepare_cached(sql)?.execute((user_id.as_bytes(), old, new))? == 1)).await
    }
}

fn find(c: &Connection, email: &str, network: Option<&str>) -> StoreResult<Option<Credential>> {
    let mut statement = c.prepare_cached(concat!(
        "SELECT ",
        users::user_columns!(),
        ", k.password_hash, u.suspended_at IS NOT NULL, \
         EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id AND s.network = ?2) \
         FROM users u JOIN credentials k ON k.user_id = u.id WHERE u.email = ?1"
    ))?;
    let mut rows = statement.query((email, network))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::of("users", row);
    let user = users::read(&mut columns)?;
    let password_hash = columns.get("password_hash")?;
    let is_suspended = columns.get("suspended_at")?;
    Ok(Some(Credential { user, password_hash, is_suspended, is_known_network: columns.get("network")? }))
}

fn find_hash(c: &Connection, user_id: Id) -> StoreResult<Option<String>> {
    let sql = "SELECT password_hash FROM credentials WHERE user_id = ?1";
    Ok(c.prepare_cached(sql)?.query_row([user_id.as_bytes()], |row| row.get(0)).optional()?)
}

/// Changes a password within a write transaction.
fn change_hash(c: &Connection, change: &PasswordChange) -> StoreResult<bool> {
    let (user_id, now) = (change.user_id, change.event.at);
    let stored = find_hash(c, user_id)?;
    if stored.as_ref() != Some(&change.old_hash) {
        return Ok(stored.as_ref() == Some(&change.new_hash));
    }
    let expires_at = change.refresh_expires_at;
    if !sessions::replace_tokens(c, user_id, change.session_id, &change.refresh_hash, expires_at)? {
        return Ok(false);
    }
    set(c, user_id, &change.new_hash, now)?;
    sessions::end_all(c, user_id, Some(change.session_id), &change.event)?;
    audit::append(c, &change.audit)?;
    jobs::schedule(c, &change.job)?;
    Ok(true)
}

/// Sets a user's password, their first or another one.
pub(super) fn set(c: &Connection, user_id: Id, password_hash: &str, at: Timestamp) -> StoreResult<()> {
    c.prepare_cached(
        "INSERT INTO credentials (user_id, password_hash, changed_at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash, changed_at = excluded.changed_at",
    )?
    .execute((user_id.as_bytes(), password_hash, at.as_millis()))?;
    Ok(())
}
