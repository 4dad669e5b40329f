//! Versions of documents that users have agreed to.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};
use shared::{auth::consents::AcceptedVersion, id::Id, time::Timestamp};

use super::{SqliteAccounts, audit, users};
use crate::store::{
    accounts::{Consents, audit::AuditEvent, consents::ConsentOutcome},
    error::StoreResult,
    sqlite::row::Columns,
};

#[async_trait]
impl Consents for SqliteAccounts {
    async fn give_consent(
        &self,
        user_id: Id,
        accepted: AcceptedVersion,
        most: u32,
        audit: AuditEvent,
    ) -> StoreResult<ConsentOutcome> {
        self.0.write(move |c| give(c, user_id, &accepted, most, &audit)).await
    }

    async fn consents(&self, user_id: Id) -> StoreResult<Vec<AcceptedVersion>> {
        self.0.read(move |c| list(c, user_id)).await
    }
}

fn give(
    c: &Connection,
    user_id: Id,
    accepted: &AcceptedVersion,
    most: u32,
    audit: &AuditEvent,
) -> StoreResult<ConsentOutcome> {
    let AcceptedVersion { document, version, accepted_at } = accepted;
    if !users::exists(c, user_id)? {
        return Ok(ConsentOutcome::NoUser);
    }
    let known: Option<i64> = c
        .prepare_cached(
            "SELECT accepted_at FROM consents WHERE user_id = ?1 AND document = ?2 AND version = ?3",
        )?
        .query_row((user_id.as_bytes(), document, version), |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(ConsentOutcome::Known(Timestamp::from_millis(known)));
    }
    let count: u32 = c
        .prepare_cached("SELECT count(*) FROM consents WHERE user_id = ?1")?
        .query_row([user_id.as_bytes()], |row| row.get(0))?;
    if count >= most {
        return Ok(ConsentOutcome::TooMany);
    }
    c.prepare_cached(
        "INSERT INTO consents (user_id, document, version, accepted_at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((user_id.as_bytes(), document, version, accepted_at.as_millis()))?;
    audit::append(c, audit)?;
    Ok(ConsentOutcome::Given)
}

fn list(c: &Connection, user_id: Id) -> StoreResult<Vec<AcceptedVersion>> {
    let mut statement = c.prepare_cached(
        "SELECT user_id, document, version, accepted_at FROM consents WHERE user_id = ?1 ORDER BY document, version",
    )?;
    let mut rows = statement.query([user_id.as_bytes()])?;
    let mut accepted = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of("consents", row);
        columns.id("user_id")?;
        accepted.push(AcceptedVersion {
            document: columns.get("document")?,
            version: columns.get("version")?,
            accepted_at: columns.time("accepted_at")?,
        });
    }
    Ok(accepted)
}
