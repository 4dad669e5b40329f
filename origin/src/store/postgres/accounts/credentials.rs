//! Passwords, as hashes.

use async_trait::async_trait;
use shared::id::Id;

use super::{PostgresAccounts, users};
use crate::store::{
    accounts::{Credentials, credentials::Credential},
    error::StoreResult,
    postgres::{
        pool::Connection,
        row::{Columns, key},
        step_error::Step,
    },
};

#[async_trait]
impl Credentials for PostgresAccounts {
    async fn credential(&self, email: String, network: Option<String>) -> StoreResult<Option<Credential>> {
        let (email, network) = (&email, network.as_deref());
        self.0.run(|c| async move { find(&c, email, network).await }).await
    }

    async fn replace_password_hash(&self, user_id: Id, old: String, new: String) -> StoreResult<bool> {
        let (user_id, old, new) = (&key(user_id), &old, &new);
        self.0.run(|c| async move { Ok(c.row(REPLACE, &[user_id, old, new]).await?.is_some()) }).await
    }
}

/// Replaces the hash of a password. Once it is done, doing it again is the same answer.
const REPLACE: &str = "UPDATE credentials SET password_hash = $3 WHERE user_id = $1 AND password_hash IN ($2, $3) \
                       RETURNING user_id";

async fn find(c: &Connection, email: &str, network: Option<&str>) -> Step<Option<Credential>> {
    if email.contains('\0') {
        // No stored text has this character, and PostgreSQL does not even compare with it.
        return Ok(None);
    }
    let sql = concat!(
        "SELECT ",
        users::user_columns!(),
        ", k.password_hash, EXISTS (SELECT FROM sessions s WHERE s.user_id = u.id AND s.network = $2) \
         FROM users u JOIN credentials k ON k.user_id = u.id WHERE u.email = $1"
    );
    let Some(row) = c.row(sql, &[&email, &network]).await? else { return Ok(None) };
    let mut columns = Columns::of("users", &row);
    let user = users::read(&mut columns)?;
    let password_hash = columns.get("password_hash")?;
    Ok(Some(Credential { user, password_hash, is_known_network: columns.get("network")? }))
}
