//! One SQLite file: a writer thread that commits waiting jobs as a group, a few reader threads, bounded queues, timeouts.
//!
//! Nothing here knows a table. A job gets a connection on its thread; the future that asked waits for the answer.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::oneshot;
use tracing::Span;

use crate::{
    store::error::{StoreError, StoreResult},
    telemetry::{
        Backend,
        gauges::{Figure, watch},
        observed, operation_of,
    },
};

/// The timeout of a caller.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout of a connection for a file locked by another process. Less than a caller's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// The most jobs that wait for a thread. More are refused at once.
const QUEUE_LEN: usize = 1_024;
/// The most writes of a group commit: one `fsync` for all of them.
const GROUP_LEN: usize = 64;
const READERS: usize = 2;
/// Prepared statements kept by a connection; more than any adapter has.
const STATEMENTS: usize = 64;

/// An open SQLite file.
pub(super) struct Engine {
    backend: Backend,
    writes: Option<Sender<Box<dyn WriteJob>>>,
    reads: Option<Sender<ReadJob>>,
    writer: Option<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Opens the file of this store, which has its tables already, and starts the threads.
    pub(super) fn open(store: &'static str, path: &Path) -> StoreResult<Self> {
        let backend = Backend { store, product: "sqlite" };
        let (writes, write_queue) = queue(backend, "writes");
        let (reads, read_queue) = queue::<ReadJob>(backend, "reads");
        let writer = Handle::open(path, connect)?;
        let writer = spawn("sqlite-writer", move || run_writes(writer, &write_queue))?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let reader = Handle::open(path, connect_reader)?;
            let queue = Arc::clone(&read_queue);
            readers.push(spawn("sqlite-reader", move || run_reads(reader, &queue))?);
        }
        Ok(Self { backend, writes: Some(writes), reads: Some(reads), writer: Some(writer), readers })
    }

    /// An engine whose threads have ended.
    #[cfg(test)]
    pub(super) fn stopped() -> Self {
        let backend = Backend { store: "stopped", product: "sqlite" };
        Self { backend, writes: None, reads: None, writer: None, readers: Vec::new() }
    }

    /// Fails when a thread is gone: nothing would be written, or read, until the process starts anew.
    pub(super) fn check_threads(&self) -> StoreResult<()> {
        let mut threads = self.writer.iter().chain(&self.readers);
        if self.writer.is_none() || threads.any(JoinHandle::is_finished) {
            return Err(gone());
        }
        Ok(())
    }

    /// Runs a job that reads.
    pub(super) async fn read<T, F>(&self, job: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    {
        observed(self.backend, operation_of(&job), StoreError::kind, async {
            let (answer, answered) = oneshot::channel();
            let span = Span::current();
            let job: ReadJob = Box::new(move |connection| {
                if !answer.is_closed() {
                    // A caller that has gone needs no answer.
                    let _ = answer.send(span.in_scope(|| caught(|| job(connection))));
                }
            });
            enqueue(self.reads.as_ref(), job)?;
            wait(answered).await
        })
        .await
    }

    /// Runs a job that writes, in a transaction: `Ok` means that all of it is on the disk, an error that none of it is.
    pub(super) async fn write<T, F>(&self, job: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    {
        observed(self.backend, operation_of(&job), StoreError::kind, async {
            let (answer, answered) = oneshot::channel();
            let write = Write { job: Some(job), outcome: None, answer, span: Span::current() };
            enqueue(self.writes.as_ref(), Box::new(write))?;
            wait(answered).await
        })
        .await
    }
}

impl Drop for Engine {
    /// Lets the threads finish the waiting jobs, so that the file is closed when this returns. The writer is the last: of two
    /// connections that close at the same moment, each may take the other for one that stays open, and neither would checkpoint
    /// the WAL.
    fn drop(&mut self) {
        self.reads = None;
        self.readers.drain(..).for_each(end);
        self.writes = None;
        self.writer.take().into_iter().for_each(end);
    }
}

fn end(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the SQLite store had panicked");
    }
}

/// A thread's connection, with what opens it anew.
struct Handle {
    connection: Connection,
    path: PathBuf,
    connect: fn(&Path) -> rusqlite::Result<Connection>,
}

impl Handle {
    fn open(path: &Path, connect: fn(&Path) -> rusqlite::Result<Connection>) -> StoreResult<Self> {
        Ok(Self { connection: connect(path)?, path: path.to_owned(), connect })
    }

    /// Runs a closure, turns a panic into an error, and checks the connection after one: a connection in an inconsistent state is
    /// replaced.
    fn guard<T>(&mut self, run: impl FnOnce(&Connection) -> T) -> StoreResult<T> {
        let connection = &self.connection;
        catch_unwind(AssertUnwindSafe(|| run(connection))).map_err(|_| {
            let error = panicked();
            self.mend();
            error
        })
    }

    /// Checks the connection, and opens it anew when it is still in a transaction or does not answer.
    fn mend(&mut self) {
        let answers = self.connection.query_one("SELECT 1", [], |_| Ok(())).is_ok();
        if answers && self.connection.is_autocommit() {
            return;
        }
        match (self.connect)(&self.path) {
            Ok(connection) => self.connection = connection,
            Err(error) => tracing::error!(%error, "a connection of the SQLite store cannot be opened anew"),
        }
    }
}

/// Opens a connection that cannot write.
fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let reader = connect(path)?;
    reader.pragma_update(None, "query_only", true)?;
    Ok(reader)
}

