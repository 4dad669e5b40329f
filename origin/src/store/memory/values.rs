//! Values by key, the newest of them: a new one is never refused.

use std::collections::{HashMap, VecDeque};

use shared::time::Timestamp;

use super::Key;

/// The most values. They are larger, and last longer, than what is counted.
pub(super) const MAX_VALUES: usize = 100_000;
/// The fewest keys worth a sweep for those whose values are gone.
const MIN_SWEEP: usize = 1_024;

/// Values by key. The one that was inserted first goes first when there is no room.
pub(super) struct Values {
    by_key: HashMap<Key, Value>,
    /// The keys by age, with the number that distinguishes a value from a later one under the same key.
    oldest_first: VecDeque<(Key, u64)>,
    last_number: u64,
    max_len: usize,
}

struct Value {
    bytes: Vec<u8>,
    until: Timestamp,
    number: u64,
}

impl Default for Values {
    fn default() -> Self {
        Self::up_to(MAX_VALUES)
    }
}

impl Values {
    pub(super) fn up_to(max_len: usize) -> Self {
        Self { by_key: HashMap::new(), oldest_first: VecDeque::new(), last_number: 0, max_len }
    }

    /// Returns the value under this key that has not expired.
    pub(super) fn get(&self, key: Key, now: Timestamp) -> Option<&[u8]> {
        self.by_key.get(&key).filter(|value| value.until > now).map(|value| &*value.bytes)
    }

    /// Removes the value under this key, and returns it unless it has expired.
    pub(super) fn take(&mut self, key: Key, now: Timestamp) -> Option<Vec<u8>> {
        self.by_key.remove(&key).filter(|value| value.until > now).map(|value| value.bytes)
    }

    /// Returns the number of values.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Puts a value in place of any that is there. Constant time, amortised: what is removed was inserted once.
    pub(super) fn insert(&mut self, key: Key, bytes: Vec<u8>, until: Timestamp, now: Timestamp) {
        self.last_number += 1;
        self.by_key.insert(key, Value { bytes, until, number: self.last_number });
        self.oldest_first.push_back((key, self.last_number));
        while let Some((key, number)) = self.oldest_first.front().copied() {
            let oldest = self.by_key.get(&key).filter(|value| value.number == number);
            let is_alive = oldest.is_some_and(|value| value.until > now);
            if is_alive && self.by_key.len() <= self.max_len {
                break;
            }
            if oldest.is_some() {
                self.by_key.remove(&key);
            }
            self.oldest_first.pop_front();
        }
        // Behind one that lasts long, names of values that were replaced must not pile up.
        if self.oldest_first.len() > 2 * self.by_key.len() + MIN_SWEEP {
            let values = &self.by_key;
            self.oldest_first
                .retain(|(key, number)| values.get(key).is_some_and(|value| value.number == *number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn key(number: u128) -> Key {
        Key(number.to_be_bytes())
    }

    fn insert(values: &mut Values, number: u128, until: i64, now: i64) {
        let byte = u8::try_from(number % 251).unwrap();
        values.insert(key(number), vec![byte], START.plus_millis(until), START.plus_millis(now));
    }

    fn known(values: &Values, now: i64) -> Vec<u128> {
        (0..20).filter(|number| values.get(key(*number), START.plus_millis(now)).is_some()).collect()
    }

    #[test]
    fn full_table_evicts_oldest_value() {
        let mut values = Values::up_to(3);
        for number in 0..5 {
            insert(&mut values, number, 100, 0);
        }
        assert_eq!(known(&values, 0), [2, 3, 4]);
        // One that is inserted anew is no longer the oldest.
        insert(&mut values, 2, 200, 0);
        insert(&mut values, 5, 200, 0);
        assert_eq!(known(&values, 0), [2, 4, 5]);
        assert_eq!(known(&values, 100), [2, 5]);
        // What has ended makes room first.
        insert(&mut values, 6, 200, 100);
        insert(&mut values, 7, 200, 200);
        assert_eq!(values.by_key.len(), 0);
        insert(&mut values, 8, 300, 200);
        assert_eq!(known(&values, 200), [8]);
    }

    #[test]
    fn taken_value_makes_room() {
        let mut values = Values::up_to(2);
        insert(&mut values, 0, 100, 0);
        insert(&mut values, 1, 100, 0);
        assert_eq!(values.take(key(0), START), Some(vec![0]));
        assert_eq!(values.take(key(0), START), None);
        insert(&mut values, 2, 100, 0);
        assert_eq!(known(&values, 0), [1, 2]);
        assert_eq!(values.take(key(1), START.plus_millis(100)), None);
    }

    #[test]
    fn names_do_not_pile_up_behind_one_that_lasts() {
        let mut values = Values::up_to(100);
        insert(&mut values, 0, i64::MAX / 2, 0);
        for round in 0..20_000 {
            insert(&mut values, 1, round + 1, round);
            assert!(values.oldest_first.len() <= 2 * 2 + MIN_SWEEP + 1);
        }
        assert_eq!(known(&values, 19_999), [0, 1]);
    }
}
