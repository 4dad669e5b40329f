//! Brings the database to the newest schema, under a lock, so that any number of origins may start at once.
//!
//! A database that is there already is only read: a start takes no lock then and makes nothing. So it may go through a
//! pooler in transaction mode, and its role needs no more than the tables. What does migrate must reach the server itself:
//! the lock belongs to the server's session, which such a pooler keeps and gives to others.
//!
//! **Expand, then contract.** While a new version is rolled out, old replicas serve on the new schema, and a roll-back
//! starts old ones on it. So a released migration is never changed, and a new one only adds: tables, columns that may be
//! NULL or have a default, indexes. Code that no longer needs a column ships first; the migration that drops it ships in a
//! later version, when no replica that reads it is left. A rename is an addition, a release that writes both, a copy of what
//! is there, and a removal. Statements name their columns, so that an added one disturbs nobody. Each migration is one
//! transaction: what cannot be in one (an index built `CONCURRENTLY`) is not for this runner.

use std::time::Duration;

use refinery::Migration;
use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};

use super::{
    pool::Limits,
    settings,
    step_error::{StepError, describe},
    tls,
};
use crate::{
    config::stores::PostgresConfig,
    store::{
        error::{StoreError, StoreResult},
        migrations::{self, LOCK_WAIT},
    },
};

/// Every migration by the name its history keeps. One that has been released is never changed.
const ACCOUNTS: &[(&str, &str)] = &[
    ("V1__accounts", include_str!("../../../../migrations/postgres/accounts/V1__accounts.sql")),
    (
        "V2__session_networks",
        include_str!("../../../../migrations/postgres/accounts/V2__session_networks.sql"),
    ),
    ("V3__jobs", include_str!("../../../../migrations/postgres/accounts/V3__jobs.sql")),
    ("V4__user_events", include_str!("../../../../migrations/postgres/accounts/V4__user_events.sql")),
    ("V5__password_resets", include_str!("../../../../migrations/postgres/accounts/V5__password_resets.sql")),
    ("V6__account_trail", include_str!("../../../../migrations/postgres/accounts/V6__account_trail.sql")),
    ("V7__suspensions", include_str!("../../../../migrations/postgres/accounts/V7__suspensions.sql")),
    ("V8__passkeys", include_str!("../../../../migrations/postgres/accounts/V8__passkeys.sql")),
    ("V9__token_keys", include_str!("../../../../migrations/postgres/accounts/V9__token_keys.sql")),
    ("V10__identities", include_str!("../../../../migrations/postgres/accounts/V10__identities.sql")),
    ("V11__deletions", include_str!("../../../../migrations/postgres/accounts/V11__deletions.sql")),
    (
        "V12__estimated_usage",
        include_str!("../../../../migrations/postgres/accounts/V12__estimated_usage.sql"),
    ),
];

/// The advisory lock of migrations: an arbitrary number that no other program on the same database is likely to use.
pub(super) const LOCK: i64 = 0x6564_6765_6368_6174;
/// The timeout of the whole migration.
const ALL: Duration = Duration::from_mins(20);

/// Brings the accounts database to the newest schema. Returns the names of the migrations that were applied.
pub async fn accounts(config: &PostgresConfig) -> StoreResult<Vec<String>> {
    tokio::time::timeout(ALL, migrate(config, ACCOUNTS)).await.unwrap_or(Err(StoreError::Timeout))
}

