//! The ephemeral port: state that may be lost at any moment. Throttles, nonces, one-time codes, challenges, idempotency records, and
//! caches of the other ports' data.
//!
//! Keys are the caller's words; an adapter shares a server with others by a prefix of its own. Times come from the
//! caller, so that every replica that asks decides by one rule.

use async_trait::async_trait;
use shared::{
    id::Id,
    limits::{
        failures::{FailureDecision, FailureDelay, FailureState},
        gcra::{Gcra, GcraDecision},
        window::FixedWindow,
    },
    time::Timestamp,
};

pub use shared::limits::window::WindowDecision;

use super::error::{StoreError, StoreResult};

/// The most entries of a cache group. Which ones there are is the caller's choice, such as the size of a page.
pub const MAX_ENTRIES_A_GROUP: usize = 16;
/// The largest entry that is cached: a page of ordinary titles. With the number of entries it bounds what one user can take
/// of a cache that all share, about a megabyte.
pub const MAX_ENTRY_BYTES: usize = 64 * 1024;

/// The largest value of a challenge.
pub const MAX_CHALLENGE_BYTES: usize = 2 * 1024;

/// A one-time code that was sent to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneTimeCode {
    /// Its keyed hash: all that is stored of one.
    pub hash: [u8; 32],
    /// The number of guesses it allows, at least one.
    pub tries: u32,
    /// The time at which it expires.
    pub expires_at: Timestamp,
}

/// The outcome of a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOutcome {
    /// The guess was right, and the code is used up.
    Accepted,
    /// The guess was wrong.
    Wrong {
        /// Guesses that are left; after the last the code is gone.
        tries_left: u32,
    },
    /// There is no code: none was sent, it has expired, or it is used up.
    Absent,
}

/// A group of entries that is invalidated as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheGroup {
    /// First pages of this user's list of conversations.
    ConversationsOf(Id),
    /// This user's sessions, with the user.
    SessionsOf(Id),
}

/// A cached entry, and the lease to fill it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The entry, if it is there.
    pub value: Option<Vec<u8>>,
    /// The lease with which a value read now may be cached, unless the group is invalidated meanwhile.
    pub lease: Id,
}

/// Short-lived state.
///
/// Limits, nonces and values are answered by the process itself while a server does not answer. Limits and nonces fail only
/// when the process is overloaded, too; of values it forgets the oldest instead.
#[async_trait]
pub trait Ephemeral: Send + Sync + 'static {
    /// The name of the product behind, such as `memory`.
    fn backend(&self) -> &'static str;

    /// Answers when the store does.
    async fn ping(&self) -> StoreResult<()>;

    /// Counts one more under this key, unless its window is full, in one step: of any number at once exactly as many are
    /// allowed as the window holds. A key is always used with the same window.
    async fn count(&self, key: &str, window: FixedWindow, now: Timestamp) -> StoreResult<WindowDecision>;

    /// Undoes one that [`Self::count`] allowed under this key, in one step, if its window is still open.
    async fn undo_count(&self, key: &str, window: FixedWindow, now: Timestamp) -> StoreResult<()>;

    /// Counts an attempt under this key as one that fails, unless it comes before its time, in one step: of any number at once as
    /// many are allowed as are free. A key is always used with the same rule, and only with this method and the next two.
    async fn count_failure(
        &self,
        key: &str,
        rule: FailureDelay,
        now: Timestamp,
    ) -> StoreResult<FailureDecision>;

    /// Undoes an attempt that [`Self::count_failure`] allowed under this key, in one step; `counted` is the state that it returned.
    async fn undo_failure(
        &self,
        key: &str,
        rule: FailureDelay,
        counted: FailureState,
        now: Timestamp,
    ) -> StoreResult<()>;

    /// Decides on an attempt under this key, and counts nothing.
    async fn check_failures(
        &self,
        key: &str,
        rule: FailureDelay,
        now: Timestamp,
    ) -> StoreResult<FailureDecision>;

    /// Takes one under this key from a steady rate, if it has one to give, in one step. A key is always used with the
    /// same rate, and never with [`Self::count`].
    async fn admit(&self, key: &str, rate: Gcra, now: Timestamp) -> StoreResult<GcraDecision>;

    /// Inserts this key until `until`. True when it was absent: of any number at once, for one of them.
    async fn insert_nonce(&self, key: &str, until: Timestamp, now: Timestamp) -> StoreResult<bool>;

    /// Returns the value under this key, inserted until `until` when there was none: any number at once get the same.
    async fn get_or_insert(
        &self,
        key: &str,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Vec<u8>>;

    /// Returns the value that [`Self::get_or_insert`] put under this key, until its time.
    async fn get(&self, key: &str, now: Timestamp) -> StoreResult<Option<Vec<u8>>>;

    /// Puts a code under this key, in place of any before it. Fails when it could not be stored.
    async fn put_code(&self, key: &str, code: OneTimeCode, now: Timestamp) -> StoreResult<()>;

    /// Guesses at the code under this key, in one step: of any number of right guesses one is accepted, and no more guesses are
    /// checked than the code allows.
    async fn try_code(&self, key: &str, hash: [u8; 32], now: Timestamp) -> StoreResult<CodeOutcome>;

    /// Puts what belongs to a challenge under this key until `until`, at most [`MAX_CHALLENGE_BYTES`]. Fails when it could not be
    /// stored.
    async fn put_challenge(
        &self,
        key: &str,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreResult<()>;

    /// Takes what [`Self::put_challenge`] put under this key, in one step: of any number at once one gets it.
    async fn take_challenge(&self, key: &str, now: Timestamp) -> StoreResult<Option<Vec<u8>>>;

    /// Returns the cached value of `entry` in this group; nothing when its server does not answer. `lease` is a new id; the
    /// returned lease may be an older one that is still valid.
    async fn cached(&self, group: CacheGroup, entry: &str, lease: Id, now: Timestamp) -> Cached;

    /// Caches, until `until`, a value that was read from a store after [`Self::cached`] returned this lease. Nothing happens
    /// when the group was invalidated since, or the cache is full or does not answer. It does not wait for a server: the write
    /// may happen after the return.
    async fn fill(
        &self,
        group: CacheGroup,
        entry: &str,
        lease: Id,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    );

    /// Invalidates the group. After the return [`Self::cached`] never gives this process a value that was read before the call,
    /// also when the server does not answer now and does later. Another process may get one, in that case, until the entry
    /// expires.
    async fn invalidate(&self, group: CacheGroup);

    /// Sends the server the unsent invalidations, within a second. Called at shutdown.
    async fn flush(&self);
}

/// Refuses what is too large for a challenge.
pub(super) fn check_challenge(value: &[u8]) -> StoreResult<()> {
    if value.len() > MAX_CHALLENGE_BYTES {
        return Err(StoreError::Refused(format!("a challenge has {} bytes", value.len())));
    }
    Ok(())
}
