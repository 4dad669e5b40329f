//! The tables of the user object, and the steps that lead to them.

use worker::{Error, Result, SqlStorage, SqlStorageValue as Value};

use super::values::unsigned;

/// The steps, in order. One that was released is never changed: another is added.
const STEPS: [&str; 3] = [
    "
    CREATE TABLE turns (
        id TEXT PRIMARY KEY,
        conversation_id TEXT NOT NULL,
        state INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        delivered_ms INTEGER,
        day_ms INTEGER NOT NULL,
        day_used INTEGER NOT NULL,
        tat_us INTEGER NOT NULL,
        idempotency_key TEXT,
        fingerprint TEXT NOT NULL,
        token TEXT NOT NULL,
        tail_first_id INTEGER,
        record TEXT NOT NULL,
        tail TEXT,
        context_ms INTEGER,
        context TEXT
    ) WITHOUT ROWID;
    CREATE TABLE checkpoints (
        turn_id TEXT NOT NULL,
        first_id INTEGER NOT NULL,
        frames TEXT NOT NULL,
        PRIMARY KEY (turn_id, first_id)
    ) WITHOUT ROWID;
    CREATE TABLE contexts (
        conversation_id TEXT PRIMARY KEY,
        fetched_ms INTEGER NOT NULL,
        context TEXT NOT NULL
    ) WITHOUT ROWID;
",
    "CREATE TABLE account (id INTEGER PRIMARY KEY CHECK (id = 1), notices TEXT NOT NULL);",
    "CREATE TABLE queue (
        turn_id TEXT PRIMARY KEY,
        conversation_id TEXT NOT NULL,
        arrived_ms INTEGER NOT NULL,
        request TEXT NOT NULL
    ) WITHOUT ROWID;",
];

/// Applies the steps that these tables lack, in one transaction.
pub(super) fn migrate(sql: &SqlStorage) -> Result<()> {
    sql.exec("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)", None)?;
    let rows: Vec<Vec<Value>> =
        sql.exec("SELECT version FROM schema_version", None)?.raw().collect::<Result<_>>()?;
    let version = match rows.into_iter().next() {
        Some(row) => unsigned(row.into_iter().next())?,
        None => 0,
    };
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(missing) = STEPS.get(done..) else {
        let error = format!("storage is of version {version}, and this version knows {}", STEPS.len());
        return Err(Error::RustError(error));
    };
    if missing.is_empty() {
        return Ok(());
    }
    for step in missing {
        sql.exec(step, None)?;
    }
    sql.exec("DELETE FROM schema_version", None)?;
    let steps = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    sql.exec("INSERT INTO schema_version (version) VALUES (?)", vec![Value::Integer(steps)])?;
    Ok(())
}
