//! The connection to Redis, with a circuit breaker around it.
//!
//! A connection is used until one command fails or times out. Then it is dropped for all callers at once: commands in flight
//! fail, later ones are not sent, so a request waits for one timeout at most. A single background task makes a new
//! connection, checks that it accepts writes, confirms the missed invalidations, and only then releases it for use.
//!
//! A server whose answers are slow, but within the timeout, is kept: when it is this process that is too busy to read them,
//! running without caches would make it busier.
//!
//! The library's own connection manager is not used: it would reconnect and answer from a cache before missed invalidations
//! are confirmed, and it keeps a connection on which nothing is answered.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use redis::{Cmd, ErrorKind, RedisError, RedisResult};
use shared::time::Timestamp;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    connection::{Connection, Connector},
    keys::Keys,
    link::Link,
    pending::Pending,
    scripts,
};
use crate::{
    store::{
        ephemeral::CacheGroup,
        error::{StoreError, StoreResult},
    },
    telemetry::{
        Backend,
        gauges::{Figure, watch},
        observed, operation_of,
    },
};

const BACKEND: Backend = Backend { store: "ephemeral", product: "redis" };
/// The label in metrics of commands that Redis did not answer.
const UNANSWERED: &str = "unanswered";

/// The time limit until a new connection can be used.
const ATTEMPT: Duration = Duration::from_secs(1);
/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// A connection that lasted shorter is replaced after [`UNSTABLE_PAUSE`] only.
const STABLE: Duration = Duration::from_secs(2);
/// The pause before a connection that did not last is replaced: a server that answers intermittently costs a timeout and a
/// log line once per pause.
const UNSTABLE_PAUSE: Duration = Duration::from_secs(1);
/// The interval of the checks of an idle connection.
const IDLE_CHECK: Duration = Duration::from_secs(5);
/// The lifetime of the group that checks whether the server accepts writes, in milliseconds.
const PROBE_MS: i64 = 1_000;
/// Invalidations that are confirmed at once.
const FLUSH_AT_ONCE: usize = 256;

/// The timeout of sending pending invalidations at shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The messages of Redis 6 and 7.0, and of later versions, for a command in a script that the user may not run. The error's
/// code is then the generic one.
const FORBIDDEN_IN_SCRIPT: [&str; 2] = ["can't run this command", "ACL failure in script"];

/// The reason logged for a server that sent no response.
const LATE: &str = "no answer in time";

/// A Redis server or cluster that may be away.
pub(super) struct Server {
    pub(super) keys: Keys,
    connector: Connector,
    /// The timeout of a command.
    command: Duration,
    /// The server's clock, in microseconds, when this process reached it first.
    began_us: OnceLock<u64>,
    state: Mutex<State>,
}

struct State {
    /// The connection, while it is trusted.
    link: Option<Arc<Link>>,
    /// The reason why there is none.
    why: String,
    pending: Pending,
}

/// Redis has not answered; the command may have been executed nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unanswered;

/// The reason why a connection could not be made.
struct NoLink {
    why: String,
    is_certain: bool,
}

impl Server {
    pub(super) fn new(connector: Connector, keys: Keys, command: Duration) -> Self {
        let state = State { link: None, why: "not connected".to_owned(), pending: Pending::default() };
        Self { keys, connector, command, began_us: OnceLock::new(), state: Mutex::new(state) }
    }

    /// Returns the start of this process, by the server's clock in microseconds: it does not read entries cached before. No
    /// entry of this process is older.
    pub(super) fn began_us(&self) -> u64 {
        // Not called before the first connection.
        self.began_us.get().copied().unwrap_or(u64::MAX)
    }

    /// Tries once to connect. A server that is away is no error, as it may return; one that can never be used is.
    pub(super) async fn start(&self) -> StoreResult<()> {
        match self.restore().await {
            Ok(()) => Ok(()),
            Err(NoLink { why, is_certain: true }) => Err(StoreError::Refused(why)),
            Err(NoLink { why, .. }) => {
                tell_away(&why);
                Ok(())
            }
        }
    }

