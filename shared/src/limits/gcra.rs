//! A steady rate with a burst: the generic cell rate algorithm (ITU-T I.371, annex A), whose whole state is one time.
//!
//! The state is the theoretical arrival time: when the next request would be due if all came evenly spaced. A request may
//! come earlier than that by as much as the burst covers. Times are microseconds, so that a rate that does not divide the
//! window into whole milliseconds is kept; the interval is rounded up, so the rate is never exceeded.

use super::seconds_at_least_one;
use crate::{api::error::LimitState, time::Timestamp};

const MILLI_US: i64 = 1_000;

/// The theoretical arrival time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tat(i64);

impl Tat {
    /// Reads what [`Self::as_micros`] gave.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}

/// A rate: `limit` requests in a window, of which `burst` may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    burst: u32,
    interval_us: i64,
}

/// The decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcraDecision {
    /// True when it may run.
    pub allowed: bool,
    /// The new state; a request that is denied does not change it.
    pub tat: Tat,
    /// The number of requests that may still come at this moment.
    pub remaining: u64,
    /// Milliseconds until the next may come; 0 when it was allowed.
    pub retry_after_ms: u64,
    /// Milliseconds until the whole burst may come again.
    pub reset_ms: u64,
}

impl Gcra {
    /// A rate of `limit` requests in `window_ms` milliseconds with bursts of `burst`. Each counts as 1 when it is 0.
    pub fn new(limit: u32, window_ms: u32, burst: u32) -> Self {
        let span_us = i64::from(window_ms.max(1)) * MILLI_US;
        let limit = i64::from(limit.max(1));
        // Both are positive, so this rounds up.
        let interval_us = (span_us + limit - 1) / limit;
        Self { burst: burst.max(1), interval_us }
    }

    /// Microseconds between requests that come evenly spaced, at least one.
    pub const fn interval_us(&self) -> i64 {
        self.interval_us
    }

    /// Microseconds that a whole burst covers: the furthest the state can be ahead of the time.
    pub fn capacity_us(&self) -> i64 {
        i64::from(self.burst).saturating_mul(self.interval_us)
    }

    /// Decides on a request that comes at `now`. No state is the state of one who never came.
    pub fn check(&self, tat: Option<Tat>, now: Timestamp) -> GcraDecision {
        let now_us = now.as_millis().saturating_mul(MILLI_US);
        // A state from before was used up long ago. One beyond the capacity comes of a clock that was set back or of a
        // larger limit that was in force before; it must not lock anybody out for longer than an empty burst does.
        let full_us = now_us.saturating_add(self.capacity_us());
        let tat_us = tat.map_or(now_us, |tat| tat.0.clamp(now_us, full_us));

        let after_us = tat_us.saturating_add(self.interval_us);
        let early_us = after_us.saturating_sub(full_us);
        if early_us > 0 {
            return self.decision(false, tat_us, now_us, full_us, early_us);
        }
        self.decision(true, after_us, now_us, full_us, 0)
    }

    /// Returns what the headers tell of a decision: the burst can be used up, and comes back within `window_s`.
    pub fn limit_state(&self, policy: &'static str, decision: &GcraDecision) -> LimitState {
        LimitState {
            policy,
            limit: u64::from(self.burst),
            window_s: seconds_at_least_one(millis_up(self.capacity_us())),
            remaining: decision.remaining,
            reset_s: seconds_at_least_one(decision.reset_ms),
        }
    }

    fn decision(&self, allowed: bool, tat_us: i64, now_us: i64, full_us: i64, early_us: i64) -> GcraDecision {
        let left = full_us.saturating_sub(tat_us) / self.interval_us;
        GcraDecision {
            allowed,
            tat: Tat(tat_us),
            remaining: u64::try_from(left).unwrap_or(0),
            retry_after_ms: millis_up(early_us),
            reset_ms: millis_up(tat_us.saturating_sub(now_us)),
        }
    }
}

