//! Bytes that the user objects of one isolate hold in memory: an isolate has 128 MB for all of them, and one that takes more
//! is reset with every turn that runs in it.

/// Bytes that turns and contexts may hold in one isolate: half of what the platform gives, the rest is for requests.
pub const ISOLATE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that one user object keeps of what it can read from its storage again: ended turns, or contexts.
pub const CACHE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes that a turn takes at most: its question and its answer, as text and as events.
pub const TURN_BYTES: usize = 3 * 1024 * 1024;

/// Returns whether one more turn has room beside the `held` bytes.
pub const fn has_room_for_turn(held: usize) -> bool {
    held.saturating_add(TURN_BYTES) <= ISOLATE_BYTES
}

/// Returns the bytes that one cache of an object may keep while its isolate holds so many: nothing, once that is half of what
/// it may hold.
pub const fn cache_bytes(held: usize) -> usize {
    if held > ISOLATE_BYTES / 2 { 0 } else { CACHE_BYTES }
}

/// Returns how many of a cache's entries stay, the most valuable first: at most `max_entries`, and `max_bytes` of them.
pub fn kept(sizes: impl IntoIterator<Item = usize>, max_entries: usize, max_bytes: usize) -> usize {
    let mut left = Some(max_bytes);
    sizes
        .into_iter()
        .take(max_entries)
        .take_while(|size| {
            left = left.and_then(|left| left.checked_sub(*size));
            left.is_some()
        })
        .count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn isolate_that_holds_much_keeps_no_caches_and_then_takes_no_turns() {
        assert_eq!((cache_bytes(0), has_room_for_turn(0)), (CACHE_BYTES, true));
        let half = ISOLATE_BYTES / 2 + 1;
        assert_eq!((cache_bytes(half), has_room_for_turn(half)), (0, true));
        assert!(has_room_for_turn(ISOLATE_BYTES - TURN_BYTES) && !has_room_for_turn(ISOLATE_BYTES));
        assert!(!has_room_for_turn(usize::MAX));
    }

    proptest! {
        #[test]
        fn kept_is_the_longest_run_within_both_bounds(
            sizes in prop::collection::vec(0usize..100, 0..20), max_entries in 0usize..20, max_bytes in 0usize..500,
        ) {
            let count = kept(sizes.iter().copied(), max_entries, max_bytes);
            let sum = |count: usize| sizes[..count].iter().sum::<usize>();
            prop_assert!(count <= max_entries && sum(count) <= max_bytes);
            prop_assert!(count == sizes.len() || count == max_entries || sum(count + 1) > max_bytes);
        }
    }
}