    /// Keeps a connection for as long as this runs.
    pub(super) async fn keep(self: Arc<Self>) {
        let watched = Arc::downgrade(&self);
        let open = move || watched.upgrade().map(|server| usize::from(server.link().is_some()));
        watch(Figure::Connections, BACKEND, "open", open);
        loop {
            let Some(link) = self.link() else {
                if self.restore().await.is_ok() {
                    tracing::info!("Redis answers again");
                } else {
                    sleep(PAUSE).await;
                }
                continue;
            };
            tokio::select! {
                () = link.wait_given_up() => {}
                // Its failure shows as the end of the link.
                () = sleep(IDLE_CHECK) => drop(self.ask_over(&link, ping).await),
            }
            if link.is_given_up() && link.made_at.elapsed() < STABLE {
                sleep(UNSTABLE_PAUSE).await;
            }
        }
    }

    /// Runs a command with a timeout. Fails at once with [`Unanswered`] while Redis is away.
    pub(super) async fn ask<T, F>(&self, question: impl FnOnce(Connection) -> F) -> Result<T, Unanswered>
    where
        F: Future<Output = RedisResult<T>>,
    {
        self.ask_for(operation_of(&question), question).await
    }

    /// Like [`Self::ask`], for an operation that the question's own name does not tell.
    pub(super) async fn ask_for<T, F>(
        &self,
        operation: &'static str,
        question: impl FnOnce(Connection) -> F,
    ) -> Result<T, Unanswered>
    where
        F: Future<Output = RedisResult<T>>,
    {
        observed(BACKEND, operation, |_| UNANSWERED, async {
            let link = self.link().ok_or(Unanswered)?;
            self.ask_over(&link, question).await
        })
        .await
    }

    /// Like [`Self::ask`], for cached entries: fails while entries may exist whose invalidation Redis has not received.
    pub(super) async fn ask_cache<T, F>(
        &self,
        now: Timestamp,
        question: impl FnOnce(Connection) -> F,
    ) -> Result<T, Unanswered>
    where
        F: Future<Output = RedisResult<T>>,
    {
        observed(BACKEND, operation_of(&question), |_| UNANSWERED, async {
            let link = {
                let mut state = self.state();
                if !state.pending.may_serve(now) {
                    return Err(Unanswered);
                }
                state.link.clone().ok_or(Unanswered)?
            };
            self.ask_over(&link, question).await
        })
        .await
    }

    /// Invalidates the group: now, or else before any cache is read again. Must be run to completion.
    pub(super) async fn invalidate(&self, group: CacheGroup) {
        let (ticket, link) = {
            let mut state = self.state();
            (state.pending.begin(group), state.link.clone())
        };
        let Some(link) = link else { return };
        let key = self.keys.group(group);
        let asking = self.ask_over(&link, |connection| unlink(connection, key));
        match observed(BACKEND, "invalidate", |_| UNANSWERED, asking).await {
            Ok(()) => self.state().pending.done(group, ticket),
            // For any error: only a new connection confirms the pending invalidations.
            Err(Unanswered) => self.give_up(&link, "an invalidation was not answered"),
        }
    }

    /// Tries, with a timeout, to confirm the pending invalidations.
    pub(super) async fn flush(&self) {
        let flushing = async {
            while !self.is_flushed() {
                if self.restore().await.is_err() {
                    sleep(PAUSE).await;
                }
            }
        };
        if timeout(FLUSH_TIMEOUT, flushing).await.is_err() {
            tracing::warn!(
                "Redis could not be told of all that has changed; other processes may show lists from before"
            );
        }
    }

    fn is_flushed(&self) -> bool {
        self.state().pending.some(1).is_empty()
    }

    pub(super) async fn ping(&self) -> StoreResult<()> {
        self.ask(ping).await.map_err(|Unanswered| self.unavailable())
    }

    /// Returns the error of an operation that only Redis can do.
    pub(super) fn unavailable(&self) -> StoreError {
        StoreError::Unavailable(format!("Redis: {}", self.state().why))
    }

