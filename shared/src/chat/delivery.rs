//! When a finished turn that the origin has not confirmed is delivered again.

use crate::time::{SECOND_MS, Timestamp};

/// The first retry comes after this long.
const FIRST_MS: i64 = SECOND_MS;
/// No retry waits longer than this: when the origin is back, nothing is missing for more than half a minute.
const LONGEST_MS: i64 = 30 * SECOND_MS;

/// How long the closing event waits for the origin before it says `persisted: false`.
pub const CLOSING_PATIENCE_MS: i64 = 2 * SECOND_MS;

/// When to try again after `attempts` failed deliveries: doubling from one second to thirty, with up to a quarter taken
/// off by `jitter` (any number) so that a fleet does not come back in one beat.
pub fn next_attempt(attempts: u32, now: Timestamp, jitter: u32) -> Timestamp {
    let doubled = FIRST_MS.checked_shl(attempts.saturating_sub(1).min(16)).unwrap_or(LONGEST_MS);
    let delay_ms = doubled.min(LONGEST_MS);
    let off_ms = i64::from(jitter) % (delay_ms / 4);
    now.plus_millis(delay_ms - off_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_wait_grows_and_is_bounded(attempts in 0u32..10_000, jitter: u32) {
            let now = Timestamp::from_millis(1_000_000);
            let wait = next_attempt(attempts, now, jitter).millis_since(now);
            prop_assert!((FIRST_MS * 3 / 4..=LONGEST_MS).contains(&wait));
            let later = next_attempt(attempts + 1, now, 0).millis_since(now);
            prop_assert!(later >= wait);
        }
    }
}
