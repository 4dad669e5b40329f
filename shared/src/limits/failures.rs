//! Failed attempts and the growing delay that they cost: some are free, each further one doubles the time until the next attempt,
//! and one is forgiven in every interval.
//!
//! Whoever keeps failing ends at about one attempt an interval, so a delay is never a lock-out, and the attempts of any span of time
//! are bounded.

use super::seconds_at_least_one;
use crate::{api::error::LimitState, time::Timestamp};

/// A rule for failed attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureDelay {
    free: u32,
    first_ms: u32,
    longest_ms: u32,
    forgiven_ms: u32,
}

/// The failures that are not forgiven yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureState {
    /// The time at which all of them are forgiven.
    pub forgiven_at: Timestamp,
    /// The time of the next attempt.
    pub next_at: Timestamp,
}

/// The decision about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureDecision {
    /// True when it may be made.
    pub allowed: bool,
    /// The new state; a denied attempt counts nothing.
    pub state: FailureState,
    /// The number of failures that are still free.
    pub remaining: u64,
    /// Milliseconds until the next attempt may be made; 0 when this one was allowed.
    pub retry_after_ms: u64,
}

impl FailureDelay {
    /// Makes a rule: `free` failures cost nothing, the next one costs `first_ms` milliseconds, each further one twice as much as the
    /// one before, at most `longest_ms`; one is forgiven every `forgiven_ms`. A time of zero counts as one millisecond.
    pub const fn new(free: u32, first_ms: u32, longest_ms: u32, forgiven_ms: u32) -> Self {
        const fn at_least_one(millis: u32) -> u32 {
            if millis == 0 { 1 } else { millis }
        }
        Self {
            free,
            first_ms: at_least_one(first_ms),
            longest_ms: at_least_one(longest_ms),
            forgiven_ms: at_least_one(forgiven_ms),
        }
    }

    /// Returns the number of failures that cost nothing.
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// Milliseconds that the first failure costs that is not free.
    pub const fn first_ms(&self) -> u32 {
        self.first_ms
    }

    /// Milliseconds that any failure costs at most.
    pub const fn longest_ms(&self) -> u32 {
        self.longest_ms
    }

    /// Milliseconds in which one failure is forgiven.
    pub const fn forgiven_ms(&self) -> u32 {
        self.forgiven_ms
    }

    /// Returns the most failures that are remembered: one more than cost the longest delay.
    pub fn most(&self) -> u32 {
        let ratio = self.longest_ms.div_ceil(self.first_ms);
        self.free.saturating_add(u32::BITS - ratio.leading_zeros()).saturating_add(1)
    }

    /// Decides on an attempt at `now`, and counts it as one that fails if it may be made.
    pub fn count(&self, state: Option<FailureState>, now: Timestamp) -> FailureDecision {
        let before = self.known(state, now);
        if before.next_at > now {
            return self.decision(false, before, now);
        }
        let most_at = now.plus_millis(i64::from(self.most()).saturating_mul(self.forgiven_ms.into()));
        let forgiven_at = before.forgiven_at.plus_millis(self.forgiven_ms.into()).min(most_at);
        let delay_ms = self.delay_ms(self.level(forgiven_at, now));
        self.decision(true, FailureState { forgiven_at, next_at: now.plus_millis(delay_ms.into()) }, now)
    }

    /// Decides on an attempt at `now` and counts nothing.
    pub fn check(&self, state: Option<FailureState>, now: Timestamp) -> FailureDecision {
        let known = self.known(state, now);
        self.decision(known.next_at <= now, known, now)
    }

    /// Undoes one attempt that did not fail, and its delay, if no later attempt set another one: `counted` is the state that
    /// counting it returned. Returns the state without it; `None` when no failure is left.
    pub fn undo(&self, state: FailureState, counted: FailureState, now: Timestamp) -> Option<FailureState> {
        let forgiven_at = state.forgiven_at.plus_millis(-i64::from(self.forgiven_ms));
        let next_at = if state.next_at == counted.next_at { now } else { state.next_at };
        (forgiven_at > now).then_some(FailureState { forgiven_at, next_at })
    }

    /// Returns what the headers tell of a decision: the free failures, and the time in which as many are forgiven.
    pub fn limit_state(&self, policy: &'static str, decision: &FailureDecision) -> LimitState {
        LimitState {
            policy,
            limit: self.free.into(),
            window_s: seconds_at_least_one(u64::from(self.free).saturating_mul(self.forgiven_ms.into())),
            remaining: decision.remaining,
            reset_s: seconds_at_least_one(decision.retry_after_ms),
        }
    }

