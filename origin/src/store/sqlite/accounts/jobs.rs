//! Jobs and their leases.

use async_trait::async_trait;
use rusqlite::{Connection, named_params};
use shared::{id::Id, time::Timestamp};

use super::SqliteAccounts;
use crate::store::{
    accounts::{
        Jobs,
        jobs::{ClaimedJob, JobClaim, NewJob, NextRun},
    },
    error::{StoreError, StoreResult},
    sqlite::row::Columns,
};

#[async_trait]
impl Jobs for SqliteAccounts {
    async fn schedule_job(&self, job: NewJob) -> StoreResult<()> {
        self.0.write(move |c| schedule(c, &job)).await
    }

    async fn claim_jobs(&self, claim: JobClaim) -> StoreResult<Vec<ClaimedJob>> {
        self.0.write(move |c| claim_due(c, &claim)).await
    }

    async fn complete_job(&self, id: Id, owner: Id, next: NextRun) -> StoreResult<bool> {
        self.0.write(move |c| end(c, id, owner, None, next)).await
    }

    async fn fail_job(&self, id: Id, owner: Id, error: String, next: NextRun) -> StoreResult<bool> {
        self.0.write(move |c| end(c, id, owner, Some(&error), next)).await
    }

    async fn forget_jobs(&self, finished_before: Timestamp, limit: u32) -> StoreResult<u64> {
        self.0
            .write(move |c| {
                let gone = c.prepare_cached(FORGET)?.execute((finished_before.as_millis(), limit))?;
                Ok(u64::try_from(gone).unwrap_or(u64::MAX))
            })
            .await
    }
}

/// Inserts a job, unless it is there by its id, or by its kind and key.
pub(super) fn schedule(c: &Connection, job: &NewJob) -> StoreResult<()> {
    c.prepare_cached(
        "INSERT INTO jobs (id, kind, key, payload, due_at) VALUES (:id, :kind, :key, :payload, :due_at) \
         ON CONFLICT DO NOTHING",
    )?
    .execute(named_params! {
        ":id": job.id.as_bytes(),
        ":kind": job.kind,
        ":key": job.key,
        ":payload": job.payload,
        ":due_at": job.due_at.as_millis(),
    })?;
    Ok(())
}

/// The `+` keeps the index of kinds out: the one of due times finds fewer, in order.
const CLAIM: &str = "\
    UPDATE jobs SET attempts = attempts + (lease_owner IS NOT :owner), lease_owner = :owner, lease_until = :until \
    WHERE id IN ( \
        SELECT id FROM jobs WHERE finished_at IS NULL AND due_at <= :now \
            AND (lease_until IS NULL OR lease_until <= :now OR lease_owner = :owner) \
            AND +kind IN (SELECT value FROM json_each(:kinds)) \
        ORDER BY due_at, id LIMIT :limit \
    ) RETURNING id, kind, payload, attempts";

fn claim_due(c: &Connection, claim: &JobClaim) -> StoreResult<Vec<ClaimedJob>> {
    let kinds =
        serde_json::to_string(&claim.kinds).map_err(|error| StoreError::Refused(error.to_string()))?;
    let mut statement = c.prepare_cached(CLAIM)?;
    let mut rows = statement.query(named_params! {
        ":owner": claim.owner.as_bytes(),
        ":until": claim.lease_until.as_millis(),
        ":now": claim.now.as_millis(),
        ":kinds": kinds,
        ":limit": claim.limit,
    })?;
    let mut claimed = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of("jobs", row);
        claimed.push(ClaimedJob {
            id: columns.id("id")?,
            kind: columns.get("kind")?,
            payload: columns.get("payload")?,
            attempts: columns.get("attempts")?,
        });
    }
    Ok(claimed)
}

/// Without an error the run succeeded. What a finished job was about is forgotten: it may name people.
const END: &str = "\
    UPDATE jobs SET lease_until = NULL, last_error = ?3, attempts = iif(?3 IS NULL, 0, attempts), \
        due_at = coalesce(?4, due_at), finished_at = ?5, payload = iif(?5 IS NULL, payload, '') \
    WHERE id = ?1 AND lease_owner = ?2";

fn end(c: &Connection, id: Id, owner: Id, error: Option<&str>, next: NextRun) -> StoreResult<bool> {
    let (due_at, finished_at) = next.columns();
    let values = (id.as_bytes(), owner.as_bytes(), error, due_at, finished_at);
    Ok(c.prepare_cached(END)?.execute(values)? == 1)
}

const FORGET: &str = "\
    DELETE FROM jobs WHERE id IN ( \
        SELECT id FROM jobs WHERE finished_at IS NOT NULL AND finished_at < ?1 ORDER BY finished_at LIMIT ?2 \
    )";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        contract::samples::START,
        sqlite::{
            engine::{connect, plan},
            migrate,
        },
    };

    #[tokio::test]
    async fn due_and_finished_jobs_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.db");
        migrate::accounts(&path).await.unwrap();
        let file = connect(&path).unwrap();
        for (sql, index) in [(CLAIM, "jobs_by_due"), (FORGET, "jobs_by_finish")] {
            let plan = plan(&file, sql);
            assert!(plan.contains(index) && !plan.contains("B-TREE"), "{plan}");
        }
    }

    #[tokio::test]
    async fn finished_job_loses_its_payload_and_no_other_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.db");
        migrate::accounts(&path).await.unwrap();
        let file = connect(&path).unwrap();
        for (number, next) in [(1, NextRun::Due(START)), (2, NextRun::Finished(START))] {
            let id = Id::from_bytes([number; 16]);
            let payload = "ada@example.com".to_owned();
            schedule(&file, &NewJob { id, kind: "tell", key: None, payload, due_at: START }).unwrap();
            let claim = JobClaim {
                owner: id,
                kinds: vec!["tell"],
                now: START,
                lease_until: START.plus_millis(1),
                limit: 1,
            };
            assert_eq!(claim_due(&file, &claim).unwrap().len(), 1);
            assert!(end(&file, id, id, None, next).unwrap());
            let sql = "SELECT payload FROM jobs WHERE id = ?1";
            let kept: String = file.query_row(sql, [id.as_bytes()], |row| row.get(0)).unwrap();
            assert_eq!(kept.is_empty(), number == 2);
            file.execute("UPDATE jobs SET due_at = due_at + 10", ()).unwrap();
        }
    }
}
