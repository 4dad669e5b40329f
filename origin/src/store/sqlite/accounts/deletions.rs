//! Deletions of accounts.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, named_params};
use shared::{id::Id, time::Timestamp};

use super::{SqliteAccounts, audit, jobs, sessions};
use crate::store::{
    accounts::{Deletions, audit::AuditEvent, deletions::DeletionRequest, jobs::NewJob},
    error::StoreResult,
};

#[async_trait]
impl Deletions for SqliteAccounts {
    async fn request_deletion(&self, request: DeletionRequest) -> StoreResult<Option<Timestamp>> {
        self.0.write(move |c| ask(c, &request)).await
    }

    async fn begin_deletion(&self, user_id: Id, deletes_at: Timestamp, now: Timestamp) -> StoreResult<bool> {
        self.0.write(move |c| begin(c, user_id, deletes_at, now)).await
    }

    async fn delete_user_rows(&self, user_id: Id, limit: u32) -> StoreResult<u64> {
        self.0
            .write(move |c| {
                let mut gone = 0;
                for sql in DELETE_ROWS {
                    gone += c.prepare_cached(sql)?.execute((user_id.as_bytes(), limit))?;
                }
                Ok(u64::try_from(gone).unwrap_or(u64::MAX))
            })
            .await
    }

    async fn delete_user(&self, user_id: Id, job: NewJob) -> StoreResult<()> {
        self.0
            .write(move |c| {
                let sql = "DELETE FROM users WHERE id = ?1 AND deletion_began_at IS NOT NULL";
                if c.prepare_cached(sql)?.execute([user_id.as_bytes()])? == 1 {
                    let sql = "DELETE FROM user_events WHERE user_id = ?1";
                    c.prepare_cached(sql)?.execute([user_id.as_bytes()])?;
                    jobs::schedule(c, &job)?;
                }
                Ok(())
            })
            .await
    }
}

/// Undoes the deletion of a user who signs in and is one of [`super::users::may_sign_in`], and notes it; nothing where none was asked for.
pub(super) fn cancel(c: &Connection, user_id: Id, noted: &AuditEvent) -> StoreResult<()> {
    let sql = "UPDATE users SET deletion_requested_at = NULL, deletes_at = NULL \
               WHERE id = ?1 AND deletes_at IS NOT NULL AND deletion_began_at IS NULL";
    if c.prepare_cached(sql)?.execute([user_id.as_bytes()])? == 1 {
        audit::append(c, noted)?;
    }
    Ok(())
}

/// Asks for a deletion within a write transaction.
fn ask(c: &Connection, request: &DeletionRequest) -> StoreResult<Option<Timestamp>> {
    let user_id = request.user_id;
    let sql = "SELECT deletes_at FROM users WHERE id = ?1";
    let earlier: Option<Option<i64>> =
        c.prepare_cached(sql)?.query_row([user_id.as_bytes()], |row| row.get(0)).optional()?;
    let Some(earlier) = earlier else { return Ok(None) };
    if let Some(deletes_at) = earlier {
        return Ok(Some(Timestamp::from_millis(deletes_at)));
    }
    let is_open = c
        .prepare_cached("SELECT 1 FROM sessions WHERE id = ?1 AND user_id = ?2 AND ended_at IS NULL")?
        .exists((request.session_id.as_bytes(), user_id.as_bytes()))?;
    if !is_open {
        return Ok(None);
    }
    c.prepare_cached("UPDATE users SET deletion_requested_at = ?2, deletes_at = ?3 WHERE id = ?1")?
        .execute((user_id.as_bytes(), request.event.at.as_millis(), request.deletes_at.as_millis()))?;
    sessions::end_whichever(c, user_id, &request.event)?;
    audit::append(c, &request.audit)?;
    for job in [Some(&request.job), request.notice.as_ref()].into_iter().flatten() {
        jobs::schedule(c, job)?;
    }
    Ok(Some(request.deletes_at))
}

/// Begins a deletion within a write transaction.
fn begin(c: &Connection, user_id: Id, deletes_at: Timestamp, now: Timestamp) -> StoreResult<bool> {
    let begun = c
        .prepare_cached(
            "UPDATE users SET deletion_began_at = coalesce(deletion_began_at, :now), \
                 email = NULL, email_verified = 0, phone = NULL, phone_verified = 0 \
             WHERE id = :id AND deletes_at = :deletes_at",
        )?
        .execute(named_params! {
            ":id": user_id.as_bytes(),
            ":deletes_at": deletes_at.as_millis(),
            ":now": now.as_millis(),
        })?;
    if begun == 1 {
        c.prepare_cached("DELETE FROM credentials WHERE user_id = ?1")?.execute([user_id.as_bytes()])?;
        c.prepare_cached("DELETE FROM password_resets WHERE user_id = ?1")?.execute([user_id.as_bytes()])?;
    }
    Ok(begun == 1)
}

/// The condition that the deletion of the user has begun, of whom `user_id` is the id.
macro_rules! is_begun {
    () => {
        "EXISTS (SELECT 1 FROM users WHERE id = ?1 AND deletion_began_at IS NOT NULL)"
    };
}

const DELETE_ROWS: [&str; 3] = [
    concat!(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = ?1 LIMIT ?2) AND ",
        is_begun!()
    ),
    concat!(
        "DELETE FROM usage_turns WHERE turn_id IN (SELECT turn_id FROM usage_turns WHERE user_id = ?1 LIMIT ?2) AND ",
        is_begun!()
    ),
    concat!(
        "DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events WHERE user_id = ?1 LIMIT ?2) AND ",
        is_begun!()
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{
        engine::{connect, plan},
        migrate,
    };

    #[tokio::test]
    async fn rows_of_a_user_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.db");
        migrate::accounts(&path).await.unwrap();
        let file = connect(&path).unwrap();
        for sql in DELETE_ROWS {
            let plan = plan(&file, sql);
            assert!(plan.contains("_by_user") && !plan.contains("SCAN"), "{plan}");
        }
    }
}