    /// A state that lies too far ahead comes of a clock that was set back or of a stricter rule that was in force before.
    fn known(&self, state: Option<FailureState>, now: Timestamp) -> FailureState {
        let state = state.unwrap_or(FailureState { forgiven_at: now, next_at: now });
        let most_at = now.plus_millis(i64::from(self.most()).saturating_mul(self.forgiven_ms.into()));
        FailureState {
            forgiven_at: state.forgiven_at.max(now).min(most_at),
            next_at: state.next_at.min(now.plus_millis(self.longest_ms.into())),
        }
    }

    /// Returns the number of failures that are not forgiven by `now`.
    fn level(&self, forgiven_at: Timestamp, now: Timestamp) -> u64 {
        u64::try_from(forgiven_at.millis_since(now)).unwrap_or(0).div_ceil(self.forgiven_ms.into())
    }

    /// Returns the milliseconds from a failure to the next attempt, when it is the one of this number.
    fn delay_ms(&self, level: u64) -> u32 {
        let Some(doublings) = level.checked_sub(u64::from(self.free) + 1) else { return 0 };
        let factor = u32::try_from(doublings).ok().and_then(|doublings| 1_u32.checked_shl(doublings));
        factor
            .and_then(|factor| self.first_ms.checked_mul(factor))
            .map_or(self.longest_ms, |delay_ms| delay_ms.min(self.longest_ms))
    }

