//! The wait before a failed attempt is repeated.

/// Waits that double from the first to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure, in milliseconds; at least four.
    pub first_ms: i64,
    /// The longest wait, in milliseconds; not less than the first.
    pub longest_ms: i64,
}

impl Backoff {
    /// Returns the wait after so many failures, in milliseconds. Up to a quarter is taken off by `jitter` (any number), so that
    /// many who failed together do not come back together.
    pub fn wait_ms(self, failures: u32, jitter: u32) -> i64 {
        let doublings = failures.saturating_sub(1).min(32);
        let doubled = self.first_ms.saturating_mul(1 << doublings);
        let wait_ms = doubled.min(self.longest_ms);
        wait_ms - i64::from(jitter) % (wait_ms / 4).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff { first_ms: 1_000, longest_ms: 30_000 };

    #[test]
    fn wait_doubles_up_to_the_longest() {
        let waits = [0, 1, 2, 3, 5, 6, 100].map(|failures| BACKOFF.wait_ms(failures, 0));
        assert_eq!(waits, [1_000, 1_000, 2_000, 4_000, 16_000, 30_000, 30_000]);
    }

    proptest! {
        #[test]
        fn wait_is_bounded_and_grows(failures: u32, jitter: u32, first_ms in 4i64..100_000, times in 1i64..100_000) {
            let backoff = Backoff { first_ms, longest_ms: first_ms * times };
            let wait_ms = backoff.wait_ms(failures, jitter);
            prop_assert!((first_ms * 3 / 4..=backoff.longest_ms).contains(&wait_ms));
            prop_assert!(backoff.wait_ms(failures.saturating_add(1), 0) >= wait_ms);
        }
    }
}
