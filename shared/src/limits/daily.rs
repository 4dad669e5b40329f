//! Messages of a day (UTC) against what a plan allows.

use super::seconds_at_least_one;
use crate::{
    api::error::LimitState,
    time::{DAY_MS, SECOND_MS, Timestamp},
};

/// The name of the limit in headers.
pub const POLICY: &str = "daily";

/// The number of messages that a user sent on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyCount {
    /// Midnight UTC, when the day began.
    pub day: Timestamp,
    /// Messages since then.
    pub used: u64,
}

/// The decision about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyDecision {
    /// True when it may be sent.
    pub allowed: bool,
    /// The new count; a message that is denied is not counted.
    pub count: DailyCount,
    /// The number of messages that may still be sent today; `None` without a limit.
    pub remaining: Option<u64>,
}

impl DailyCount {
    /// The count that holds at `now`: the one from before, or a new one when its day is over.
    ///
    /// A count of the next day is kept, so that a clock set back over midnight gives nothing away; one from further ahead
    /// comes of a wrong clock and is dropped.
    #[must_use]
    pub fn at(before: Option<Self>, now: Timestamp) -> Self {
        let today = now.start_of_day();
        before
            .filter(|count| today <= count.day && count.day <= Self::last_day(now))
            .unwrap_or(Self { day: today, used: 0 })
    }

    /// The last day whose count may hold at `now`.
    pub const fn last_day(now: Timestamp) -> Timestamp {
        now.start_of_day().plus_millis(DAY_MS)
    }

    /// Decides on one more message; without a limit it is always allowed and still counted.
    pub fn admit(self, limit: Option<u64>) -> DailyDecision {
        let allowed = limit.is_none_or(|limit| self.used < limit);
        let count = Self { used: self.used.saturating_add(u64::from(allowed)), ..self };
        DailyDecision { allowed, count, remaining: limit.map(|limit| limit.saturating_sub(count.used)) }
    }

    /// The count with messages that are not in it yet: admitted, and not begun.
    #[must_use]
    pub const fn with(self, waiting: u64) -> Self {
        Self { used: self.used.saturating_add(waiting), ..self }
    }

    /// Returns the time at which the count starts anew.
    pub const fn resets_at(self) -> Timestamp {
        self.day.plus_millis(DAY_MS)
    }

    /// Returns what the headers tell of a limit.
    pub fn limit_state(self, limit: u64, now: Timestamp) -> LimitState {
        let reset_ms = u64::try_from(self.resets_at().millis_since(now)).unwrap_or(0);
        LimitState {
            policy: POLICY,
            limit,
            window_s: (DAY_MS / SECOND_MS).unsigned_abs(),
            remaining: limit.saturating_sub(self.used),
            reset_s: seconds_at_least_one(reset_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// 2026-11-21T23:59:58.500Z.
    const LATE: Timestamp = Timestamp::from_millis(1_795_305_598_500);

    #[test]
    fn count_after_midnight_starts_anew() {
        let count = DailyCount::at(None, LATE);
        let first = count.admit(Some(1));
        assert_eq!((first.allowed, first.remaining), (true, Some(0)));
        let second = DailyCount::at(Some(first.count), LATE.plus_millis(1_499)).admit(Some(1));
        assert_eq!((second.allowed, second.count), (false, first.count));
        let third = DailyCount::at(Some(second.count), LATE.plus_millis(1_500)).admit(Some(1));
        assert_eq!((third.allowed, third.count.used), (true, 1));
        assert_eq!(third.count.day, first.count.resets_at());
        assert_eq!(first.count.resets_at().to_string(), "2026-11-22T00:00:00.000Z");
    }

    #[test]
    fn headers_have_time_of_reset() {
        let count = DailyCount::at(None, LATE).admit(Some(5)).count;
        assert_eq!(
            count.limit_state(5, LATE),
            LimitState { policy: "daily", limit: 5, window_s: 86_400, remaining: 4, reset_s: 2 }
        );
        assert_eq!(count.limit_state(5, count.resets_at()).reset_s, 1);
    }

    #[rstest]
    #[case::set_back_over_midnight(-DAY_MS, 3)]
    #[case::same_day(0, 3)]
    #[case::next_day(DAY_MS, 0)]
    #[case::set_back_by_days(-2 * DAY_MS, 0)]
    fn only_a_day_that_is_over_or_impossible_is_dropped(#[case] shift: i64, #[case] used: u64) {
        let count = DailyCount { day: LATE.start_of_day(), used: 3 };
        assert_eq!(DailyCount::at(Some(count), LATE.plus_millis(shift)).used, used);
    }

    #[test]
    fn waiting_turns_are_counted() {
        let count = DailyCount { day: LATE.start_of_day(), used: 3 };
        assert!(!count.with(1).admit(Some(4)).allowed);
        assert!(count.with(0).admit(Some(4)).allowed);
        assert_eq!(count.with(u64::MAX).used, u64::MAX);
    }

    proptest! {
        #[test]
        fn exactly_the_limit_is_allowed_in_a_day(limit in prop::option::of(0u64..20), messages in 0u64..40, millis in 0..DAY_MS) {
            let now = Timestamp::from_millis(LATE.start_of_day().as_millis() + millis);
            let (mut count, mut allowed) = (None, 0);
            for _ in 0..messages {
                let decision = DailyCount::at(count, now).admit(limit);
                allowed += u64::from(decision.allowed);
                prop_assert_eq!(decision.count.used, allowed);
                prop_assert_eq!(decision.remaining, limit.map(|limit| limit - allowed));
                count = Some(decision.count);
            }
            prop_assert_eq!(allowed, limit.map_or(messages, |limit| limit.min(messages)));
        }
    }
}
