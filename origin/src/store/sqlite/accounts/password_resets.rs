//! Permissions to set a new password.

use async_trait::async_trait;
use rusqlite::{Connection, named_params};
use shared::{api::account::User, time::Timestamp};

use super::{SqliteAccounts, audit, credentials, jobs, sessions, users};
use crate::store::{
    accounts::{
        PasswordResets,
        password_resets::{NewPasswordReset, PasswordReset},
        sessions::TokenHash,
    },
    error::StoreResult,
    sqlite::row::Columns,
};

#[async_trait]
impl PasswordResets for SqliteAccounts {
    async fn create_password_reset(&self, reset: NewPasswordReset) -> StoreResult<bool> {
        self.0.write(move |c| insert(c, &reset)).await
    }

    async fn password_reset_user(&self, token_hash: TokenHash, now: Timestamp) -> StoreResult<Option<User>> {
        self.0.read(move |c| find_user(c, &token_hash, now)).await
    }

    async fn reset_password(&self, reset: PasswordReset) -> StoreResult<bool> {
        self.0.write(move |c| consume(c, &reset)).await
    }

    async fn forget_password_resets(&self, expired_before: Timestamp, limit: u32) -> StoreResult<u64> {
        self.0
            .write(move |c| {
                let gone = c.prepare_cached(FORGET)?.execute((expired_before.as_millis(), limit))?;
                Ok(u64::try_from(gone).unwrap_or(u64::MAX))
            })
            .await
    }
}

const FORGET: &str = "DELETE FROM password_resets WHERE token_hash IN \
                      (SELECT token_hash FROM password_resets WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";

fn insert(c: &Connection, reset: &NewPasswordReset) -> StoreResult<bool> {
    if !users::may_sign_in(c, reset.user_id)? {
        return Ok(false);
    }
    c.prepare_cached(
        "INSERT INTO password_resets (token_hash, user_id, email, phone, expires_at) \
         VALUES (:token_hash, :user_id, :email, :phone, :expires_at) ON CONFLICT DO NOTHING",
    )?
    .execute(named_params! {
        ":token_hash": reset.token_hash,
        ":user_id": reset.user_id.as_bytes(),
        ":email": reset.address.as_email(),
        ":phone": reset.address.as_phone(),
        ":expires_at": reset.expires_at.as_millis(),
    })?;
    Ok(true)
}

fn find_user(c: &Connection, token_hash: &TokenHash, now: Timestamp) -> StoreResult<Option<User>> {
    let mut statement = c.prepare_cached(concat!(
        "SELECT ",
        users::user_columns!(),
        " FROM password_resets r JOIN users u ON u.id = r.user_id WHERE r.token_hash = ?1 AND r.expires_at > ?2 \
         AND u.suspended_at IS NULL"
    ))?;
    let mut rows = statement.query((token_hash, now.as_millis()))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    users::read(&mut Columns::of("users", row)).map(Some)
}

/// Deletes what somebody added to the account before the address of the permission was proven: they may be somebody else than whoever
/// reads messages there.
macro_rules! of_unproven {
    ($table:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE user_id = ?2 AND EXISTS ( \
                 SELECT 1 FROM password_resets r JOIN users u ON u.id = r.user_id \
                 WHERE r.token_hash = ?1 AND r.user_id = ?2 AND r.expires_at > ?3 \
                     AND NOT coalesce(u.email_verified AND u.email = r.email, 0) \
                     AND NOT coalesce(u.phone_verified AND u.phone = r.phone, 0))"
        )
    };
}

/// Uses a permission within a write transaction.
fn consume(c: &Connection, reset: &PasswordReset) -> StoreResult<bool> {
    let (user_id, now) = (reset.user_id.as_bytes(), reset.event.at.as_millis());
    for sql in [of_unproven!("passkeys"), of_unproven!("identities")] {
        c.prepare_cached(sql)?.execute((reset.token_hash, user_id, now))?;
    }
    let verified = c
        .prepare_cached(
            "UPDATE users SET \
                 email_verified = max(email_verified, users.email IS NOT NULL AND users.email IS r.email), \
                 phone = iif(users.email IS NOT NULL AND users.email IS r.email AND NOT email_verified, NULL, users.phone), \
                 phone_verified = iif(users.email IS NOT NULL AND users.email IS r.email AND NOT email_verified, 0, \
                     max(phone_verified, users.phone IS NOT NULL AND users.phone IS r.phone)) \
             FROM password_resets r \
             WHERE users.id = ?2 AND users.suspended_at IS NULL AND r.user_id = ?2 AND r.token_hash = ?1 AND r.expires_at > ?3",
        )?
        .execute((reset.token_hash, user_id, now))?;
    if verified == 0 {
        return Ok(false);
    }
    c.prepare_cached("DELETE FROM password_resets WHERE user_id = ?1")?.execute([user_id])?;
    credentials::set(c, reset.user_id, &reset.password_hash, reset.event.at)?;
    sessions::end_all(c, reset.user_id, None, &reset.event)?;
    audit::append(c, &reset.audit)?;
    jobs::schedule(c, &reset.job)?;
    Ok(true)
}