/// Whole milliseconds that cover so many microseconds; 0 for negative ones.
fn millis_up(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).div_ceil(MILLI_US.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    /// Runs requests at these offsets and tells which were allowed.
    fn run(gcra: &Gcra, offsets: &[i64]) -> Vec<bool> {
        let mut tat = None;
        let decide = |&offset: &i64| {
            let decision = gcra.check(tat, START.plus_millis(offset));
            tat = Some(decision.tat);
            decision.allowed
        };
        offsets.iter().map(decide).collect()
    }

    #[rstest]
    #[case::one_by_one(10, 1_000, 1, &[0, 0, 99, 100, 199, 200], &[true, false, false, true, false, true])]
    #[case::a_burst(10, 1_000, 3, &[0, 0, 0, 0, 100, 100], &[true, true, true, false, true, false])]
    #[case::a_burst_comes_back(10, 1_000, 2, &[0, 0, 0, 5_000, 5_000, 5_000], &[true, true, false, true, true, false])]
    #[case::thirds_are_rounded_up(3, 1_000, 1, &[0, 333, 334, 667, 668], &[true, false, true, false, true])]
    #[case::zeros_count_as_one(0, 0, 0, &[0, 0, 1], &[true, false, true])]
    fn requests_are_spaced(
        #[case] limit: u32,
        #[case] window_ms: u32,
        #[case] burst: u32,
        #[case] offsets: &[i64],
        #[case] allowed: &[bool],
    ) {
        assert_eq!(run(&Gcra::new(limit, window_ms, burst), offsets), allowed);
    }

    #[test]
    fn headers_have_remaining_count() {
        let gcra = Gcra::new(10, 1_000, 2);
        let first = gcra.check(None, START);
        assert_eq!((first.remaining, first.retry_after_ms, first.reset_ms), (1, 0, 100));
        let second = gcra.check(Some(first.tat), START);
        assert_eq!((second.remaining, second.retry_after_ms, second.reset_ms), (0, 0, 200));
        let third = gcra.check(Some(second.tat), START.plus_millis(1));
        assert_eq!(
            (third.allowed, third.remaining, third.retry_after_ms, third.reset_ms),
            (false, 0, 99, 199)
        );
        assert_eq!(third.tat, second.tat);
        assert_eq!(
            gcra.limit_state("user", &third),
            LimitState { policy: "user", limit: 2, window_s: 1, remaining: 0, reset_s: 1 }
        );
    }

    #[test]
    fn state_from_future_denies_at_most_as_empty_burst() {
        let gcra = Gcra::new(10, 1_000, 2);
        let decision = gcra.check(Some(Tat::from_micros(i64::MAX)), START);
        assert_eq!((decision.allowed, decision.retry_after_ms), (false, 100));
        assert!(gcra.check(Some(decision.tat), START.plus_millis(100)).allowed);
    }

    proptest! {
        #[test]
        fn span_allows_at_most_burst_and_rate(
            limit in 1u32..50, window_ms in 1u32..5_000, burst in 1u32..20,
            gaps in prop::collection::vec(0i64..400, 1..120),
        ) {
            let gcra = Gcra::new(limit, window_ms, burst);
            let offsets: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let allowed = run(&gcra, &offsets);
            let times: Vec<i64> = offsets.iter().zip(allowed).filter_map(|(at, ok)| ok.then_some(*at)).collect();
            for (first, from) in times.iter().enumerate() {
                for (last, to) in times.iter().enumerate().skip(first) {
                    let count = i64::try_from(last - first + 1).unwrap();
                    // count <= burst + limit * span / window, in whole numbers
                    let (window, limit, burst) = (i64::from(window_ms), i64::from(limit), i64::from(burst));
                    prop_assert!(count * window <= burst * window + limit * (to - from));
                }
            }
        }

        #[test]
        fn retry_after_is_exact(
            limit in 1u32..1_000, window_ms in 1u32..100_000, burst in 1u32..20,
            gaps in prop::collection::vec(0i64..50, 1..60),
        ) {
            let gcra = Gcra::new(limit, window_ms, burst);
            let (mut tat, mut now) = (None, START);
            for gap in gaps {
                now = now.plus_millis(gap);
                let decision = gcra.check(tat, now);
                prop_assert_eq!(decision.allowed, decision.retry_after_ms == 0);
                if !decision.allowed {
                    let retry = i64::try_from(decision.retry_after_ms).unwrap();
                    prop_assert!(!gcra.check(Some(decision.tat), now.plus_millis(retry - 1)).allowed);
                    prop_assert!(gcra.check(Some(decision.tat), now.plus_millis(retry)).allowed);
                }
                tat = Some(decision.tat);
            }
        }

        #[test]
        fn exactly_as_many_as_remain_are_allowed_at_once(
            limit in 1u32..1_000, window_ms in 1u32..100_000, burst in 1u32..20, used in 0usize..25, later in 0i64..1_000,
        ) {
            let gcra = Gcra::new(limit, window_ms, burst);
            let mut tat = None;
            for _ in 0..used {
                tat = Some(gcra.check(tat, START).tat);
            }
            let now = START.plus_millis(later);
            let first = gcra.check(tat, now);
            let (mut tat, mut more) = (first.tat, 0);
            loop {
                let next = gcra.check(Some(tat), now);
                if !next.allowed { break; }
                (tat, more) = (next.tat, more + 1);
            }
            prop_assert_eq!(more, first.remaining);
            let reset = i64::try_from(first.reset_ms).unwrap();
            let fresh = gcra.check(Some(first.tat), now.plus_millis(reset));
            prop_assert_eq!(fresh.remaining, u64::from(burst) - 1);
        }

        #[test]
        fn extreme_values_do_not_overflow(tat: i64, now: i64, limit: u32, window_ms: u32, burst: u32) {
            let gcra = Gcra::new(limit, window_ms, burst);
            let decision = gcra.check(Some(Tat::from_micros(tat)), Timestamp::from_millis(now));
            prop_assert!(decision.remaining <= u64::from(burst.max(1)));
        }
    }
}