/// Opens a connection with the settings all of them have. A commit is on the disk before it returns
/// (`synchronous=FULL`), and readers do not wait for the writer (WAL).
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        failure(&error, error.to_string())
    }
}

/// Classifies an error of SQLite; `text` describes it.
pub(super) fn failure(error: &rusqlite::Error, text: String) -> StoreError {
    if let rusqlite::Error::SqlInputError { .. } = error {
        // Another program's tables.
        return StoreError::Refused(text);
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Timeout,
        Some(ErrorCode::ConstraintViolation) => StoreError::Conflict("a constraint of the file"),
        // A file that is no database, is damaged, or may not be opened or written.
        Some(
            ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly,
        ) => StoreError::Refused(text),
        _ => StoreError::Unavailable(text),
    }
}

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// A write in a group commit: it is run, then gets the result of the group.
trait WriteJob: Send {
    /// Returns true when no caller waits for it any more.
    fn is_abandoned(&self) -> bool;
    /// Runs within the open transaction. Returns false when its own changes must be rolled back.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Sends the result to the caller, once the group is committed or has failed.
    fn finish(self: Box<Self>, group: Result<(), StoreError>);
}

struct Write<T, F> {
    job: Option<F>,
    outcome: Option<StoreResult<T>>,
    answer: oneshot::Sender<StoreResult<T>>,
    /// The caller's: what the job logs is of that request.
    span: Span,
}

impl<T, F> WriteJob for Write<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> StoreResult<T> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(&mut self, connection: &Connection) -> bool {
        // A panic is the failure of this job alone: its changes are undone as those of any that fails.
        self.outcome = self.job.take().map(|job| self.span.in_scope(|| caught(|| job(connection))));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn finish(self: Box<Self>, group: Result<(), StoreError>) {
        let outcome = match (group, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Timeout),
            (Err(error), _) => Err(error),
        };
        // A dropped caller needs no answer.
        let _ = self.answer.send(outcome);
    }
}

fn run_reads(mut reader: Handle, queue: &Receiver<ReadJob>) {
    for job in queue {
        // The caller of a job that panics has its answer from the job itself; what is left to panic is logged.
        let _ = reader.guard(|connection| job(connection));
    }
}

fn run_writes(mut writer: Handle, queue: &Receiver<Box<dyn WriteJob>>) {
    for first in queue {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(GROUP_LEN - 1));
        group.retain(|job| !job.is_abandoned());
        if group.is_empty() {
            continue;
        }
        let outcome = writer.guard(|connection| {
            let outcome = commit_together(connection, &mut group);
            if outcome.is_err() && !connection.is_autocommit() {
                // When even this fails, the connection is opened anew.
                let _ = connection.execute_batch("ROLLBACK");
            }
            outcome
        });
        let outcome = outcome.flatten();
        if outcome.is_err() && !writer.connection.is_autocommit() {
            writer.mend();
        }
        for job in group {
            job.finish(outcome.as_ref().copied().map_err(clone_failure));
        }
    }
}

/// One transaction for the group, a savepoint for each job, so that the failure of one leaves the others alone.
fn commit_together(connection: &Connection, group: &mut [Box<dyn WriteJob>]) -> StoreResult<()> {
    let step = |sql| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    step("BEGIN IMMEDIATE")?;
    for job in group {
        step("SAVEPOINT job")?;
        if !job.run(connection) {
            step("ROLLBACK TO job")?;
        }
        step("RELEASE job")?;
    }
    step("COMMIT")?;
    Ok(())
}

/// The failure of a group as each of its callers gets it.
fn clone_failure(error: &StoreError) -> StoreError {
    match error {
        StoreError::Timeout => StoreError::Timeout,
        StoreError::Refused(why) => StoreError::Refused(why.clone()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// Makes a queue whose length can be seen.
fn queue<J: Send + 'static>(backend: Backend, name: &'static str) -> (Sender<J>, Arc<Receiver<J>>) {
    let (sender, receiver) = bounded(QUEUE_LEN);
    let receiver = Arc::new(receiver);
    let watched = Arc::downgrade(&receiver);
    // The threads alone keep it: a queue that nobody works on any more must refuse what comes.
    watch(Figure::Waiting, backend, name, move || watched.upgrade().map(|queue| queue.len()));
    (sender, receiver)
}

fn enqueue<J>(queue: Option<&Sender<J>>, job: J) -> StoreResult<()> {
    let queue = queue.ok_or_else(gone)?;
    queue.try_send(job).map_err(|error| match error {
        TrySendError::Full(_) => StoreError::Overloaded,
        TrySendError::Disconnected(_) => gone(),
    })
}

async fn wait<T>(answered: oneshot::Receiver<StoreResult<T>>) -> StoreResult<T> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(gone()),
        Err(_) => Err(StoreError::Timeout),
    }
}

/// Runs a job and turns a panic into an error.
fn caught<T>(job: impl FnOnce() -> StoreResult<T>) -> StoreResult<T> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> StoreError {
    tracing::error!("a job of the SQLite store panicked");
    StoreError::Unavailable("a job panicked".to_owned())
}

fn gone() -> StoreError {
    StoreError::Unavailable("its thread has ended".to_owned())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> StoreResult<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// The lines of a statement's plan.
#[cfg(test)]
pub(super) fn plan(file: &Connection, sql: &str) -> String {
    let mut statement = file.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        lines.push(row.get::<_, String>(3).unwrap());
    }
    lines.join("; ")
}

#[cfg(test)]
mod tests;
