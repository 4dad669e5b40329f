//! Users whom an operator has suspended.

use async_trait::async_trait;
use shared::{api::internal::user_event::AddressedEvent, id::Id, time::Timestamp};

use super::{
    PostgresAccounts,
    audit::{audit_json, audited},
};
use crate::store::{
    accounts::{Suspensions, audit::AuditEvent, suspensions::SuspensionOutcome},
    error::StoreResult,
    postgres::{
        pool::{Connection, Values},
        row::{Columns, key},
        step_error::Step,
    },
    values::event_json,
};

#[async_trait]
impl Suspensions for PostgresAccounts {
    async fn suspend(
        &self,
        user_id: Id,
        event: AddressedEvent,
        audit: AuditEvent,
    ) -> StoreResult<SuspensionOutcome> {
        let (user_id, event_id, at) = (&key(user_id), &key(event.id), &event.at.as_millis());
        let (body, audit) = (&event_json(&event), &audit_json(&audit));
        self.0
            .run(|c| async move {
                let values: Values<'_> = &[user_id, at, event_id, body, audit];
                change(&c, &[user_id], |suspended_at| suspended_at.is_none(), (SUSPEND, values)).await
            })
            .await
    }

    async fn resume(&self, user_id: Id, audit: AuditEvent) -> StoreResult<SuspensionOutcome> {
        let (user_id, audit) = (&key(user_id), &audit_json(&audit));
        self.0
            .run(|c| async move {
                let values: Values<'_> = &[user_id, audit];
                change(&c, &[user_id], |suspended_at| suspended_at.is_some(), (RESUME, values)).await
            })
            .await
    }
}

/// Takes the user's row from those who open a session, which share it: what they stored is seen by the statements that follow.
const LOCK: &str = "SELECT FROM users WHERE id = $1 FOR UPDATE";

const SUSPENDED_AT: &str = "SELECT suspended_at FROM users WHERE id = $1";

const SUSPEND: &str = concat!(
    "WITH suspended AS ( \
        UPDATE users SET suspended_at = $2 WHERE id = $1 RETURNING id \
    ), ended AS ( \
        UPDATE sessions s SET ended_at = $2 FROM suspended WHERE s.user_id = suspended.id AND ended_at IS NULL \
        RETURNING s.id \
    ), new_event AS ( \
        INSERT INTO user_events (id, user_id, at, event, due_at) \
        SELECT $3::uuid, $1, $2::bigint, $4::text, $2::bigint WHERE EXISTS (SELECT FROM ended) \
        ON CONFLICT (id) DO NOTHING \
    ), ",
    audited!("$5", "suspended"),
    " SELECT id FROM suspended"
);

const RESUME: &str = concat!(
    "WITH resumed AS ( \
        UPDATE users SET suspended_at = NULL WHERE id = $1 RETURNING id \
    ), ",
    audited!("$2", "resumed"),
    " SELECT id FROM resumed"
);

/// Runs a statement on a user in two round trips, if their state asks for it.
async fn change(
    c: &Connection,
    user_id: Values<'_>,
    is_wanted: impl FnOnce(Option<Timestamp>) -> bool,
    statement: (&'static str, Values<'_>),
) -> Step<SuspensionOutcome> {
    let row = c.begin_locked(LOCK, SUSPENDED_AT, user_id).await?;
    let Some(row) = row else {
        c.commit(None).await?;
        return Ok(SuspensionOutcome::NoUser);
    };
    if !is_wanted(Columns::of("users", &row).optional_time("suspended_at")?) {
        c.commit(None).await?;
        return Ok(SuspensionOutcome::Unchanged);
    }
    c.commit(Some(statement)).await?;
    Ok(SuspensionOutcome::Changed)
}
