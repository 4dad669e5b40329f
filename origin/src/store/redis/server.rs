//! The way to Redis, or none: a breaker around one connection.
//!
//! A connection is trusted until one command fails or is late. Then it is given up for everybody at once: commands on
//! their way fail, later ones are not sent, so a request waits in vain once at most. A single keeper in the background
//! makes a new connection, sees that it takes writes, confirms the invalidations that were missed, and only then is it
//! used.
//!
//! A server whose answers are slow, but in time, is not left: when it is this process that has no time to look at them,
//! doing without the caches would leave it even less.
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
/// How the figures name what Redis has not answered.
const UNANSWERED: &str = "unanswered";

/// How long it may take until a new connection can be used.
const ATTEMPT: Duration = Duration::from_secs(1);
/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// A connection that lasted shorter is replaced after [`UNSTABLE_PAUSE`] only.
const STABLE: Duration = Duration::from_secs(2);
/// The pause before a connection that did not last is replaced: a server that answers now and then costs requests a wait,
/// and the log a line, once in so long.
const UNSTABLE_PAUSE: Duration = Duration::from_secs(1);
/// How often a connection is tried that nobody may be using.
const IDLE_CHECK: Duration = Duration::from_secs(5);
/// For how long the group is kept that is made to see whether the server takes writes, in milliseconds.
const PROBE_MS: i64 = 1_000;
/// Invalidations that are confirmed at once.
const FLUSH_AT_ONCE: usize = 256;

/// How long a process that ends tries to tell Redis what it owes.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// What Redis 6 and 7.0, and later ones, say of a command that the user may not run, where a script runs it. Its code is
/// then that of any error.
const FORBIDDEN_IN_SCRIPT: [&str; 2] = ["can't run this command", "ACL failure in script"];

/// Why a server counts as away that has said nothing.
const LATE: &str = "no answer in time";

/// A Redis server or cluster that may be away.
pub(super) struct Server {
    pub(super) keys: Keys,
    connector: Connector,
    /// How long a command may take.
    command: Duration,
    /// The server's clock, in microseconds, when this process reached it first.
    began_us: OnceLock<u64>,
    state: Mutex<State>,
}

struct State {
    /// The connection, while it is trusted.
    link: Option<Arc<Link>>,
    /// Why there is none.
    why: String,
    pending: Pending,
}

/// Redis has not answered; what was asked may have happened nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unanswered;

/// Why a connection could not be made.
struct NoLink {
    why: String,
    is_certain: bool,
}

impl Server {
    pub(super) fn new(connector: Connector, keys: Keys, command: Duration) -> Self {
        let state = State { link: None, why: "not connected".to_owned(), pending: Pending::default() };
        Self { keys, connector, command, began_us: OnceLock::new(), state: Mutex::new(state) }
    }

    /// When this process began, by the server's clock in microseconds: what was cached before is not for it. It is not
    /// later than anything that this process has put there.
    pub(super) fn began_us(&self) -> u64 {
        // Nobody asks before the first connection.
        self.began_us.get().copied().unwrap_or(u64::MAX)
    }

    /// Tries once to connect. A server that is away is no error, it may come; one that can never be used is.
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
                // Its failure is told by the link's end.
                () = sleep(IDLE_CHECK) => drop(self.ask_over(&link, ping).await),
            }
            if link.is_given_up() && link.made_at.elapsed() < STABLE {
                sleep(UNSTABLE_PAUSE).await;
            }
        }
    }

    /// Asks, for a bounded time; at once [`Unanswered`] while Redis is away.
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

    /// Like [`Self::ask`], for what is cached: not while entries may be there whose invalidation Redis has not heard of.
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

    /// Forgets what is cached of the group: now, or else before anything of a cache is used again. To be run to its end.
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
            // Whatever it was: only a new connection confirms what is pending.
            Err(Unanswered) => self.give_up(&link, "an invalidation was not answered"),
        }
    }

    /// Tries, for a bounded time, to confirm what is pending.
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

    /// The failure of what Redis alone can do.
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

    /// Trusts this connection no longer, unless it was given up before.
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
        // As quick as answers are to be, or it would be given up soon.
        timeout(self.command, ping(connection.clone())).await.map_err(|_| NoLink::late())??;
        timeout(self.command, self.probe(connection.clone())).await.map_err(|_| NoLink::late())??;
        if self.began_us.get().is_none() {
            let began_us = connection.time_us().await?;
            self.began_us.get_or_init(|| began_us);
        }
        Ok(connection)
    }

    /// Sees that a script may do what scripts do, and that writes are taken.
    async fn probe(&self, mut connection: Connection) -> RedisResult<()> {
        let mut call = scripts::CACHED.key(self.keys.probe());
        // Whatever is there was made before this: it is made anew.
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

pub(super) async fn unlink(mut connection: Connection, key: String) -> RedisResult<()> {
    Cmd::unlink(key).exec_async(&mut connection).await
}

/// Whether an error tells of what one key holds, not of the server.
fn is_about_one_value(error: &RedisError) -> bool {
    error.kind() == ErrorKind::UnexpectedReturnType || error.code() == Some("WRONGTYPE")
}

/// Whether waiting does not help: no Redis speaks there, or it wants another password, or the user lacks a right.
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
