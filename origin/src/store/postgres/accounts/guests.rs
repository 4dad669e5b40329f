//! Guests.

use async_trait::async_trait;
use shared::{api::account::User, id::Id};

use super::{
    PostgresAccounts,
    audit::{audit_json, audited},
    users::{self, FirstSession},
};
use crate::store::{
    accounts::{Guests, audit::AuditEvent, guests::GuestMerge, sessions::NewSession},
    error::StoreResult,
    postgres::{
        pool::{Connection, Values},
        row::{Columns, key},
        step_error::Step,
    },
    values::event_json,
};

#[async_trait]
impl Guests for PostgresAccounts {
    async fn create_guest(&self, user: User, session: NewSession, audit: AuditEvent) -> StoreResult<()> {
        let (user, session, audit) = (&user, &session, &audit_json(&audit));
        // A guest has nothing that somebody else could have, so one who is there is the same.
        let opening = &FirstSession { password_hash: None, session, job: None };
        self.0.run(|c| async move { users::insert_row(&c, user, opening, audit).await.map(drop) }).await
    }

    async fn merge_guest(&self, merge: GuestMerge) -> StoreResult<bool> {
        let merge = &merge;
        self.0.run(|c| async move { merge_into(&c, merge).await }).await
    }

    async fn merged_into(&self, guest_id: Id) -> StoreResult<Option<Id>> {
        let row = self.0.run(|c| async move { c.row(MERGED_INTO, &[&key(guest_id)]).await }).await?;
        row.map_or(Ok(None), |row| Columns::of("users", &row).optional_id("merged_into"))
    }
}

const MERGED_INTO: &str = "SELECT merged_into FROM users WHERE id = $1";

/// One statement: of two merges at once the second waits for the guest's row, and finds them merged.
const MERGE: &str = concat!(
    "WITH merged AS ( \
        UPDATE users SET merged_into = $2 \
        WHERE id = $1 AND guest AND merged_into IS NULL AND id <> $2 AND EXISTS (SELECT FROM users WHERE id = $2) \
        RETURNING id \
    ), ended AS ( \
        UPDATE sessions s SET ended_at = $3 FROM merged \
        WHERE s.user_id = merged.id AND s.ended_at IS NULL AND s.created_at <= $3 RETURNING s.id \
    ), appended AS ( \
        INSERT INTO user_events (id, user_id, at, event, due_at) \
        SELECT $4::uuid, $1, $3::bigint, $5::text, $3::bigint WHERE EXISTS (SELECT FROM ended) \
        ON CONFLICT (id) DO NOTHING \
    ), scheduled AS ( \
        INSERT INTO jobs (id, kind, key, payload, due_at) \
        SELECT j.id, j.kind, j.key, j.payload, j.due_at \
        FROM merged, unnest($6::uuid[], $7::text[], $8::text[], $9::text[], $10::bigint[]) \
            AS j (id, kind, key, payload, due_at) ON CONFLICT DO NOTHING \
    ), ",
    audited!("$11", "merged"),
    " SELECT id FROM merged"
);

async fn merge_into(c: &Connection, merge: &GuestMerge) -> Step<bool> {
    let (guest_id, into, jobs) = (&key(merge.guest_id), &key(merge.into), &merge.jobs);
    let values: Values<'_> = &[
        guest_id,
        into,
        &merge.event.at.as_millis(),
        &key(merge.event.id),
        &event_json(&merge.event),
        &jobs.iter().map(|job| key(job.id)).collect::<Vec<_>>(),
        &jobs.iter().map(|job| job.kind).collect::<Vec<_>>(),
        &jobs.iter().map(|job| job.key.as_deref()).collect::<Vec<_>>(),
        &jobs.iter().map(|job| job.payload.as_str()).collect::<Vec<_>>(),
        &jobs.iter().map(|job| job.due_at.as_millis()).collect::<Vec<_>>(),
        &audit_json(&merge.audit),
    ];
    if c.row(MERGE, values).await?.is_some() {
        return Ok(true);
    }
    let known = c.row(MERGED_INTO, &[guest_id]).await?;
    let merged_into = known.map(|row| Columns::of("users", &row).optional_id("merged_into")).transpose()?;
    Ok(merged_into.flatten() == Some(merge.into))
}
