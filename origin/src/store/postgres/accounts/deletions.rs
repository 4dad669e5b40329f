//! Deletions of accounts.
//!
//! A request, a begin and a sign-in each take the row of the user, so that they follow one another. Sign-ins undo a deletion in the
//! statement that begins their session.

use async_trait::async_trait;
use shared::{id::Id, time::Timestamp};
use tokio_postgres::Row;

use super::{
    PostgresAccounts,
    audit::{audit_json, audited},
};
use crate::store::{
    accounts::{Deletions, deletions::DeletionRequest, jobs::NewJob},
    error::StoreResult,
    postgres::{
        pool::{Connection, Values},
        row::{Columns, key},
        step_error::Step,
    },
    values::event_json,
};

#[async_trait]
impl Deletions for PostgresAccounts {
    async fn request_deletion(&self, request: DeletionRequest) -> StoreResult<Option<Timestamp>> {
        let request = &request;
        self.0.run(|c| async move { ask(&c, request).await }).await
    }

    async fn begin_deletion(&self, user_id: Id, deletes_at: Timestamp, now: Timestamp) -> StoreResult<bool> {
        let (user_id, deletes_at, now) = (&key(user_id), &deletes_at.as_millis(), &now.as_millis());
        self.0.run(|c| async move { Ok(c.row(BEGIN, &[user_id, deletes_at, now]).await?.is_some()) }).await
    }

    async fn delete_user_rows(&self, user_id: Id, limit: u32) -> StoreResult<u64> {
        let (user_id, limit) = (&key(user_id), &i64::from(limit));
        self.0
            .run(|c| async move {
                let mut gone = 0;
                for sql in DELETE_ROWS {
                    gone += c.count(sql, &[user_id, limit]).await?;
                }
                Ok(gone)
            })
            .await
    }

    async fn delete_user(&self, user_id: Id, job: NewJob) -> StoreResult<()> {
        let (user_id, job) = (&key(user_id), &job);
        self.0
            .run(|c| async move {
                let (id, due_at) = (key(job.id), job.due_at.as_millis());
                let values: Values<'_> = &[user_id, &id, &job.kind, &job.key, &job.payload, &due_at];
                c.count(DELETE, values).await.map(drop)
            })
            .await
    }
}

/// The time of the deletion, and whether the session is open, of a user who is there.
const STATE: &str = "\
    SELECT id, deletes_at, EXISTS ( \
        SELECT FROM sessions WHERE id = $2 AND user_id = $1 AND ended_at IS NULL \
    ) AS is_open FROM users WHERE id = $1";

/// Takes the row of a user; the parameters are those of [`STATE`].
const LOCK_FOR_STATE: &str = "SELECT FROM users WHERE id = $1 AND $2::uuid IS NOT NULL FOR NO KEY UPDATE";

const ASK: &str = concat!(
    "WITH asked AS ( \
        UPDATE users SET deletion_requested_at = $2, deletes_at = $3 WHERE id = $1 RETURNING id \
    ), ended AS ( \
        UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL \
    ), appended AS ( \
        INSERT INTO user_events (id, user_id, at, event, due_at) VALUES ($4, $1, $2, $5, $2) \
        ON CONFLICT (id) DO NOTHING \
    ), ",
    audited!("$6", "asked"),
    ", notice AS ( \
        INSERT INTO jobs (id, kind, key, payload, due_at) \
        SELECT $11::uuid, $12::text, $13::text, $14::text, $15::bigint WHERE $11::uuid IS NOT NULL \
        ON CONFLICT DO NOTHING \
    ) INSERT INTO jobs (id, kind, key, payload, due_at) VALUES ($7, $8, $9, $10, $3) ON CONFLICT DO NOTHING"
);

/// Asks for a deletion in two round trips.
async fn ask(c: &Connection, request: &DeletionRequest) -> Step<Option<Timestamp>> {
    let (user_id, session_id) = (&key(request.user_id), &key(request.session_id));
    let state = c.begin_locked(LOCK_FOR_STATE, STATE, &[user_id, session_id]).await?;
    let state = state.as_ref().map(read_state).transpose()?;
    let Some((None, true)) = state else {
        c.commit(None).await?;
        return Ok(state.and_then(|(deletes_at, _)| deletes_at));
    };
    let (event, job, notice) = (&request.event, &request.job, request.notice.as_ref());
    c.commit(Some((
        ASK,
        &[
            user_id,
            &event.at.as_millis(),
            &request.deletes_at.as_millis(),
            &key(event.id),
            &event_json(event),
            &audit_json(&request.audit),
            &key(job.id),
            &job.kind,
            &job.key,
            &job.payload,
            &notice.map(|job| key(job.id)),
            &notice.map(|job| job.kind),
            &notice.and_then(|job| job.key.as_deref()),
            &notice.map(|job| job.payload.as_str()),
            &notice.map(|job| job.due_at.as_millis()),
        ],
    )))
    .await?;
    Ok(Some(request.deletes_at))
}

fn read_state(row: &Row) -> StoreResult<(Option<Timestamp>, bool)> {
    let mut columns = Columns::of("users", row);
    columns.id("id")?;
    Ok((columns.optional_time("deletes_at")?, columns.get("is_open")?))
}

/// One statement: of a begin and a sign-in the one that takes the user's row first happens.
const BEGIN: &str = "\
    WITH begun AS ( \
        UPDATE users SET deletion_began_at = coalesce(deletion_began_at, $3), \
            email = NULL, email_verified = false, phone = NULL, phone_verified = false \
        WHERE id = $1 AND deletes_at = $2 RETURNING id \
    ), passwords AS ( \
        DELETE FROM credentials USING begun WHERE user_id = begun.id \
    ), resets AS ( \
        DELETE FROM password_resets USING begun WHERE user_id = begun.id \
    ) SELECT id FROM begun";

/// The condition that the deletion of the user has begun.
macro_rules! is_begun {
    () => {
        "EXISTS (SELECT FROM users WHERE id = $1 AND deletion_began_at IS NOT NULL)"
    };
}

const DELETE_ROWS: [&str; 3] = [
    concat!(
        "WITH batch AS MATERIALIZED (SELECT id FROM sessions WHERE user_id = $1 AND ",
        is_begun!(),
        " LIMIT $2) DELETE FROM sessions USING batch WHERE sessions.id = batch.id"
    ),
    concat!(
        "WITH batch AS MATERIALIZED (SELECT turn_id FROM usage_turns WHERE user_id = $1 AND ",
        is_begun!(),
        " LIMIT $2) DELETE FROM usage_turns USING batch WHERE usage_turns.turn_id = batch.turn_id"
    ),
    concat!(
        "WITH batch AS MATERIALIZED (SELECT id FROM audit_events WHERE user_id = $1 AND ",
        is_begun!(),
        " LIMIT $2) DELETE FROM audit_events USING batch WHERE audit_events.id = batch.id"
    ),
];

const DELETE: &str = "\
    WITH gone AS ( \
        DELETE FROM users WHERE id = $1 AND deletion_began_at IS NOT NULL RETURNING id \
    ), events AS ( \
        DELETE FROM user_events USING gone WHERE user_id = gone.id \
    ) INSERT INTO jobs (id, kind, key, payload, due_at) \
      SELECT $2::uuid, $3::text, $4::text, $5::text, $6::bigint FROM gone ON CONFLICT DO NOTHING";
