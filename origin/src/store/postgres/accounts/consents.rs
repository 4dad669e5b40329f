//! Versions of documents that users have agreed to.

use async_trait::async_trait;
use shared::{auth::consents::AcceptedVersion, id::Id};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    PostgresAccounts,
    audit::{audit_json, audited},
};
use crate::store::{
    accounts::{Consents, audit::AuditEvent, consents::ConsentOutcome},
    error::StoreResult,
    postgres::{
        pool::Connection,
        row::{Columns, key},
        step_error::Step,
    },
};

#[async_trait]
impl Consents for PostgresAccounts {
    async fn give_consent(
        &self,
        user_id: Id,
        accepted: AcceptedVersion,
        most: u32,
        audit: AuditEvent,
    ) -> StoreResult<ConsentOutcome> {
        let (user_id, accepted, audit) = (&key(user_id), &accepted, &audit_json(&audit));
        self.0.run(|c| async move { give(&c, user_id, accepted, most, audit).await }).await
    }

    async fn consents(&self, user_id: Id) -> StoreResult<Vec<AcceptedVersion>> {
        let user_id = &key(user_id);
        self.0
            .run(|c| async move {
                let rows = c.rows(LIST, &[user_id]).await?;
                Ok(rows.iter().map(read).collect::<StoreResult<_>>()?)
            })
            .await
    }
}

/// Inserts unless it is there or there are too many. A row for a user who is there.
const GIVE: &str = concat!(
    "WITH known AS ( \
        SELECT id FROM users WHERE id = $1 FOR KEY SHARE \
    ), given AS ( \
        INSERT INTO consents (user_id, document, version, accepted_at) \
        SELECT id, $2::text, $3::text, $4::bigint FROM known \
        WHERE (SELECT count(*) FROM consents WHERE user_id = $1) < $5::bigint \
        ON CONFLICT DO NOTHING RETURNING user_id \
    ), ",
    audited!("$6", "given"),
    " SELECT known.id, EXISTS (SELECT FROM given) FROM known"
);

const BEFORE: &str = "SELECT user_id, document, version, accepted_at FROM consents \
                      WHERE user_id = $1 AND document = $2 AND version = $3";

const LIST: &str = "SELECT user_id, document, version, accepted_at FROM consents WHERE user_id = $1 \
                    ORDER BY document, version";

async fn give(
    c: &Connection,
    user_id: &Uuid,
    accepted: &AcceptedVersion,
    most: u32,
    audit: &String,
) -> Step<ConsentOutcome> {
    let AcceptedVersion { document, version, accepted_at } = accepted;
    let (at, most) = (accepted_at.as_millis(), i64::from(most));
    let row = c.row(GIVE, &[user_id, document, version, &at, &most, audit]).await?;
    let Some(row) = row else { return Ok(ConsentOutcome::NoUser) };
    let mut columns = Columns::of("users", &row);
    columns.id("id")?;
    if columns.get("given")? {
        return Ok(ConsentOutcome::Given);
    }
    // A statement of its own sees what the first one had to wait for.
    match c.row(BEFORE, &[user_id, document, version]).await? {
        Some(row) => Ok(ConsentOutcome::Known(read(&row)?.accepted_at)),
        None => Ok(ConsentOutcome::TooMany),
    }
}

fn read(row: &Row) -> StoreResult<AcceptedVersion> {
    let mut columns = Columns::of("consents", row);
    columns.id("user_id")?;
    Ok(AcceptedVersion {
        document: columns.get("document")?,
        version: columns.get("version")?,
        accepted_at: columns.time("accepted_at")?,
    })
}
