//! Permissions to set a new password.

use async_trait::async_trait;
use shared::{api::account::User, time::Timestamp};

use super::{
    PostgresAccounts,
    audit::{audit_json, audited},
    users,
};
use crate::store::{
    accounts::{
        PasswordResets,
        password_resets::{NewPasswordReset, PasswordReset},
        sessions::TokenHash,
    },
    error::StoreResult,
    postgres::row::{Columns, key},
    values::event_json,
};

#[async_trait]
impl PasswordResets for PostgresAccounts {
    async fn create_password_reset(&self, reset: NewPasswordReset) -> StoreResult<bool> {
        let reset = &reset;
        let known = self.0.run(|c| async move {
            let (email, phone) = (reset.address.as_email(), reset.address.as_phone());
            let (hash, expires_at) = (reset.token_hash.as_slice(), reset.expires_at.as_millis());
            c.row(CREATE, &[&hash, &key(reset.user_id), &email, &phone, &expires_at]).await
        });
        Ok(known.await?.is_some())
    }

    async fn password_reset_user(&self, token_hash: TokenHash, now: Timestamp) -> StoreResult<Option<User>> {
        let (hash, now) = (&token_hash.as_slice(), &now.as_millis());
        let row = self.0.run(|c| async move { c.row(USER, &[hash, now]).await }).await?;
        row.map(|row| users::read(&mut Columns::of("users", &row))).transpose()
    }

    async fn reset_password(&self, reset: PasswordReset) -> StoreResult<bool> {
        let (event, job, reset) = (&reset.event, &reset.job, &reset);
        let used = self.0.run(|c| async move {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 12] = [
                &reset.token_hash.as_slice(),
                &key(reset.user_id),
                &event.at.as_millis(),
                &reset.password_hash,
                &key(event.id),
                &event_json(event),
                &key(job.id),
                &job.kind,
                &job.key,
                &job.payload,
                &job.due_at.as_millis(),
                &audit_json(&reset.audit),
            ];
            c.row(USE, &values).await
        });
        Ok(used.await?.is_some())
    }

    async fn forget_password_resets(&self, expired_before: Timestamp, limit: u32) -> StoreResult<u64> {
        let (before, limit) = (expired_before.as_millis(), i64::from(limit));
        self.0.run(|c| async move { c.count(FORGET, &[&before, &limit]).await }).await
    }
}

/// Stores a permission unless it is there. The row is that of the user.
const CREATE: &str = "\
    WITH known AS ( \
        SELECT id FROM users WHERE id = $2 AND suspended_at IS NULL FOR KEY SHARE \
    ), created AS ( \
        INSERT INTO password_resets (token_hash, user_id, email, phone, expires_at) \
        SELECT $1, id, $3::text, $4::text, $5::bigint FROM known ON CONFLICT DO NOTHING \
    ) SELECT id FROM known";

const USER: &str = concat!(
    "SELECT ",
    users::user_columns!(),
    " FROM password_resets r JOIN users u ON u.id = r.user_id WHERE r.token_hash = $1 AND r.expires_at > $2 \
     AND u.suspended_at IS NULL"
);

/// One statement. Of two uses at once the second waits for the permission's row, and finds it gone.
const USE: &str = concat!(
    "WITH used AS ( \
        DELETE FROM password_resets WHERE token_hash = $1 AND user_id = $2 AND expires_at > $3 \
            AND EXISTS (SELECT FROM users WHERE id = $2 AND suspended_at IS NULL) \
        RETURNING user_id, email, phone \
    ), removed AS ( \
        DELETE FROM password_resets r USING used WHERE r.user_id = used.user_id AND r.token_hash <> $1 \
    ), unlinked AS ( \
        DELETE FROM identities i USING used, users u WHERE i.user_id = used.user_id AND u.id = used.user_id \
            AND NOT coalesce(u.email_verified AND u.email = used.email, false) \
            AND NOT coalesce(u.phone_verified AND u.phone = used.phone, false) \
    ), verified AS ( \
        UPDATE users u SET email_verified = u.email_verified OR coalesce(u.email = used.email, false), \
            phone = CASE WHEN u.email = used.email AND NOT u.email_verified THEN NULL ELSE u.phone END, \
            phone_verified = coalesce(NOT (u.email = used.email AND NOT u.email_verified), true) \
                AND (u.phone_verified OR coalesce(u.phone = used.phone, false)) \
        FROM used WHERE u.id = used.user_id \
    ), removed_passkeys AS ( \
        DELETE FROM passkeys p USING used, users u WHERE p.user_id = used.user_id AND u.id = used.user_id \
            AND NOT coalesce(u.email_verified AND u.email = used.email, false) \
            AND NOT coalesce(u.phone_verified AND u.phone = used.phone, false) \
    ), changed AS ( \
        INSERT INTO credentials (user_id, password_hash, changed_at) SELECT user_id, $4::text, $3::bigint FROM used \
        ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash, changed_at = excluded.changed_at \
    ), ended AS ( \
        UPDATE sessions s SET ended_at = $3 FROM used \
        WHERE s.user_id = used.user_id AND ended_at IS NULL AND created_at <= $3 RETURNING s.id \
    ), appended AS ( \
        INSERT INTO user_events (id, user_id, at, event, due_at) \
        SELECT $5::uuid, $2, $3::bigint, $6::text, $3::bigint WHERE EXISTS (SELECT FROM ended) \
        ON CONFLICT (id) DO NOTHING \
    ), scheduled AS ( \
        INSERT INTO jobs (id, kind, key, payload, due_at) \
        SELECT $7::uuid, $8::text, $9::text, $10::text, $11::bigint FROM used ON CONFLICT DO NOTHING \
    ), ",
    audited!("$12", "used"),
    " SELECT user_id FROM used"
);

const FORGET: &str = "\
    WITH oldest AS MATERIALIZED ( \
        SELECT token_hash FROM password_resets WHERE expires_at < $1 ORDER BY expires_at LIMIT $2::bigint \
        FOR UPDATE SKIP LOCKED \
    ) DELETE FROM password_resets r USING oldest WHERE r.token_hash = oldest.token_hash";
