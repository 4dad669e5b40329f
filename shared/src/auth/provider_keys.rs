//! The policy of the origin's copy of another provider's public keys: when a key is used, and when the set is fetched anew.

use crate::time::{DAY_MS, SECOND_MS, Timestamp};

/// The least and the most milliseconds for which a set is fresh, whatever its `max-age` is.
pub const MIN_FRESH_MS: i64 = 5 * 60 * SECOND_MS;
/// The most milliseconds for which a set is fresh.
pub const MAX_FRESH_MS: i64 = DAY_MS;
/// Milliseconds for which a set is used after its fetch while the provider does not answer.
pub const STALE_MS: i64 = 3 * DAY_MS;
/// Milliseconds from one fetch to the next one, such as for unknown key ids, which anybody can make up.
pub const REFETCH_MS: i64 = 30 * SECOND_MS;
/// The same after a fetch that failed.
pub const RETRY_MS: i64 = 5 * SECOND_MS;

/// The times of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeySetTimes {
    /// The last fetch that succeeded.
    pub fetched_at: Option<Timestamp>,
    /// The end of the freshness of what it brought.
    pub fresh_until: Option<Timestamp>,
    /// The last fetch, whatever came of it.
    pub asked_at: Option<Timestamp>,
}

/// The decision about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDecision {
    /// Use the key of the copy.
    Use,
    /// Fetch the set, and use the key of the copy should that fail.
    Refresh,
    /// Fetch the set: there is no key to use.
    Fetch,
    /// Refuse the token: the provider does not know the key.
    Absent,
    /// Tell the client to come again after so many seconds: the provider does not answer.
    Unavailable {
        /// Seconds, at least one.
        retry_after_s: u64,
    },
}

impl KeySetTimes {
    /// Decides about a key, which is in the copy or not.
    pub fn decide(&self, is_known: bool, now: Timestamp) -> KeyDecision {
        let is_before = |end: Option<Timestamp>| end.is_some_and(|end| now < end);
        if is_known && is_before(self.fresh_until) {
            return KeyDecision::Use;
        }
        let has_failed = self.asked_at > self.fetched_at;
        let pause_ms = if has_failed { RETRY_MS } else { REFETCH_MS };
        let next = self.asked_at.map(|at| at.plus_millis(pause_ms));
        let is_usable = is_known && is_before(self.fetched_at.map(|at| at.plus_millis(STALE_MS)));
        match (is_usable, next.filter(|next| now < *next)) {
            (true, None) => KeyDecision::Refresh,
            (true, Some(_)) => KeyDecision::Use,
            (false, None) => KeyDecision::Fetch,
            (false, Some(next)) if has_failed || is_known => {
                let wait_ms = next.millis_since(now).max(0);
                KeyDecision::Unavailable {
                    retry_after_s: u64::try_from(wait_ms).unwrap_or(0).div_ceil(1_000).max(1),
                }
            }
            (false, Some(_)) => KeyDecision::Absent,
        }
    }

    /// Notes that a fetch begins.
    pub const fn asked(&mut self, now: Timestamp) {
        self.asked_at = Some(now);
    }

    /// Notes that the fetch which began at `began` succeeded, with the `max-age` that the answer names.
    pub fn fetched(&mut self, began: Timestamp, max_age_s: Option<u64>) {
        let max_age_ms = max_age_s
            .map_or(MIN_FRESH_MS, |age_s| i64::try_from(age_s).unwrap_or(i64::MAX).saturating_mul(SECOND_MS));
        self.fetched_at = Some(began);
        self.fresh_until = Some(began.plus_millis(max_age_ms.clamp(MIN_FRESH_MS, MAX_FRESH_MS)));
    }
}

/// Returns the `max-age` of a `Cache-Control` header, in seconds (RFC 9111, section 5.2.2.1).
pub fn max_age_s(cache_control: &str) -> Option<u64> {
    cache_control.split(',').find_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        let value = value.trim_matches('"');
        name.eq_ignore_ascii_case("max-age").then(|| value.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);

    fn fetched(max_age_s: Option<u64>) -> KeySetTimes {
        let mut times = KeySetTimes::default();
        times.asked(START);
        times.fetched(START, max_age_s);
        times
    }

    #[rstest]
    #[case::nothing_yet(KeySetTimes::default(), false, 0, KeyDecision::Fetch)]
    #[case::fresh(fetched(Some(3_600)), true, 3_599_999, KeyDecision::Use)]
    #[case::stale(fetched(Some(3_600)), true, 3_600_000, KeyDecision::Refresh)]
    #[case::least_freshness(fetched(Some(0)), true, 299_999, KeyDecision::Use)]
    #[case::most_freshness(fetched(Some(u64::MAX)), true, 86_400_000, KeyDecision::Refresh)]
    #[case::no_max_age(fetched(None), true, 300_000, KeyDecision::Refresh)]
    #[case::unknown_soon(fetched(None), false, 29_999, KeyDecision::Absent)]
    #[case::unknown_later(fetched(None), false, 30_000, KeyDecision::Fetch)]
    #[case::too_old(fetched(None), true, STALE_MS, KeyDecision::Fetch)]
    fn key_is_used_or_fetched(
        #[case] times: KeySetTimes,
        #[case] is_known: bool,
        #[case] after_ms: i64,
        #[case] expected: KeyDecision,
    ) {
        assert_eq!(times.decide(is_known, START.plus_millis(after_ms)), expected);
    }

    #[test]
    fn failed_fetch_is_repeated_after_a_pause_and_stale_keys_are_used_meanwhile() {
        let mut times = fetched(None);
        let later = START.plus_millis(MIN_FRESH_MS);
        times.asked(later);
        assert_eq!(times.decide(true, later), KeyDecision::Use);
        assert_eq!(times.decide(false, later), KeyDecision::Unavailable { retry_after_s: 5 });
        let again = later.plus_millis(RETRY_MS);
        assert_eq!(times.decide(true, again), KeyDecision::Refresh);
        assert_eq!(times.decide(false, again), KeyDecision::Fetch);
        let too_old = START.plus_millis(STALE_MS);
        times.asked(too_old);
        assert_eq!(times.decide(true, too_old), KeyDecision::Unavailable { retry_after_s: 5 });
    }

    #[rstest]
    #[case("public, max-age=21600, must-revalidate, no-transform", Some(21_600))]
    #[case("Max-Age=\"5\"", Some(5))]
    #[case("s-maxage=7", None)]
    #[case("max-age=-1", None)]
    #[case("no-store", None)]
    #[case("", None)]
    fn max_age_is_read_from_header(#[case] header: &str, #[case] expected: Option<u64>) {
        assert_eq!(max_age_s(header), expected);
    }

    proptest! {
        #[test]
        fn made_up_ids_cost_one_fetch_in_30_seconds(steps in prop::collection::vec(0_i64..10_000, 1..200)) {
            let (mut times, mut now, mut fetches) = (KeySetTimes::default(), START, 0_i64);
            for step in steps {
                now = now.plus_millis(step);
                if times.decide(false, now) == KeyDecision::Fetch {
                    fetches += 1;
                    times.asked(now);
                    times.fetched(now, None);
                }
            }
            prop_assert!(fetches <= now.millis_since(START) / REFETCH_MS + 1);
        }
    }
}