    fn decision(&self, allowed: bool, state: FailureState, now: Timestamp) -> FailureDecision {
        let wait_ms = u64::try_from(state.next_at.millis_since(now)).unwrap_or(0);
        FailureDecision {
            allowed,
            state,
            remaining: u64::from(self.free).saturating_sub(self.level(state.forgiven_at, now)),
            retry_after_ms: if allowed { 0 } else { wait_ms },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_000);
    const HOUR_MS: u32 = 3_600_000;
    const DAY_MS: i64 = 24 * 3_600_000;
    const RULE: FailureDelay = FailureDelay::new(3, 1_000, HOUR_MS, HOUR_MS);

    /// Makes every attempt as soon as it may be made, and returns the offsets.
    fn greedy(rule: FailureDelay, span_ms: i64) -> Vec<i64> {
        let (mut state, mut offset, mut made) = (None, 0, Vec::new());
        while offset < span_ms {
            let decision = rule.count(state, START.plus_millis(offset));
            if decision.allowed {
                made.push(offset);
            }
            state = Some(decision.state);
            offset = offset.max(decision.state.next_at.millis_since(START));
        }
        made
    }

    #[test]
    fn delay_doubles_after_free_failures() {
        let made = greedy(RULE, 20_000);
        assert_eq!(made, [0, 0, 0, 0, 1_000, 3_000, 7_000, 15_000]);
    }

    #[test]
    fn denied_attempt_counts_nothing_and_tells_rest_of_delay() {
        let mut state = None;
        for _ in 0..5 {
            state = Some(RULE.count(state, START).state);
        }
        let denied = RULE.count(state, START.plus_millis(400));
        assert_eq!((denied.allowed, denied.retry_after_ms, denied.remaining), (false, 600, 0));
        assert_eq!(Some(denied.state), state);
        assert_eq!(RULE.check(state, START.plus_millis(400)), denied);
        let limit = RULE.limit_state("failures", &denied);
        assert_eq!((limit.limit, limit.window_s, limit.remaining, limit.reset_s), (3, 10_800, 0, 1));
        assert!(RULE.count(state, START.plus_millis(1_000)).allowed);
    }

    #[test]
    fn failures_are_forgiven_one_by_one() {
        let mut state = None;
        for _ in 0..3 {
            state = Some(RULE.count(state, START).state);
        }
        for (hours, remaining) in [(0, 0), (1, 1), (2, 2), (3, 3), (9, 3)] {
            let now = START.plus_millis(i64::from(HOUR_MS) * hours);
            assert_eq!(RULE.check(state, now).remaining, remaining, "after {hours} h");
        }
    }

    #[test]
    fn undone_attempt_leaves_no_trace() {
        let first = RULE.count(None, START).state;
        assert_eq!(RULE.undo(first, first, START), None);
        let mut failed = first;
        for _ in 0..2 {
            failed = RULE.count(Some(failed), START).state;
        }
        let right = RULE.count(Some(failed), START.plus_millis(5)).state;
        assert_eq!(right.next_at, START.plus_millis(1_005));
        let undone = RULE.undo(right, right, START.plus_millis(50)).unwrap();
        assert_eq!((undone.forgiven_at, undone.next_at), (failed.forgiven_at, START.plus_millis(50)));
        // The delay of a later failure stays.
        let later = RULE.count(Some(right), START.plus_millis(1_005)).state;
        assert_eq!(RULE.undo(later, right, START.plus_millis(1_005)).unwrap().next_at, later.next_at);
    }

    #[test]
    fn state_from_future_delays_at_most_as_longest() {
        let far = Timestamp::from_millis(i64::MAX);
        let decision = RULE.count(Some(FailureState { forgiven_at: far, next_at: far }), START);
        assert_eq!((decision.allowed, decision.retry_after_ms), (false, u64::from(HOUR_MS)));
        let most_ms = i64::from(RULE.most()) * i64::from(HOUR_MS);
        assert_eq!(decision.state.forgiven_at, START.plus_millis(most_ms));
    }

    proptest! {
        /// However attempts are spread, a day has no more than the free ones, those while the delay grows to the interval, and one an
        /// interval.
        #[test]
        fn attempts_of_a_day_are_bounded(
            free in 0u32..12, gaps in prop::collection::vec(prop_oneof![0i64..3, 0i64..5_000, 0i64..4_000_000, 0i64..DAY_MS], 1..300),
        ) {
            let rule = FailureDelay::new(free, 1_000, HOUR_MS, HOUR_MS);
            let (mut state, mut now, mut made) = (None, 0, Vec::new());
            for gap in gaps {
                now += gap;
                let decision = rule.count(state, START.plus_millis(now));
                state = Some(decision.state);
                if decision.allowed { made.push(now); }
            }
            for (index, from) in made.iter().enumerate() {
                let in_day = made.iter().skip(index).take_while(|at| **at < from + DAY_MS).count();
                prop_assert!(in_day <= usize::try_from(free + 13 + 24).unwrap(), "{in_day}");
            }
        }

        #[test]
        fn retry_after_is_exact_and_bounded(
            free in 0u32..5, first_ms in 1u32..5_000, longest_ms in 1u32..1_000_000, forgiven_ms in 1u32..1_000_000,
            gaps in prop::collection::vec(0i64..20_000, 1..80),
        ) {
            let rule = FailureDelay::new(free, first_ms, longest_ms, forgiven_ms);
            let (mut state, mut now) = (None, START);
            for gap in gaps {
                now = now.plus_millis(gap);
                let decision = rule.count(state, now);
                prop_assert_eq!(rule.check(state, now).allowed, decision.allowed);
                prop_assert!(decision.retry_after_ms <= u64::from(longest_ms));
                prop_assert_eq!(decision.allowed, decision.retry_after_ms == 0);
                if !decision.allowed {
                    let retry = i64::try_from(decision.retry_after_ms).unwrap();
                    prop_assert!(!rule.check(Some(decision.state), now.plus_millis(retry - 1)).allowed);
                    prop_assert!(rule.check(Some(decision.state), now.plus_millis(retry)).allowed);
                }
                state = Some(decision.state);
            }
        }

        /// Attempts that succeed cost nobody anything.
        #[test]
        fn undone_attempts_never_delay(gaps in prop::collection::vec(0i64..1_000, 1..60)) {
            let (mut state, mut now) = (None, START);
            for gap in gaps {
                now = now.plus_millis(gap);
                let decision = RULE.count(state, now);
                prop_assert!(decision.allowed);
                state = RULE.undo(decision.state, decision.state, now);
            }
        }

        #[test]
        fn extreme_values_do_not_overflow(
            forgiven_at: i64, next_at: i64, now: i64, free: u32, first_ms: u32, longest_ms: u32, forgiven_ms: u32,
        ) {
            let rule = FailureDelay::new(free, first_ms, longest_ms, forgiven_ms);
            let [forgiven_at, next_at, now] = [forgiven_at, next_at, now].map(Timestamp::from_millis);
            let state = FailureState { forgiven_at, next_at };
            let decision = rule.count(Some(state), now);
            prop_assert!(decision.remaining <= u64::from(free));
            let _ = rule.undo(state, decision.state, now);
        }
    }
}
