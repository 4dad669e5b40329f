//! A cache of groups of entries, bounded by their bytes.

use std::collections::{HashMap, VecDeque};

use shared::{id::Id, time::Timestamp};

use crate::store::ephemeral::{CacheGroup, Cached, MAX_ENTRIES_A_GROUP, MAX_ENTRY_BYTES};

/// The most bytes of entries, about.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// The approximate overhead of an entry or a group, in bytes.
const OVERHEAD_BYTES: usize = 160;

/// Entries by group. The group that has been there longest goes first when there is no room.
#[derive(Default)]
pub(super) struct Cache {
    groups: HashMap<CacheGroup, Group>,
    /// The groups by age, with the lease that distinguishes a group from a later one of the same name.
    oldest_first: VecDeque<(CacheGroup, Id)>,
    bytes: usize,
}

struct Group {
    lease: Id,
    entries: HashMap<String, (Vec<u8>, Timestamp)>,
    bytes: usize,
}

impl Cache {
    /// Returns the number of groups.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn get(&mut self, group: CacheGroup, entry: &str, lease: Id, now: Timestamp) -> Cached {
        if let Some(found) = self.groups.get(&group) {
            let live = found.entries.get(entry).filter(|(_, until)| *until > now);
            return Cached { value: live.map(|(value, _)| value.clone()), lease: found.lease };
        }
        self.groups.insert(group, Group { lease, entries: HashMap::new(), bytes: OVERHEAD_BYTES });
        self.oldest_first.push_back((group, lease));
        self.bytes += OVERHEAD_BYTES;
        self.make_room();
        Cached { value: None, lease }
    }

    pub(super) fn fill(
        &mut self,
        group: CacheGroup,
        entry: &str,
        lease: Id,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) {
        let Some(found) = self.groups.get_mut(&group).filter(|found| found.lease == lease) else { return };
        if value.len() > MAX_ENTRY_BYTES || until <= now {
            return;
        }
        let is_full = found.entries.len() >= MAX_ENTRIES_A_GROUP && !found.entries.contains_key(entry);
        if is_full {
            found.entries.clear();
            self.bytes -= found.bytes - OVERHEAD_BYTES;
            found.bytes = OVERHEAD_BYTES;
        }
        let added = cost(entry, &value);
        let replaced = found.entries.insert(entry.to_owned(), (value, until));
        let removed = replaced.map_or(0, |(value, _)| cost(entry, &value));
        found.bytes = found.bytes + added - removed;
        self.bytes = self.bytes + added - removed;
        self.make_room();
    }

    pub(super) fn invalidate(&mut self, group: CacheGroup) {
        if let Some(removed) = self.groups.remove(&group) {
            self.bytes -= removed.bytes;
        }
        // Names of groups that are gone must not pile up where one user is invalidated again and again.
        if self.oldest_first.len() > 2 * self.groups.len() + MAX_ENTRIES_A_GROUP {
            let groups = &self.groups;
            self.oldest_first
                .retain(|(group, lease)| groups.get(group).is_some_and(|found| found.lease == *lease));
        }
    }

    fn make_room(&mut self) {
        while self.bytes > MAX_BYTES
            && let Some((group, lease)) = self.oldest_first.pop_front()
        {
            if self.groups.get(&group).is_some_and(|found| found.lease == lease) {
                self.invalidate(group);
            }
        }
    }
}

fn cost(entry: &str, value: &[u8]) -> usize {
    entry.len() + value.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn id(number: u128) -> Id {
        Id::from_bytes(number.to_be_bytes())
    }

    #[test]
    fn full_cache_evicts_oldest_groups() {
        let mut cache = Cache::default();
        let until = START.plus_millis(1_000);
        let users = u128::try_from(2 * MAX_BYTES / MAX_ENTRY_BYTES).unwrap();
        for user in 0..users {
            let group = CacheGroup::ConversationsOf(id(user));
            let lease = cache.get(group, "page", id(10_000 + user), START).lease;
            cache.fill(group, "page", lease, vec![0; MAX_ENTRY_BYTES], until, START);
            assert!(cache.bytes <= MAX_BYTES);
        }
        assert_eq!(cache.get(CacheGroup::ConversationsOf(id(0)), "page", id(1), START).value, None);
        assert!(cache.get(CacheGroup::ConversationsOf(id(users - 1)), "page", id(1), START).value.is_some());
    }

    #[test]
    fn counted_bytes_match_held_bytes() {
        let mut cache = Cache::default();
        let group = CacheGroup::SessionsOf(id(1));
        for round in 0..200u32 {
            let lease = cache.get(group, "entry", id(u128::from(round) + 2), START).lease;
            for entry in 0..40u32 {
                let value = vec![0; usize::try_from(round * entry % 97).unwrap()];
                cache.fill(group, &entry.to_string(), lease, value, START.plus_millis(1), START);
            }
            if round % 3 == 0 {
                cache.invalidate(group);
            }
        }
        let held: usize = cache.groups.values().map(|group| group.bytes).sum();
        assert_eq!(cache.bytes, held);
        assert!(cache.oldest_first.len() <= 2 + MAX_ENTRIES_A_GROUP + 1);
        cache.invalidate(group);
        assert_eq!(cache.bytes, 0);
    }
}