async fn migrate(config: &PostgresConfig, migrations: &[(&str, &str)]) -> StoreResult<Vec<String>> {
    let migrations = migrations::read(migrations)?;
    let mut client = connect(config).await?;
    if has_all(&client, &migrations).await? {
        return Ok(Vec::new());
    }
    check_encoding(&client).await?;
    lock(&client).await?;
    make_schema(&client).await?;
    // The lock is released with the server's session, which ends when `client` goes.
    let report = migrations::runner(&migrations).run_async(&mut client).await;
    let report = report.map_err(|error| migrations::failure(&error, describe(&error), of_driver))?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Opens a connection outside of the pool and its limits.
async fn connect(config: &PostgresConfig) -> StoreResult<Client> {
    let timeout = Limits::DEFAULT.connect;
    let server = settings::migrating(config, timeout);
    let connecting = server.connect(tls::connector(config.tls.as_ref())?);
    let connected = tokio::time::timeout(timeout, connecting).await.map_err(|_| StoreError::Timeout)?;
    let (client, connection) = connected.map_err(|error| StepError::from(error).into_store_error())?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(error = describe(&error), "the connection that migrates broke");
        }
    });
    Ok(client)
}

/// Classifies an error of the driver while migrating; `text` says what was being done.
fn of_driver(error: &tokio_postgres::Error, text: String) -> StoreError {
    match StepError::of(error).into_store_error() {
        StoreError::Refused(_) => StoreError::Refused(text),
        StoreError::Unavailable(_) => StoreError::Unavailable(text),
        other => other,
    }
}

/// Returns true when the database's history has all of these unchanged. The query passes through every pooler.
async fn has_all(client: &Client, migrations: &[Migration]) -> StoreResult<bool> {
    let history = client.simple_query("SELECT version, name, checksum FROM refinery_schema_history");
    let history = tokio::time::timeout(Limits::DEFAULT.operation, history).await;
    let history = match history.map_err(|_| StoreError::Timeout)? {
        Ok(history) => history,
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(false),
        Err(error) => return Err(StepError::from(error).into_store_error()),
    };
    let is_there = |migration: &Migration| {
        let (version, checksum) = (migration.version().to_string(), migration.checksum().to_string());
        let wanted = [Some(version.as_str()), Some(migration.name()), Some(checksum.as_str())];
        history.iter().any(|message| match message {
            SimpleQueryMessage::Row(row) => {
                [0, 1, 2].map(|column| row.try_get(column).ok().flatten()) == wanted
            }
            _ => false,
        })
    };
    Ok(migrations.iter().all(is_there))
}

/// In another encoding some texts could not be stored, or would be compared and counted as something else.
async fn check_encoding(client: &Client) -> StoreResult<()> {
    let row = client.query_one("SELECT current_setting('server_encoding')", &[]);
    let row = tokio::time::timeout(Limits::DEFAULT.operation, row).await.map_err(|_| StoreError::Timeout)?;
    let encoding = row.and_then(|row| row.try_get::<_, String>(0));
    match encoding.map_err(|error| StepError::from(error).into_store_error())?.as_str() {
        "UTF8" => Ok(()),
        other => Err(StoreError::Refused(format!("the database's encoding is {other}; it should be UTF8"))),
    }
}

/// Creates the schema of the tables unless it exists: a role without the permission can be given one.
async fn make_schema(client: &Client) -> StoreResult<()> {
    let made = async {
        let known =
            client.query_opt("SELECT FROM pg_namespace WHERE nspname = $1", &[&settings::SCHEMA]).await?;
        if known.is_none() {
            client.batch_execute(&format!("CREATE SCHEMA {}", settings::SCHEMA)).await?;
        }
        Ok::<_, tokio_postgres::Error>(())
    };
    let made =
        tokio::time::timeout(Limits::DEFAULT.operation, made).await.map_err(|_| StoreError::Timeout)?;
    made.map_err(|error| StepError::from(error).into_store_error())
}

async fn lock(client: &Client) -> StoreResult<()> {
    let wait = LOCK_WAIT.as_millis();
    let sql = format!("SET lock_timeout = {wait}; SELECT pg_advisory_lock({LOCK}); RESET lock_timeout");
    let locked =
        tokio::time::timeout(LOCK_WAIT + Limits::DEFAULT.operation, client.batch_execute(&sql)).await;
    locked.map_err(|_| StoreError::Timeout)?.map_err(|error| StepError::from(error).into_store_error())
}
