//! The policy of a verifier that remembers the origin's public keys: when a key is used, when the set is fetched anew, and
//! when nobody can tell. "Not known yet" is never told as "no": a key is refused only after a fetch that began later than the
//! request which names it.
//!
//! Every fetch brings the whole set, so a fetch that one id provokes makes every other key known as well. Fetches for
//! unknown ids come from a token bucket: a flood of made-up ids costs the origin one fetch a second, and a real new key is known
//! no later than the next of them.

use std::collections::VecDeque;

use crate::{
    limits::gcra::{Gcra, Tat},
    time::{SECOND_MS, Timestamp},
};

/// After this long the set is fetched anew, in milliseconds.
pub const FRESH_MS: i64 = 300 * SECOND_MS;
/// While the origin does not answer, a set that is no longer fresh is asked for at most this often, in milliseconds.
pub const REFRESH_EVERY_MS: i64 = 30 * SECOND_MS;
/// Milliseconds for which an id that the origin did not know is refused without another fetch.
pub const ABSENT_MS: i64 = 5 * SECOND_MS;
/// Milliseconds for which others wait for a fetch that has begun; after that they begin one of their own.
pub const SHARED_FETCH_MS: i64 = SECOND_MS;
/// The most ids that are remembered as unknown to the origin.
pub const MAX_ABSENT: usize = 256;

/// Fetches for unknown ids: one a second, and so many at once.
const LOOK_UPS_AT_ONCE: u32 = 5;

/// The decision about the key that a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLookup {
    /// Use the key that is remembered.
    Known,
    /// Fetch the set, and use the key that is remembered should that fail. The fetch counts as begun.
    Refresh,
    /// Fetch the set: the key is not remembered. The fetch counts as begun.
    Fetch,
    /// Ask again in a moment: somebody else's fetch is on its way.
    Wait,
    /// Refuse the token: the origin was asked for this key and does not know it.
    Absent,
    /// Tell the client to come again after so many seconds: nobody can tell now.
    Unavailable {
        /// Seconds, at least one.
        retry_after_s: u64,
    },
}

/// The state of one verifier: which ids are known, which are not, and when the origin was asked.
#[derive(Debug)]
pub struct KeyCachePolicy {
    look_ups: Gcra,
    tat: Option<Tat>,
    known: Vec<String>,
    /// The beginning of the fetch that brought the ids.
    fetched_at: Option<Timestamp>,
    /// The beginning of the last fetch, whatever came of it.
    asked_at: Option<Timestamp>,
    /// The beginning of the fetch that has not ended.
    in_flight: Option<Timestamp>,
    /// Ids that the origin did not know, and since when, the oldest first.
    absent: VecDeque<(String, Timestamp)>,
}

impl Default for KeyCachePolicy {
    fn default() -> Self {
        let window_ms = u32::try_from(SECOND_MS).unwrap_or(u32::MAX);
        Self {
            look_ups: Gcra::new(1, window_ms, LOOK_UPS_AT_ONCE),
            tat: None,
            known: Vec::new(),
            fetched_at: None,
            asked_at: None,
            in_flight: None,
            absent: VecDeque::new(),
        }
    }
}

impl KeyCachePolicy {
    /// Decides about the key of this id. [`KeyLookup::Refresh`] and [`KeyLookup::Fetch`] must be followed by
    /// [`Self::fetched`] or [`Self::failed`]; a caller that dies in between is forgotten after [`SHARED_FETCH_MS`].
    pub fn decide(&mut self, kid: &str, now: Timestamp) -> KeyLookup {
        let is_in_flight = self.in_flight.is_some_and(|began| is_within(began, now, SHARED_FETCH_MS));
        if self.known.iter().any(|id| id == kid) {
            let is_fresh = self.fetched_at.is_some_and(|at| is_within(at, now, FRESH_MS));
            let asked_lately = self.asked_at.is_some_and(|at| is_within(at, now, REFRESH_EVERY_MS));
            if is_fresh || is_in_flight || asked_lately {
                return KeyLookup::Known;
            }
            self.begin(now);
            return KeyLookup::Refresh;
        }
        self.absent.retain(|(_, since)| is_within(*since, now, ABSENT_MS));
        if self.absent.iter().any(|(id, _)| id == kid) {
            return KeyLookup::Absent;
        }
        if is_in_flight {
            return KeyLookup::Wait;
        }
        let decision = self.look_ups.check(self.tat, now);
        if !decision.allowed {
            return KeyLookup::Unavailable { retry_after_s: decision.retry_after_ms.div_ceil(1_000).max(1) };
        }
        self.tat = Some(decision.tat);
        self.begin(now);
        KeyLookup::Fetch
    }

    /// Records what a fetch that began at `began` for `kid` brought. Returns whether it is to be remembered: an older set never
    /// replaces a newer one.
    pub fn fetched(&mut self, kid: &str, ids: &[&str], began: Timestamp, now: Timestamp) -> bool {
        self.end(began);
        if !ids.contains(&kid) {
            self.absent.retain(|(id, _)| id != kid);
            while self.absent.len() >= MAX_ABSENT {
                self.absent.pop_front();
            }
            self.absent.push_back((kid.to_owned(), now));
        }
        if self.fetched_at.is_some_and(|at| at > began && is_within(at, now, FRESH_MS)) {
            return false;
        }
        self.known = ids.iter().map(|id| (*id).to_owned()).collect();
        self.fetched_at = Some(began);
        true
    }

    /// Records that a fetch that began at `began` brought nothing.
    pub fn failed(&mut self, began: Timestamp) {
        self.end(began);
    }

    const fn begin(&mut self, now: Timestamp) {
        self.asked_at = Some(now);
        self.in_flight = Some(now);
    }

    fn end(&mut self, began: Timestamp) {
        if self.in_flight.is_some_and(|current| current <= began) {
            self.in_flight = None;
        }
    }
}

/// Returns whether `now` is less than this long after `then`. A clock that was set back counts as no time.
fn is_within(then: Timestamp, now: Timestamp, span_ms: i64) -> bool {
    now.millis_since(then) < span_ms
}

#[cfg(test)]
mod tests;
