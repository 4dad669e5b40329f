//! The keys of access tokens that follow one another.

use async_trait::async_trait;
use rusqlite::Connection;

use super::SqliteAccounts;
use crate::store::{
    accounts::{TokenKeys, token_keys::TokenKey},
    error::StoreResult,
    sqlite::row::Columns,
};

#[async_trait]
impl TokenKeys for SqliteAccounts {
    async fn token_keys(&self) -> StoreResult<Vec<TokenKey>> {
        self.0.read(list).await
    }

    async fn add_token_key(&self, key: TokenKey, keep_from: u32) -> StoreResult<bool> {
        self.0.write(move |c| add(c, &key, keep_from)).await
    }
}

fn list(c: &Connection) -> StoreResult<Vec<TokenKey>> {
    let mut statement = c.prepare_cached(
        "SELECT number, public_key, salt, published_at, signs_from FROM token_keys ORDER BY number",
    )?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of("token_keys", row);
        keys.push(TokenKey {
            number: columns.get("number")?,
            public_key: columns.get("public_key")?,
            salt: columns.get("salt")?,
            published_at: columns.time("published_at")?,
            signs_from: columns.time("signs_from")?,
        });
    }
    Ok(keys)
}

/// Adds a key within a write transaction.
fn add(c: &Connection, key: &TokenKey, keep_from: u32) -> StoreResult<bool> {
    let TokenKey { number, public_key, salt, published_at, signs_from } = key;
    c.prepare_cached(
        "INSERT INTO token_keys (number, public_key, salt, published_at, signs_from) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO NOTHING",
    )?
    .execute((number, public_key, salt, published_at.as_millis(), signs_from.as_millis()))?;
    let is_there: bool = c
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM token_keys WHERE number = ?1 AND public_key = ?2)")?
        .query_row((number, public_key), |row| row.get(0))?;
    if is_there {
        c.prepare_cached("DELETE FROM token_keys WHERE number < ?1")?.execute([keep_from])?;
        let followed = number.saturating_sub(1);
        c.prepare_cached("UPDATE token_keys SET salt = NULL WHERE number < ?1")?.execute([followed])?;
    }
    Ok(is_there)
}
