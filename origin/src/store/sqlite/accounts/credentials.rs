//! Passwords, as hashes.

use async_trait::async_trait;
use rusqlite::Connection;
use shared::id::Id;

use super::{SqliteAccounts, users};
use crate::store::{
    accounts::{Credentials, credentials::Credential},
    error::StoreResult,
    sqlite::row::Columns,
};

#[async_trait]
impl Credentials for SqliteAccounts {
    async fn credential(&self, email: String, network: Option<String>) -> StoreResult<Option<Credential>> {
        self.0.read(move |c| find(c, &email, network.as_deref())).await
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
        ", k.password_hash, EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id AND s.network = ?2) \
         FROM users u JOIN credentials k ON k.user_id = u.id WHERE u.email = ?1"
    ))?;
    let mut rows = statement.query((email, network))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::of("users", row);
    let user = users::read(&mut columns)?;
    let password_hash = columns.get("password_hash")?;
    Ok(Some(Credential { user, password_hash, is_known_network: columns.get("network")? }))
}
