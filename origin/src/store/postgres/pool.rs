//! Connections, deadlines and retries. Nothing here knows a table.
//!
//! An operation gets one connection and has one deadline, which includes the wait for the connection, the connecting and the
//! retries. A connection returns to the pool only when its operation completed: one that was aborted (deadline, error, or a
//! dropped caller) may be within a transaction or wait for a server that does not answer, and is closed. When a connection
//! turns out broken or silent, the idle ones are likely to be so as well and are closed with it, so that no operation has to
//! detect that for each of them.
//!
//! Every operation of the port may be repeated. So one whose connection broke (the server was restarted, say) is retried on
//! a fresh connection, and one that was aborted for another transaction is retried.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig, Object, RecyclingMethod, Runtime};
use tokio_postgres::{Row, Statement, types::ToSql};

use super::{
    settings,
    step_error::{Step, StepError},
    tls,
};
use crate::{
    config::stores::PostgresConfig,
    store::error::{StoreError, StoreResult},
    telemetry::{
        Backend,
        gauges::{Figure, watch},
        observed, operation_of,
    },
};

const BACKEND: Backend = Backend { store: "accounts", product: "postgresql" };

/// The time limits of calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// A whole operation.
    pub(super) operation: Duration,
    /// The wait for a connection of the pool.
    pub(super) wait: Duration,
    /// The making of a connection, from the first packet to the end of the authentication.
    pub(super) connect: Duration,
}

impl Limits {
    /// One second more than the server gives itself for a statement.
    pub(super) const DEFAULT: Self = Self {
        operation: Duration::from_secs(6),
        wait: Duration::from_secs(2),
        connect: Duration::from_secs(2),
    };
}

/// The attempts of an operation: the first, one on a fresh connection, and one more.
const TRIES: usize = 3;

/// The connections of this process.
#[derive(Clone)]
pub(super) struct Pool {
    idle: deadpool_postgres::Pool,
    limits: Limits,
}

impl Pool {
    /// A pool for this server. Connects when the first operation does.
    pub(super) fn new(config: &PostgresConfig, limits: Limits) -> StoreResult<Self> {
        let manager = Manager::from_config(
            settings::serving(config, limits.connect),
            tls::connector(config.tls.as_ref())?,
            // Whether a connection is closed is known without asking the server.
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let idle = deadpool_postgres::Pool::builder(manager)
            .max_size(config.pool_size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(limits.wait))
            .create_timeout(Some(limits.connect))
            .recycle_timeout(Some(limits.connect))
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        watch_connections(&idle);
        Ok(Self { idle, limits })
    }

    /// Runs an operation, which must be repeatable, to completion or to the deadline.
    pub(super) async fn run<T, F>(&self, operation: impl Fn(Arc<Connection>) -> F) -> StoreResult<T>
    where
        F: Future<Output = Step<T>>,
    {
        let deadline = self.limits.operation;
        observed(BACKEND, operation_of(&operation), StoreError::kind, async {
            if let Ok(outcome) = tokio::time::timeout(deadline, self.tries(operation)).await {
                outcome
            } else {
                self.close_idle();
                Err(StoreError::Timeout)
            }
        })
        .await
    }

    async fn tries<T, F>(&self, operation: impl Fn(Arc<Connection>) -> F) -> StoreResult<T>
    where
        F: Future<Output = Step<T>>,
    {
        for _ in 1..TRIES {
            match self.once(&operation).await {
                Err(StepError::Broken(why)) => {
                    tracing::warn!(why, "a connection to PostgreSQL broke");
                    self.close_idle();
                }
                Err(StepError::Again(why)) => tracing::debug!(why, "a transaction is repeated"),
                outcome => return outcome.map_err(StepError::into_store_error),
            }
        }
        self.once(&operation).await.map_err(StepError::into_store_error)
    }

    async fn once<T, F>(&self, operation: impl Fn(Arc<Connection>) -> F) -> Step<T>
    where
        F: Future<Output = Step<T>>,
    {
        let connection = Arc::new(Connection { object: Some(self.idle.get().await?), is_done: false.into() });
        let outcome = operation(Arc::clone(&connection)).await;
        connection.is_done.store(outcome.is_ok(), Ordering::Relaxed);
        outcome
    }

    fn close_idle(&self) {
        self.idle.retain(|_, _| false);
    }
}

/// Lets the pool's use be seen, without keeping it.
fn watch_connections(pool: &deadpool_postgres::Pool) {
    let status = |read: fn(deadpool_postgres::Status) -> usize| {
        let pool = pool.weak();
        move || pool.upgrade().map(|pool| read(pool.status()))
    };
    watch(Figure::Connections, BACKEND, "open", status(|status| status.size));
    watch(Figure::Connections, BACKEND, "idle", status(|status| status.available));
    watch(Figure::Waiting, BACKEND, "connection", status(|status| status.waiting));
}

/// A connection while an operation has it.
pub(super) struct Connection {
    /// Taken by the destructor alone.
    object: Option<Object>,
    /// True when the operation completed.
    is_done: AtomicBool,
}

impl Connection {
    fn client(&self) -> Step<&Object> {
        self.object.as_ref().ok_or_else(|| StepError::Broken("the connection has been given back".to_owned()))
    }

