//! Invalidations that Redis has not confirmed. While there is one, nothing may be served from its caches again.

use std::collections::HashMap;

use shared::time::{DAY_MS, Timestamp};

use crate::store::ephemeral::CacheGroup;

/// The most groups that are recorded. Beyond it, caches are not read until everything in them has expired.
const MAX_GROUPS: usize = 100_000;
/// The longest time an entry may be cached, in milliseconds.
pub(super) const MAX_ENTRY_MS: i64 = DAY_MS;

/// The groups whose invalidation has begun and is not confirmed.
#[derive(Debug, Default)]
pub(super) struct Pending {
    groups: HashMap<CacheGroup, u64>,
    last_ticket: u64,
    missed: Missed,
}

/// The state of invalidations that could not be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Missed {
    #[default]
    None,
    /// One was missed, and the current time is not known yet.
    Some,
    /// All earlier entries have expired at this time.
    Until(Timestamp),
}

impl Pending {
    /// Records an invalidation before it is attempted. Returns the ticket for [`Self::done`].
    pub(super) fn begin(&mut self, group: CacheGroup) -> u64 {
        self.begin_within(group, MAX_GROUPS)
    }

    /// Removes a confirmed invalidation, unless a later one of the group has begun.
    pub(super) fn done(&mut self, group: CacheGroup, ticket: u64) {
        if self.groups.get(&group) == Some(&ticket) {
            self.groups.remove(&group);
        }
    }

    /// Returns at most so many unconfirmed groups, with their tickets.
    pub(super) fn some(&self, count: usize) -> Vec<(CacheGroup, u64)> {
        self.groups.iter().take(count).map(|(group, ticket)| (*group, *ticket)).collect()
    }

    /// Returns true when caches may be read: not while entries may exist whose invalidation was missed.
    pub(super) fn may_serve(&mut self, now: Timestamp) -> bool {
        match self.missed {
            Missed::None => return true,
            Missed::Some => self.missed = Missed::Until(now.plus_millis(MAX_ENTRY_MS)),
            Missed::Until(expired) if now >= expired => {
                self.missed = Missed::None;
                return true;
            }
            Missed::Until(_) => {}
        }
        false
    }

    fn begin_within(&mut self, group: CacheGroup, limit: usize) -> u64 {
        self.last_ticket += 1;
        if self.groups.len() < limit || self.groups.contains_key(&group) {
            self.groups.insert(group, self.last_ticket);
        } else {
            self.missed = Missed::Some;
        }
        self.last_ticket
    }
}

#[cfg(test)]
mod tests {
    use shared::id::Id;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);

    fn group(number: u128) -> CacheGroup {
        CacheGroup::SessionsOf(Id::from_bytes(number.to_be_bytes()))
    }

    #[test]
    fn later_invalidation_survives_earlier_answer() {
        let mut pending = Pending::default();
        let first = pending.begin(group(1));
        let second = pending.begin(group(1));
        pending.done(group(1), first);
        assert_eq!(pending.some(9), [(group(1), second)]);
        pending.done(group(1), second);
        assert!(pending.some(9).is_empty());
    }

    #[test]
    fn unrecorded_invalidation_closes_caches_until_entries_expire() {
        let mut pending = Pending::default();
        for number in 0..4 {
            pending.begin_within(group(number), 4);
        }
        pending.begin_within(group(3), 4);
        assert!(pending.may_serve(START));
        pending.begin_within(group(4), 4);
        assert!(!pending.may_serve(START));
        let later = START.plus_millis(5);
        pending.begin_within(group(5), 4);
        assert!(!pending.may_serve(later));
        assert!(!pending.may_serve(later.plus_millis(MAX_ENTRY_MS - 1)));
        assert!(pending.may_serve(later.plus_millis(MAX_ENTRY_MS)));
        assert_eq!(pending.some(9).len(), 4);
    }
}