    async fn ask_over<T, F>(
        &self,
        link: &Arc<Link>,
        question: impl FnOnce(Connection) -> F,
    ) -> Result<T, Unanswered>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let outcome = tokio::select! {
            biased;
            outcome = timeout(self.command, question(link.connection.clone())) => outcome,
            () = link.wait_given_up() => return Err(Unanswered),
        };
        match outcome {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if is_about_one_value(&error) => {
                tracing::error!(%error, "a value in Redis is not what was stored there");
            }
            Ok(Err(error)) => self.give_up(link, &error.to_string()),
            Err(_) => self.give_up(link, LATE),
        }
        Err(Unanswered)
    }

    /// Drops this connection, unless it was dropped before.
    fn give_up(&self, link: &Arc<Link>, why: &str) {
        {
            let mut state = self.state();
            if !state.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
                return;
            }
            state.link = None;
            why.clone_into(&mut state.why);
        }
        link.give_up();
        tell_away(why);
    }

    /// Makes a connection and uses it from then on.
    async fn restore(&self) -> Result<(), NoLink> {
        let made = timeout(ATTEMPT, self.connect()).await.unwrap_or_else(|_| Err(NoLink::late()));
        let restored = match made {
            Ok(connection) => self.confirm_pending(connection).await,
            Err(no_link) => Err(no_link),
        };
        if let Err(NoLink { why, .. }) = &restored {
            why.clone_into(&mut self.state().why);
        }
        restored
    }

    async fn connect(&self) -> Result<Connection, NoLink> {
        let mut connection = self.connector.connect().await?;
        for script in scripts::all() {
            let _: String = script.load_async(&mut connection).await?;
        }
        // Within the timeout of a command, or it would be dropped soon.
        timeout(self.command, ping(connection.clone())).await.map_err(|_| NoLink::late())??;
        timeout(self.command, self.probe(connection.clone())).await.map_err(|_| NoLink::late())??;
        if self.began_us.get().is_none() {
            let began_us = connection.time_us().await?;
            self.began_us.get_or_init(|| began_us);
        }
        Ok(connection)
    }

    /// Checks that the scripts may run and that writes are accepted.
    async fn probe(&self, mut connection: Connection) -> RedisResult<()> {
        let mut call = scripts::CACHED.key(self.keys.probe());
        // An existing group is older than this check: it is created again.
        call.arg("entry").arg("lease").arg(PROBE_MS).arg(u64::MAX);
        call.invoke_async(&mut connection).await
    }

    /// Confirms all invalidations that are pending, those that begin meanwhile too, then lets the connection be used.
    async fn confirm_pending(&self, connection: Connection) -> Result<(), NoLink> {
        loop {
            let some = {
                let mut state = self.state();
                let some = state.pending.some(FLUSH_AT_ONCE);
                // Under one lock: what begins from here on finds the connection.
                if some.is_empty() {
                    state.link = Some(Arc::new(Link::new(connection)));
                    return Ok(());
                }
                some
            };
            let mut running = JoinSet::new();
            for (group, _) in &some {
                running.spawn(unlink(connection.clone(), self.keys.group(*group)));
            }
            let all = timeout(ATTEMPT, running.join_all()).await.map_err(|_| NoLink::late())?;
            all.into_iter().collect::<RedisResult<()>>()?;
            let mut state = self.state();
            for (group, ticket) in some {
                state.pending.done(group, ticket);
            }
        }
    }

    fn link(&self) -> Option<Arc<Link>> {
        self.state().link.clone()
    }

    /// Nothing that is done under this lock can panic half way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NoLink {
    fn late() -> Self {
        Self { why: LATE.to_owned(), is_certain: false }
    }
}

impl From<RedisError> for NoLink {
    fn from(error: RedisError) -> Self {
        Self { why: error.to_string(), is_certain: can_never_work(&error) }
    }
}

fn tell_away(why: &str) {
    tracing::warn!(why, "Redis does not answer: limits and caches are the process's own until it does");
}

async fn ping(mut connection: Connection) -> RedisResult<()> {
    Cmd::ping().exec_async(&mut connection).await
}

async fn unlink(mut connection: Connection, key: String) -> RedisResult<()> {
    Cmd::unlink(key).exec_async(&mut connection).await
}

/// Returns true when an error is about the value of one key, not about the server.
fn is_about_one_value(error: &RedisError) -> bool {
    error.kind() == ErrorKind::UnexpectedReturnType || error.code() == Some("WRONGTYPE")
}

/// Returns true when retrying cannot help: the peer is no Redis, the password is wrong, or the user lacks a permission.
fn can_never_work(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Parse
            | ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::RESP3NotSupported
    ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
        || error.detail().is_some_and(|detail| FORBIDDEN_IN_SCRIPT.iter().any(|said| detail.contains(said)))
}