    async fn prepared(&self, sql: &'static str) -> Step<Statement> {
        Ok(self.client()?.prepare_cached(sql).await?)
    }

    /// The only row of a statement, or none.
    pub(super) async fn row(&self, sql: &'static str, values: Values<'_>) -> Step<Option<Row>> {
        let statement = self.prepared(sql).await?;
        Ok(self.client()?.query_opt(&statement, values).await?)
    }

    /// All rows of a statement.
    pub(super) async fn rows(&self, sql: &'static str, values: Values<'_>) -> Step<Vec<Row>> {
        let statement = self.prepared(sql).await?;
        Ok(self.client()?.query(&statement, values).await?)
    }

    /// Runs a statement that returns no rows. Returns how many rows it changed.
    pub(super) async fn count(&self, sql: &'static str, values: Values<'_>) -> Step<u64> {
        let statement = self.prepared(sql).await?;
        Ok(self.client()?.execute(&statement, values).await?)
    }

    /// Begins a transaction, runs a statement that locks and then one that reads: one round trip, and what is read is
    /// newer than the lock.
    pub(super) async fn begin_locked(
        &self,
        lock: &'static str,
        read: &'static str,
        values: Values<'_>,
    ) -> Step<Option<Row>> {
        let (lock, read) = (self.prepared(lock).await?, self.prepared(read).await?);
        let client = self.client()?;
        // Polled in this order, the three are sent in this order, and the server works in the order of arrival.
        let (started, locked, row) = tokio::join!(
            biased;
            client.batch_execute("BEGIN"),
            client.query(&lock, values),
            client.query_opt(&read, values),
        );
        started?;
        locked?;
        Ok(row?)
    }

    /// Runs the last statement of a transaction, if it needs one, and commits: one round trip.
    pub(super) async fn commit(&self, last: Option<(&'static str, Values<'_>)>) -> Step<()> {
        let client = self.client()?;
        let Some((sql, values)) = last else { return Ok(client.batch_execute("COMMIT").await?) };
        let statement = self.prepared(sql).await?;
        // Where the statement fails, COMMIT rolls back.
        let (written, committed) =
            tokio::join!(biased; client.execute(&statement, values), client.batch_execute("COMMIT"));
        written?;
        Ok(committed?)
    }
}

impl Drop for Connection {
    /// Closes a connection whose operation did not complete.
    fn drop(&mut self) {
        if let Some(object) = self.object.take().filter(|_| !*self.is_done.get_mut()) {
            drop(Object::take(object));
        }
    }
}

/// The values of a statement's parameters.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];
