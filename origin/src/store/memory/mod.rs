//! The ephemeral port in the process's own memory: bounded, lost with the process, not shared with another.

mod cache;
mod values;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use shared::{
    id::Id,
    limits::{
        failures::{FailureDecision, FailureDelay, FailureState},
        gcra::{Gcra, GcraDecision, Tat},
        window::{FixedWindow, WindowState},
    },
    time::Timestamp,
};
use subtle::ConstantTimeEq as _;

use super::{
    ephemeral::{CacheGroup, Cached, CodeOutcome, Ephemeral, OneTimeCode, WindowDecision, check_challenge},
    error::{StoreError, StoreResult},
    values::digest,
};
use crate::telemetry::{
    Backend,
    gauges::{Figure, watch},
};
use cache::Cache;
use values::Values;

/// The most windows, failures, rates, nonces or codes. Beyond it the store says that it is overloaded: limits and nonces fail open,
/// and a code is not sent.
const MAX_ENTRIES: usize = 500_000;
/// The most challenges that wait for an answer. Beyond it the oldest goes: a stranger who asks for many stops nobody.
const MAX_CHALLENGES: usize = 20_000;
/// The fewest entries worth a sweep for expired ones.
const MIN_SWEEP: usize = 1_024;
/// The least time between two sweeps of a full table, in milliseconds.
const FULL_SWEEP_MS: i64 = 1_000;

/// Short-lived state in this process.
pub struct MemoryEphemeral {
    windows: Mutex<Expiring<(FixedWindow, WindowState)>>,
    failures: Mutex<Expiring<FailureState>>,
    rates: Mutex<Expiring<(Tat, Timestamp)>>,
    nonces: Mutex<Expiring<Timestamp>>,
    values: Mutex<Values>,
    codes: Mutex<Expiring<OneTimeCode>>,
    challenges: Mutex<Values>,
    cache: Mutex<Cache>,
}

impl Default for MemoryEphemeral {
    fn default() -> Self {
        Self {
            windows: Mutex::new(Expiring::up_to(MAX_ENTRIES)),
            failures: Mutex::new(Expiring::up_to(MAX_ENTRIES)),
            rates: Mutex::new(Expiring::up_to(MAX_ENTRIES)),
            nonces: Mutex::new(Expiring::up_to(MAX_ENTRIES)),
            values: Mutex::default(),
            codes: Mutex::new(Expiring::up_to(MAX_ENTRIES)),
            challenges: Mutex::new(Values::up_to(MAX_CHALLENGES)),
            cache: Mutex::default(),
        }
    }
}

impl MemoryEphemeral {
    /// Makes an empty store, whose entries the figures count.
    pub fn watched() -> Arc<Self> {
        const BACKEND: Backend = Backend { store: "ephemeral", product: "memory" };
        let store = Arc::new(Self::default());
        let count = |table: &'static str, read: fn(&Self) -> usize| {
            let store = Arc::downgrade(&store);
            watch(Figure::Entries, BACKEND, table, move || store.upgrade().map(|store| read(&store)));
        };
        count("windows", |store| lock(&store.windows).entries.len());
        count("failures", |store| lock(&store.failures).entries.len());
        count("rates", |store| lock(&store.rates).entries.len());
        count("nonces", |store| lock(&store.nonces).entries.len());
        count("values", |store| lock(&store.values).len());
        count("codes", |store| lock(&store.codes).entries.len());
        count("challenges", |store| lock(&store.challenges).len());
        count("cache", |store| lock(&store.cache).len());
        store
    }
}

