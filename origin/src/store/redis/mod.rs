//! The ephemeral port in Redis: shared by all processes, and answered by this process alone while Redis is away.
//!
//! - `server`: the connection and its circuit breaker; `link`: the lifetime of a connection
//! - `connection`: making connections; `keys`: names of keys; `scripts`: the scripts that run within Redis
//! - `pending`: invalidations that wait for Redis
//!
//! While Redis answers, it decides. This process records its own operations in memory as well, so that limits do not start
//! over when Redis goes away. Times are the caller's and are stored in the values; Redis's own clock only expires keys and
//! determines which cache groups are older than this process.
//!
//! A command that timed out may still run much later. Then a request is counted twice or not at all, a value is stored
//! that this process uses anyway, a group is invalidated once more, and no entry is filled whose lease has expired; only of
//! two codes put under one key while Redis went away and came back, the older may remain.

mod connection;
mod keys;
mod link;
mod pending;
mod scripts;
mod server;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::private::{PrivateRedis, until};

use std::{
    future::{Future as _, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry::context::FutureExt as _;
use redis::{Cmd, FromRedisValue, Script, ScriptInvocation};
use shared::{
    id::Id,
    limits::{
        failures::{FailureDecision, FailureDelay, FailureState},
        gcra::{Gcra, GcraDecision},
        window::FixedWindow,
    },
    time::{DAY_MS, Timestamp},
};
use tokio::{sync::Semaphore, task::JoinHandle};
use tracing::Instrument as _;

use super::{
    ephemeral::{
        CacheGroup, Cached, CodeOutcome, Ephemeral, MAX_ENTRIES_A_GROUP, MAX_ENTRY_BYTES, OneTimeCode,
        WindowDecision, check_challenge,
    },
    error::{StoreError, StoreResult},
};
use crate::config::stores::RedisConfig;
use connection::Connector;
use keys::{Keys, Kind};
use pending::MAX_ENTRY_MS;
use server::{Server, Unanswered};

/// The timeout of a command, after which Redis counts as away: a request waits so long once at most.
const COMMAND: Duration = Duration::from_millis(80);
/// The time that a value is kept beyond its expiry, in milliseconds: the clocks of processes that share it differ.
const SLACK_MS: i64 = 10_000;
/// The longest time anything is kept, in milliseconds: ten years.
const MAX_KEPT_MS: i64 = 3_650 * DAY_MS;
/// The lifetime of a cache group without entries, in milliseconds: a read that takes longer is not cached.
const LEASE_MS: i64 = 600_000;
/// The most cache writes in flight.
const MAX_FILLS: usize = 64;
/// A lease that no group has: a read with it is not cached.
const NO_LEASE: Id = Id::from_bytes([0; 16]);
const MICROS_A_MILLI: i64 = 1_000;

/// Short-lived state in Redis.
pub struct RedisEphemeral {
    server: Arc<Server>,
    /// The store that answers while Redis does not.
    local: Arc<dyn Ephemeral>,
    keeper: JoinHandle<()>,
    /// One permit for each cache write in flight.
    fills: Arc<Semaphore>,
}

impl RedisEphemeral {
    /// Opens the store; `local` answers while Redis does not. A server that is away is no error: it is used when it comes.
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails with [`StoreError::Refused`] when the address can never serve: the peer is no Redis, or it refuses the password.
    pub async fn open(config: &RedisConfig, local: Arc<dyn Ephemeral>) -> StoreResult<Self> {
        Self::open_within(config, local, COMMAND).await
    }

    /// Like [`Self::open`], with another timeout of commands.
    pub(in crate::store) async fn open_within(
        config: &RedisConfig,
        local: Arc<dyn Ephemeral>,
        command: Duration,
    ) -> StoreResult<Self> {
        let connector =
            Connector::new(&config.address).map_err(|error| StoreError::Refused(error.to_string()))?;
        let server = Arc::new(Server::new(connector, Keys::new(&config.key_prefix), command));
        server.start().await?;
        let keeper = tokio::spawn(Arc::clone(&server).keep());
        Ok(Self { server, local, keeper, fills: Arc::new(Semaphore::new(MAX_FILLS)) })
    }

    /// Begins a call of this script on the key of this name.
    fn call(&self, script: &'static Script, kind: Kind, name: &str) -> ScriptInvocation<'static> {
        script.key(self.server.keys.of(kind, name))
    }

    async fn run<T: FromRedisValue>(
        &self,
        operation: &'static str,
        call: &ScriptInvocation<'static>,
    ) -> Result<T, Unanswered> {
        let question = |mut connection| async move { call.invoke_async(&mut connection).await };
        self.server.ask_for(operation, question).await
    }
}

impl Drop for RedisEphemeral {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

#[async_trait]
impl Ephemeral for RedisEphemeral {
    fn backend(&self) -> &'static str {
        "redis"
    }

    async fn ping(&self) -> StoreResult<()> {
        self.server.ping().await
    }

    async fn count(&self, key: &str, window: FixedWindow, now: Timestamp) -> StoreResult<WindowDecision> {
        let mut call = self.call(&scripts::COUNT, Kind::Window, key);
        call.arg(now.as_millis()).arg(window.window_ms()).arg(window.limit()).arg(SLACK_MS);
        let Ok(before) = self.run::<Option<String>>("count", &call).await else {
            return self.local.count(key, window, now).await;
        };
        let decision = window.check(before.as_deref().and_then(scripts::window), now);
        if decision.allowed {
            // A local record that finds no room is missed only if Redis goes away.
            let _ = self.local.count(key, window, now).await;
        }
        Ok(decision)
    }

    async fn undo_count(&self, key: &str, window: FixedWindow, now: Timestamp) -> StoreResult<()> {
        let mut call = self.call(&scripts::UNDO_COUNT, Kind::Window, key);
        call.arg(now.as_millis()).arg(window.window_ms());
        // While Redis is away, what was counted there stays until its window closes.
        let undone =
            self.run::<()>("undo_count", &call).await.map_err(|Unanswered| self.server.unavailable());
        let undone_here = self.local.undo_count(key, window, now).await;
        undone.or(undone_here)
    }

    async fn count_failure(
        &self,
        key: &str,
        rule: FailureDelay,
        now: Timestamp,
    ) -> StoreResult<FailureDecision> {
        let mut call = self.call(&scripts::COUNT_FAILURE, Kind::Failures, key);
        call.arg(now.as_millis()).arg(rule.free()).arg(rule.first_ms()).arg(rule.longest_ms());
        call.arg(rule.forgiven_ms()).arg(rule.most()).arg(SLACK_MS);
        let Ok(before) = self.run::<Option<String>>("count_failure", &call).await else {
            return self.local.count_failure(key, rule, now).await;
        };
        let decision = rule.count(before.as_deref().and_then(scripts::failures), now);
        if decision.allowed {
            let _ = self.local.count_failure(key, rule, now).await;
        }
        Ok(decision)
    }

    async fn undo_failure(
        &self,
        key: &str,
        rule: FailureDelay,
        counted: FailureState,
        now: Timestamp,
    ) -> StoreResult<()> {
        let mut call = self.call(&scripts::UNDO_FAILURE, Kind::Failures, key);
        call.arg(now.as_millis()).arg(rule.forgiven_ms()).arg(counted.next_at.as_millis());
        // While Redis is away, what was counted there stays until it is forgiven.
        let undone =
            self.run::<()>("undo_failure", &call).await.map_err(|Unanswered| self.server.unavailable());
        let undone_here = self.local.undo_failure(key, rule, counted, now).await;
        undone.or(undone_here)
    }

    async fn check_failures(
        &self,
        key: &str,
        rule: FailureDelay,
        now: Timestamp,
    ) -> StoreResult<FailureDecision> {
        let get = Cmd::get(self.server.keys.of(Kind::Failures, key));
        let question = |mut connection| async move { get.query_async(&mut connection).await };
        let Ok(state) = self.server.ask_for::<Option<String>, _>("check_failures", question).await else {
            return self.local.check_failures(key, rule, now).await;
        };
        Ok(rule.check(state.as_deref().and_then(scripts::failures), now))
    }

    async fn admit(&self, key: &str, rate: Gcra, now: Timestamp) -> StoreResult<GcraDecision> {
        let mut call = self.call(&scripts::ADMIT, Kind::Rate, key);
        let now_us = now.as_millis().saturating_mul(MICROS_A_MILLI);
        call.arg(now_us).arg(rate.interval_us()).arg(rate.capacity_us()).arg(SLACK_MS);
        let Ok(before) = self.run::<Option<String>>("admit", &call).await else {
            return self.local.admit(key, rate, now).await;
        };
        let decision = rate.check(before.as_deref().and_then(scripts::tat), now);
        if decision.allowed {
            let _ = self.local.admit(key, rate, now).await;
        }
        Ok(decision)
    }

    async fn insert_nonce(&self, key: &str, until: Timestamp, now: Timestamp) -> StoreResult<bool> {
        // A nonce that this process knows is not new, also when Redis does not have it.
        let is_new_here = self.local.insert_nonce(key, until, now).await;
        if matches!(is_new_here, Ok(false)) {
            return Ok(false);
        }
        let mut call = self.call(&scripts::INSERT_NONCE, Kind::Nonce, key);
        call.arg(now.as_millis()).arg(until.as_millis()).arg(kept_ms(until, now));
        self.run::<bool>("insert_nonce", &call).await.or(is_new_here)
    }

    async fn get_or_insert(
        &self,
        key: &str,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Vec<u8>> {
        let mut call = self.call(&scripts::GET_OR_INSERT, Kind::Value, key);
        call.arg(now.as_millis()).arg(until.as_millis()).arg(&value[..]).arg(kept_ms(until, now));
        let stored = self.run::<Vec<u8>>("get_or_insert", &call).await.ok().and_then(scripts::value);
        let Some((until, value)) = stored else {
            return self.local.get_or_insert(key, value, until, now).await;
        };
        // An answer that this process gave while Redis was away stays the same.
        Ok(self.local.get_or_insert(key, value.clone(), until, now).await.unwrap_or(value))
    }

    async fn get(&self, key: &str, now: Timestamp) -> StoreResult<Option<Vec<u8>>> {
        // An answer that this process gave while Redis was away stays the same.
        let here = self.local.get(key, now).await;
        if matches!(here, Ok(Some(_))) {
            return here;
        }
        let get = Cmd::get(self.server.keys.of(Kind::Value, key));
        let question = |mut connection| async move { get.query_async(&mut connection).await };
        let Ok(stored) = self.server.ask::<Option<Vec<u8>>, _>(question).await else { return here };
        let live = stored.and_then(scripts::value).filter(|(until, _)| *until > now);
        Ok(live.map(|(_, value)| value))
    }

    async fn put_code(&self, key: &str, code: OneTimeCode, now: Timestamp) -> StoreResult<()> {
        let mut call = self.call(&scripts::PUT_CODE, Kind::Code, key);
        let until = code.expires_at;
        call.arg(&code.hash[..]).arg(code.tries).arg(until.as_millis()).arg(kept_ms(until, now));
        self.run::<()>("put_code", &call).await.map_err(|Unanswered| self.server.unavailable())
    }

    async fn try_code(&self, key: &str, hash: [u8; 32], now: Timestamp) -> StoreResult<CodeOutcome> {
        let mut call = self.call(&scripts::TRY_CODE, Kind::Code, key);
        call.arg(&hash[..]).arg(now.as_millis());
        let outcome =
            self.run::<i64>("try_code", &call).await.map_err(|Unanswered| self.server.unavailable())?;
        Ok(match u32::try_from(outcome) {
            Ok(tries_left) => CodeOutcome::Wrong { tries_left },
            Err(_) if outcome == scripts::RIGHT => CodeOutcome::Accepted,
            Err(_) => CodeOutcome::Absent,
        })
    }

    async fn put_challenge(
        &self,
        key: &str,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreResult<()> {
        check_challenge(&value)?;
        let mut call = self.call(&scripts::PUT_CHALLENGE, Kind::Challenge, key);
        call.arg(until.as_millis()).arg(&value[..]).arg(kept_ms(until, now));
        self.run::<()>("put_challenge", &call).await.map_err(|Unanswered| self.server.unavailable())
    }

    async fn take_challenge(&self, key: &str, now: Timestamp) -> StoreResult<Option<Vec<u8>>> {
        let call = self.call(&scripts::TAKE_CHALLENGE, Kind::Challenge, key);
        let stored = self.run::<Option<Vec<u8>>>("take_challenge", &call).await;
        let stored = stored.map_err(|Unanswered| self.server.unavailable())?;
        let live = stored.and_then(scripts::value).filter(|(until, _)| *until > now);
        Ok(live.map(|(_, value)| value))
    }

    async fn cached(&self, group: CacheGroup, entry: &str, lease: Id, now: Timestamp) -> Cached {
        let mut call = scripts::CACHED.key(self.server.keys.group(group));
        call.arg(&keys::field(entry)[..])
            .arg(&lease.as_bytes()[..])
            .arg(LEASE_MS)
            .arg(self.server.began_us());
        let question = |mut connection| async move { call.invoke_async(&mut connection).await };
        let answer: Result<([u8; 16], Option<Vec<u8>>), _> = self.server.ask_cache(now, question).await;
        match answer {
            Ok((lease, stored)) => Cached {
                value: stored.and_then(|stored| scripts::live_entry(stored, now)),
                lease: Id::from_bytes(lease),
            },
            // The command may still arrive, after an invalidation; nothing may be cached with its lease then.
            Err(Unanswered) => Cached { value: None, lease: NO_LEASE },
        }
    }

    async fn fill(
        &self,
        group: CacheGroup,
        entry: &str,
        lease: Id,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) {
        if lease == NO_LEASE || until <= now || value.len() > MAX_ENTRY_BYTES {
            return;
        }
        let until = until.min(now.plus_millis(MAX_ENTRY_MS));
        let mut call = scripts::FILL.key(self.server.keys.group(group));
        call.arg(&keys::field(entry)[..]).arg(&lease.as_bytes()[..]).arg(scripts::entry(&value, until));
        call.arg(kept_ms(until, now)).arg(MAX_ENTRIES_A_GROUP);
        // An entry that is not cached is read again: not worth a wait, nor an unbounded number of tasks.
        let Ok(permit) = Arc::clone(&self.fills).try_acquire_owned() else { return };
        let server = Arc::clone(&self.server);
        let mut filling = Box::pin(async move {
            let question = |mut connection| async move { call.invoke_async::<()>(&mut connection).await };
            let _ = server.ask(question).await;
            drop(permit);
        });
        // It is sent before any later command.
        if poll_fn(|context| Poll::Ready(filling.as_mut().poll(context))).await.is_pending() {
            tokio::spawn(filling.in_current_span());
        }
    }

    async fn invalidate(&self, group: CacheGroup) {
        let server = Arc::clone(&self.server);
        let invalidating = async move { server.invalidate(group).await };
        // To its end, also when the request that waits for it is given up.
        if let Err(error) = tokio::spawn(invalidating.with_current_context().in_current_span()).await {
            tracing::error!(%error, "an invalidation did not end");
        }
    }

    async fn flush(&self) {
        self.server.flush().await;
    }
}

/// Returns the milliseconds for which Redis keeps a value with this expiry.
fn kept_ms(until: Timestamp, now: Timestamp) -> i64 {
    until.millis_since(now).clamp(0, MAX_KEPT_MS) + SLACK_MS
}
