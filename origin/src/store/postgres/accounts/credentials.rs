//! Passwords, as hashes.

use async_trait::async_trait;
use shared::id::Id;

use super::{
    PostgresAccounts,
    audit::{audit_json, audited},
    users,
};
use crate::store::{
    accounts::{
        Credentials,
        credentials::{Credential, PasswordChange},
    },
    error::StoreResult,
    postgres::{
        pool::Connection,
        row::{Columns, key},
        step_error::Step,
    },
    values::event_json,
};

#[async_trait]
impl Credentials for PostgresAccounts {
    async fn credential(&self, email: String, network: Option<String>) -> StoreResult<Option<Credential>> {
        let (email, network) = (&email, network.as_deref());
        self.0.run(|c| async move { find(&c, email, network).await }).await
    }

    async fn password_hash(&self, user_id: Id) -> StoreResult<Option<String>> {
        let row = self.0.run(|c| async move { c.row(HASH, &[&key(user_id)]).await }).await?;
        row.map(|row| Columns::of("credentials", &row).get("password_hash")).transpose()
    }

    async fn change_password(&self, change: PasswordChange) -> StoreResult<bool> {
        let change = &change;
        self.0.run(|c| async move { change_hash(&c, change).await }).await
    }

    async fn replace_password_hash(&self, user_id: Id, old: String, new: String) -> StoreResult<bool> {
        let (user_id, old, new) = (&key(user_id), &old, &new);
        self.0.run(|c| async move { Ok(c.row(REPLACE, &[user_id, old, new]).await?.is_some()) }).await
    }
}

const HASH: &str = "SELECT password_hash FROM credentials WHERE user_id = $1";

/// Takes the session's row, which exchanges of its refresh tokens take as well: what they store is seen by the statements that
/// follow.
const LOCK: &str =
    "SELECT FROM sessions WHERE id = $1 AND user_id = $2 AND ended_at IS NULL FOR NO KEY UPDATE";

/// The stored hash, and whether the session is open.
const LOCKED: &str = "\
    SELECT k.password_hash, \
        EXISTS (SELECT FROM sessions WHERE id = $1 AND user_id = $2 AND ended_at IS NULL) \
    FROM credentials k WHERE k.user_id = $2";

/// One statement. Of two changes at once the second finds another hash.
const CHANGE: &str = concat!(
    "WITH changed AS ( \
        UPDATE credentials SET password_hash = $3, changed_at = $5 WHERE user_id = $2 AND password_hash = $4 \
        RETURNING user_id \
    ), removed AS ( \
        DELETE FROM refresh_tokens USING changed WHERE session_id = $1 \
    ), added AS ( \
        INSERT INTO refresh_tokens (hash, session_id, expires_at) SELECT $6, $1, $7::bigint FROM changed \
    ), ended AS ( \
        UPDATE sessions s SET ended_at = $5 FROM changed \
        WHERE s.user_id = changed.user_id AND ended_at IS NULL AND created_at <= $5 AND s.id <> $1 RETURNING s.id \
    ), appended AS ( \
        INSERT INTO user_events (id, user_id, at, event, due_at) \
        SELECT $8::uuid, $2, $5::bigint, $9::text, $5::bigint WHERE EXISTS (SELECT FROM ended) \
        ON CONFLICT (id) DO NOTHING \
    ), ",
    audited!("$15", "changed"),
    " INSERT INTO jobs (id, kind, key, payload, due_at) \
      SELECT $10::uuid, $11::text, $12::text, $13::text, $14::bigint FROM changed ON CONFLICT DO NOTHING"
);

/// Changes a password in two round trips.
async fn change_hash(c: &Connection, change: &PasswordChange) -> Step<bool> {
    let (session_id, user_id) = (&key(change.session_id), &key(change.user_id));
    let row = c.begin_locked(LOCK, LOCKED, &[session_id, user_id]).await?;
    let Some(row) = row else {
        c.commit(None).await?;
        return Ok(false);
    };
    let mut columns = Columns::of("credentials", &row);
    let stored: String = columns.get("password_hash")?;
    let is_open: bool = columns.get("is_open")?;
    if stored != change.old_hash || !is_open {
        c.commit(None).await?;
        return Ok(stored == change.new_hash);
    }
    let (event, job) = (&change.event, &change.job);
    c.commit(Some((
        CHANGE,
        &[
            session_id,
            user_id,
            &change.new_hash,
            &change.old_hash,
            &event.at.as_millis(),
            &change.refresh_hash.as_slice(),
            &change.refresh_expires_at.as_millis(),
            &key(event.id),
            &event_json(event),
            &key(job.id),
            &job.kind,
            &job.key,
            &job.payload,
            &job.due_at.as_millis(),
            &audit_json(&change.audit),
        ],
    )))
    .await?;
    Ok(true)
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
        ", k.password_hash, u.suspended_at IS NOT NULL, \
         EXISTS (SELECT FROM sessions s WHERE s.user_id = u.id AND s.network = $2) \
         FROM users u JOIN credentials k ON k.user_id = u.id WHERE u.email = $1"
    );
    let Some(row) = c.row(sql, &[&email, &network]).await? else { return Ok(None) };
    let mut columns = Columns::of("users", &row);
    let user = users::read(&mut columns)?;
    let password_hash = columns.get("password_hash")?;
    let is_suspended = columns.get("suspended_at")?;
    Ok(Some(Credential { user, password_hash, is_suspended, is_known_network: columns.get("network")? }))
}
