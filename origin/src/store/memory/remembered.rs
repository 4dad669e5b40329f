//! Values that are remembered, the newest of them: a new one is never refused.

use std::collections::{HashMap, VecDeque};

use shared::time::Timestamp;

use super::Key;

/// The most values. They are larger, and last longer, than what is counted.
pub(super) const MAX_REMEMBERED: usize = 100_000;
/// The fewest names worth a search for those whose values are gone.
const MIN_SWEEP: usize = 1_024;

/// Values by key. The one that was remembered first goes first when there is no room.
pub(super) struct Remembered {
    values: HashMap<Key, Value>,
    /// The keys by age, with the number that tells a value from a later one under the same key.
    oldest_first: VecDeque<(Key, u64)>,
    last_number: u64,
    max_values: usize,
}

struct Value {
    bytes: Vec<u8>,
    until: Timestamp,
    number: u64,
}

impl Default for Remembered {
    fn default() -> Self {
        Self::up_to(MAX_REMEMBERED)
    }
}

impl Remembered {
    fn up_to(max_values: usize) -> Self {
        Self { values: HashMap::new(), oldest_first: VecDeque::new(), last_number: 0, max_values }
    }

    /// Returns the number of values.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value under this key that has not ended.
    pub(super) fn get(&self, key: Key, now: Timestamp) -> Option<&[u8]> {
        self.values.get(&key).filter(|value| value.until > now).map(|value| &*value.bytes)
    }

    /// Puts a value in place of any that is there. Constant time, amortised: what is removed was inserted once.
    pub(super) fn insert(&mut self, key: Key, bytes: Vec<u8>, until: Timestamp, now: Timestamp) {
        self.last_number += 1;
        self.values.insert(key, Value { bytes, until, number: self.last_number });
        self.oldest_first.push_back((key, self.last_number));
        while let Some((key, number)) = self.oldest_first.front().copied() {
            let oldest = self.values.get(&key).filter(|value| value.number == number);
            let is_alive = oldest.is_some_and(|value| value.until > now);
            if is_alive && self.values.len() <= self.max_values {
                break;
            }
            if oldest.is_some() {
                self.values.remove(&key);
            }
            self.oldest_first.pop_front();
        }
        // Behind one that lasts long, names of values that were replaced must not pile up.
        if self.oldest_first.len() > 2 * self.values.len() + MIN_SWEEP {
            let values = &self.values;
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

    fn insert(remembered: &mut Remembered, number: u128, until: i64, now: i64) {
        let byte = u8::try_from(number % 251).unwrap();
        remembered.insert(key(number), vec![byte], START.plus_millis(until), START.plus_millis(now));
    }

    fn known(remembered: &Remembered, now: i64) -> Vec<u128> {
        (0..20).filter(|number| remembered.get(key(*number), START.plus_millis(now)).is_some()).collect()
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut remembered = Remembered::up_to(3);
        for number in 0..5 {
            insert(&mut remembered, number, 100, 0);
        }
        assert_eq!(known(&remembered, 0), [2, 3, 4]);
        // One that is remembered anew is no longer the oldest.
        insert(&mut remembered, 2, 200, 0);
        insert(&mut remembered, 5, 200, 0);
        assert_eq!(known(&remembered, 0), [2, 4, 5]);
        assert_eq!(known(&remembered, 100), [2, 5]);
        // What has ended makes room first.
        insert(&mut remembered, 6, 200, 100);
        insert(&mut remembered, 7, 200, 200);
        assert_eq!(remembered.values.len(), 0);
        insert(&mut remembered, 8, 300, 200);
        assert_eq!(known(&remembered, 200), [8]);
    }

    #[test]
    fn names_do_not_pile_up_behind_one_that_lasts() {
        let mut remembered = Remembered::up_to(100);
        insert(&mut remembered, 0, i64::MAX / 2, 0);
        for round in 0..20_000 {
            insert(&mut remembered, 1, round + 1, round);
            assert!(remembered.oldest_first.len() <= 2 * 2 + MIN_SWEEP + 1);
        }
        assert_eq!(known(&remembered, 19_999), [0, 1]);
    }
}