#[async_trait]
impl Ephemeral for MemoryEphemeral {
    fn backend(&self) -> &'static str {
        "memory"
    }

    async fn ping(&self) -> StoreResult<()> {
        Ok(())
    }

    async fn count(&self, key: &str, window: FixedWindow, now: Timestamp) -> StoreResult<WindowDecision> {
        let mut windows = lock(&self.windows);
        let key = Key::of(key);
        let known = windows.entries.get(&key).map(|(_, state)| *state);
        let decision = window.check(known, now);
        windows.insert(key, (window, decision.state), now, |(window, state)| {
            window.is_open(state.started_at, now)
        })?;
        Ok(decision)
    }

    async fn undo_count(&self, key: &str, window: FixedWindow, now: Timestamp) -> StoreResult<()> {
        let mut windows = lock(&self.windows);
        if let Entry::Occupied(mut known) = windows.entries.entry(Key::of(key)) {
            match window.undo_count(known.get().1, now) {
                Some(left) => known.get_mut().1 = left,
                None => drop(known.remove()),
            }
        }
        Ok(())
    }

    async fn count_failure(
        &self,
        key: &str,
        rule: FailureDelay,
        now: Timestamp,
    ) -> StoreResult<FailureDecision> {
        let mut failures = lock(&self.failures);
        let key = Key::of(key);
        let decision = rule.count(failures.entries.get(&key).copied(), now);
        failures.insert(key, decision.state, now, |state| state.forgiven_at.max(state.next_at) > now)?;
        Ok(decision)
    }

    async fn undo_failure(
        &self,
        key: &str,
        rule: FailureDelay,
        counted: FailureState,
        now: Timestamp,
    ) -> StoreResult<()> {
        if let Entry::Occupied(mut known) = lock(&self.failures).entries.entry(Key::of(key)) {
            match rule.undo(*known.get(), counted, now) {
                Some(left) => *known.get_mut() = left,
                None => drop(known.remove()),
            }
        }
        Ok(())
    }

    async fn check_failures(
        &self,
        key: &str,
        rule: FailureDelay,
        now: Timestamp,
    ) -> StoreResult<FailureDecision> {
        Ok(rule.check(lock(&self.failures).entries.get(&Key::of(key)).copied(), now))
    }

    async fn admit(&self, key: &str, rate: Gcra, now: Timestamp) -> StoreResult<GcraDecision> {
        let mut rates = lock(&self.rates);
        let key = Key::of(key);
        let decision = rate.check(rates.entries.get(&key).map(|(tat, _)| *tat), now);
        let spent = now.plus_millis(i64::try_from(decision.reset_ms).unwrap_or(i64::MAX));
        rates.insert(key, (decision.tat, spent), now, |(_, spent)| *spent > now)?;
        Ok(decision)
    }

    async fn insert_nonce(&self, key: &str, until: Timestamp, now: Timestamp) -> StoreResult<bool> {
        let mut nonces = lock(&self.nonces);
        let key = Key::of(key);
        if nonces.entries.get(&key).is_some_and(|known_until| *known_until > now) {
            return Ok(false);
        }
        nonces.insert(key, until, now, |known_until| *known_until > now)?;
        Ok(true)
    }

    async fn get_or_insert(
        &self,
        key: &str,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Vec<u8>> {
        let mut values = lock(&self.values);
        let key = Key::of(key);
        if let Some(known) = values.get(key, now) {
            return Ok(known.to_vec());
        }
        values.insert(key, value.clone(), until, now);
        Ok(value)
    }

    async fn get(&self, key: &str, now: Timestamp) -> StoreResult<Option<Vec<u8>>> {
        Ok(lock(&self.values).get(Key::of(key), now).map(<[u8]>::to_vec))
    }

    async fn put_code(&self, key: &str, code: OneTimeCode, now: Timestamp) -> StoreResult<()> {
        lock(&self.codes).insert(Key::of(key), code, now, |code| code.expires_at > now)
    }

    async fn try_code(&self, key: &str, hash: [u8; 32], now: Timestamp) -> StoreResult<CodeOutcome> {
        let mut codes = lock(&self.codes);
        let key = Key::of(key);
        let Some(code) = codes.entries.get_mut(&key).filter(|code| code.expires_at > now) else {
            return Ok(CodeOutcome::Absent);
        };
        let accepted = code.hash.ct_eq(&hash).into();
        code.tries = code.tries.saturating_sub(1);
        let tries_left = code.tries;
        if accepted || tries_left == 0 {
            codes.entries.remove(&key);
        }
        Ok(if accepted { CodeOutcome::Accepted } else { CodeOutcome::Wrong { tries_left } })
    }

    async fn put_challenge(
        &self,
        key: &str,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreResult<()> {
        check_challenge(&value)?;
        lock(&self.challenges).insert(Key::of(key), value, until, now);
        Ok(())
    }

    async fn take_challenge(&self, key: &str, now: Timestamp) -> StoreResult<Option<Vec<u8>>> {
        Ok(lock(&self.challenges).take(Key::of(key), now))
    }

    async fn cached(&self, group: CacheGroup, entry: &str, lease: Id, now: Timestamp) -> Cached {
        lock(&self.cache).get(group, entry, lease, now)
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
        lock(&self.cache).fill(group, entry, lease, value, until, now);
    }

    async fn invalidate(&self, group: CacheGroup) {
        lock(&self.cache).invalidate(group);
    }

    async fn flush(&self) {}
}

/// A key of any length as its digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u8; 16]);

impl Key {
    fn of(text: &str) -> Self {
        Self(digest(text))
    }
}

/// Entries by key. Expired ones are dropped whenever the number of entries has doubled: constant time an insert, amortised.
/// A full table is swept at most once in [`FULL_SWEEP_MS`].
struct Expiring<T> {
    entries: HashMap<Key, T>,
    max_entries: usize,
    next_sweep: usize,
    swept_at: Timestamp,
}

impl<T> Expiring<T> {
    fn up_to(max_entries: usize) -> Self {
        let swept_at = Timestamp::from_millis(i64::MIN);
        Self { entries: HashMap::new(), max_entries, next_sweep: MIN_SWEEP, swept_at }
    }

    fn insert(
        &mut self,
        key: Key,
        value: T,
        now: Timestamp,
        mut is_alive: impl FnMut(&T) -> bool,
    ) -> StoreResult<()> {
        let full = self.entries.len() >= self.max_entries;
        if self.entries.len() >= self.next_sweep && !(full && now.millis_since(self.swept_at) < FULL_SWEEP_MS)
        {
            self.entries.retain(|_, value| is_alive(value));
            self.next_sweep = (self.entries.len() * 2).clamp(MIN_SWEEP, self.max_entries);
            self.swept_at = now;
        }
        if self.entries.len() >= self.max_entries && !self.entries.contains_key(&key) {
            return Err(StoreError::Overloaded);
        }
        self.entries.insert(key, value);
        Ok(())
    }
}

/// No change of the tables can panic half way, so one that was held in a panic is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{values::MAX_VALUES, *};

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    #[tokio::test]
    async fn expired_entries_are_evicted() {
        let store = MemoryEphemeral::default();
        for index in 0..MIN_SWEEP {
            assert!(store.insert_nonce(&index.to_string(), START.plus_millis(10), START).await.unwrap());
        }
        assert!(store.insert_nonce("later", START.plus_millis(20), START.plus_millis(10)).await.unwrap());
        assert_eq!(lock(&store.nonces).entries.len(), 1);
    }

    /// A day's idempotency keys exceed the capacity: that must not stop new ones.
    #[tokio::test]
    async fn values_make_room_for_newer_ones() {
        let store = MemoryEphemeral::default();
        for index in 0..=MAX_VALUES {
            let (key, value) = (index.to_string(), index.to_be_bytes().to_vec());
            let remembered = store.get_or_insert(&key, value.clone(), START.plus_millis(10), START).await;
            assert_eq!(remembered.unwrap(), value);
        }
        assert_eq!(store.get("0", START).await.unwrap(), None);
        for index in [1, MAX_VALUES] {
            let known = store.get(&index.to_string(), START).await.unwrap();
            assert_eq!(known, Some(index.to_be_bytes().to_vec()));
        }
    }

    #[tokio::test]
    async fn full_table_fails_and_keeps_entries() {
        let store = MemoryEphemeral::default();
        for index in 0..MAX_ENTRIES {
            let key = Key(u128::try_from(index).unwrap().to_be_bytes());
            lock(&store.nonces).entries.insert(key, START.plus_millis(10));
        }
        lock(&store.nonces).entries.insert(Key::of("known"), START.plus_millis(10));
        let error = store.insert_nonce("one more", START.plus_millis(10), START).await.unwrap_err();
        assert_eq!(error.kind(), "overloaded");
        assert!(!store.insert_nonce("known", START.plus_millis(10), START).await.unwrap());
    }
}
