//! Jobs and their leases.

use async_trait::async_trait;
use shared::{id::Id, time::Timestamp};

use super::PostgresAccounts;
use crate::store::{
    accounts::{
        Jobs,
        jobs::{ClaimedJob, JobClaim, NewJob, NextRun},
    },
    error::StoreResult,
    postgres::{
        pool::Connection,
        row::{Columns, key},
        step_error::Step,
    },
};

#[async_trait]
impl Jobs for PostgresAccounts {
    async fn schedule_job(&self, job: NewJob) -> StoreResult<()> {
        let job = &job;
        self.0.run(|c| async move { schedule(&c, job).await }).await
    }

    async fn claim_jobs(&self, claim: JobClaim) -> StoreResult<Vec<ClaimedJob>> {
        let claim = &claim;
        self.0.run(|c| async move { claim_due(&c, claim).await }).await
    }

    async fn complete_job(&self, id: Id, owner: Id, next: NextRun) -> StoreResult<bool> {
        self.0.run(|c| async move { end(&c, id, owner, None, next).await }).await
    }

    async fn fail_job(&self, id: Id, owner: Id, error: String, next: NextRun) -> StoreResult<bool> {
        let error = error.as_str();
        self.0.run(|c| async move { end(&c, id, owner, Some(error), next).await }).await
    }

    async fn forget_jobs(&self, finished_before: Timestamp, limit: u32) -> StoreResult<u64> {
        let (before, limit) = (finished_before.as_millis(), i64::from(limit));
        self.0.run(|c| async move { c.count(FORGET, &[&before, &limit]).await }).await
    }
}

const SCHEDULE: &str = "\
    INSERT INTO jobs (id, kind, key, payload, due_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

async fn schedule(c: &Connection, job: &NewJob) -> Step<()> {
    let (id, due_at) = (key(job.id), job.due_at.as_millis());
    c.count(SCHEDULE, &[&id, &job.kind, &job.key, &job.payload, &due_at]).await?;
    Ok(())
}

/// Jobs that another claim has in its hands are passed over. The selection stands by itself, so that it runs once.
const CLAIM: &str = "\
    WITH due AS MATERIALIZED ( \
        SELECT id FROM jobs WHERE finished_at IS NULL AND due_at <= $3 \
            AND (lease_until IS NULL OR lease_until <= $3 OR lease_owner = $1) AND kind = ANY ($4) \
        ORDER BY due_at, id LIMIT $5::bigint FOR UPDATE SKIP LOCKED \
    ) UPDATE jobs SET attempts = attempts + (lease_owner IS DISTINCT FROM $1)::int, lease_owner = $1, lease_until = $2 \
    FROM due WHERE jobs.id = due.id RETURNING jobs.id, kind, payload, attempts";

async fn claim_due(c: &Connection, claim: &JobClaim) -> Step<Vec<ClaimedJob>> {
    let rows = c
        .rows(
            CLAIM,
            &[
                &key(claim.owner),
                &claim.lease_until.as_millis(),
                &claim.now.as_millis(),
                &claim.kinds,
                &i64::from(claim.limit),
            ],
        )
        .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::of("jobs", row);
        claimed.push(ClaimedJob {
            id: columns.id("id")?,
            kind: columns.get("kind")?,
            payload: columns.get("payload")?,
            attempts: u32::try_from(columns.count("attempts")?).unwrap_or(u32::MAX),
        });
    }
    Ok(claimed)
}

/// Without an error the run succeeded. What a finished job was about is forgotten: it may name people.
const END: &str = "\
    UPDATE jobs SET lease_until = NULL, last_error = $3::text, \
        attempts = CASE WHEN $3::text IS NULL THEN 0 ELSE attempts END, \
        due_at = coalesce($4::bigint, due_at), finished_at = $5::bigint, \
        payload = CASE WHEN $5::bigint IS NULL THEN payload ELSE '' END \
    WHERE id = $1 AND lease_owner = $2";

async fn end(c: &Connection, id: Id, owner: Id, error: Option<&str>, next: NextRun) -> Step<bool> {
    let (due_at, finished_at) = next.columns();
    Ok(c.count(END, &[&key(id), &key(owner), &error, &due_at, &finished_at]).await? == 1)
}

const FORGET: &str = "\
    WITH oldest AS MATERIALIZED ( \
        SELECT id FROM jobs WHERE finished_at IS NOT NULL AND finished_at < $1 ORDER BY finished_at LIMIT $2::bigint \
        FOR UPDATE SKIP LOCKED \
    ) DELETE FROM jobs USING oldest WHERE jobs.id = oldest.id";
