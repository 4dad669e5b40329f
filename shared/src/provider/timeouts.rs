//! Bounds on the time that a provider may take for its answer.

use super::ProviderFailure;
use crate::time::{SECOND_MS, Timestamp};

/// The most milliseconds of an answer in all.
const ANSWER_MS: i64 = 600 * SECOND_MS;

/// The most milliseconds for which a peer may keep the connection after the finish reason and the usage have come.
const GRACE_MS: i64 = 1_500;
/// The same when no usage has come yet.
const UNCOUNTED_GRACE_MS: i64 = 10 * SECOND_MS;

/// The bounds that a deployment sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutBounds {
    /// The most milliseconds of a stream to its first byte. A model's thoughts, and comments that keep the connection open, are bytes.
    pub first_byte_ms: i64,
    /// The most milliseconds for which an answer that has begun may be silent.
    pub stall_ms: i64,
}

impl Default for TimeoutBounds {
    fn default() -> Self {
        Self { first_byte_ms: 30 * SECOND_MS, stall_ms: 20 * SECOND_MS }
    }
}

/// The time of a call whose answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderTimeouts {
    /// The time at which the call went out.
    began: Timestamp,
    /// The time of the newest byte of its answer; `None` before the first.
    last_received_at: Option<Timestamp>,
    /// True when the answer comes in pieces, as the model says it. One that comes in one piece has no byte until it is there, so that
    /// its first is bounded by [`ANSWER_MS`] alone.
    streamed: bool,
    bounds: TimeoutBounds,
    /// The time at which the answer counts as whole, whether or not its connection is closed; `None` while the model has
    /// not finished.
    over_at: Option<Timestamp>,
}

impl ProviderTimeouts {
    /// Starts with a call that goes out now.
    pub const fn new(began: Timestamp, streamed: bool, bounds: TimeoutBounds) -> Self {
        Self { began, last_received_at: None, streamed, bounds, over_at: None }
    }

    /// Notes a piece of the answer.
    pub const fn record_bytes(&mut self, now: Timestamp) {
        self.last_received_at = Some(now);
    }

    /// Notes that the model has said why it stopped, and its usage when it is `counted`. What comes afterwards without a word,
    /// again and again or never, puts the end off no further.
    pub const fn record_finish(&mut self, now: Timestamp, counted: bool) {
        let over_at = now.plus_millis(if counted { GRACE_MS } else { UNCOUNTED_GRACE_MS });
        match self.over_at {
            Some(earlier) if earlier.millis_since(over_at) <= 0 => {}
            _ => self.over_at = Some(over_at),
        }
    }

    /// Notes that the model speaks on.
    pub const fn record_words(&mut self) {
        self.over_at = None;
    }

    /// Returns whether the answer is whole, and nobody need wait for the connection to close.
    pub const fn is_over(&self, now: Timestamp) -> bool {
        match self.over_at {
            Some(over_at) => now.millis_since(over_at) >= 0,
            None => false,
        }
    }

    /// Checks whether the answer is worth waiting for.
    ///
    /// # Errors
    /// [`ProviderFailure::Timeout`] when it is not.
    pub const fn check(&self, now: Timestamp) -> Result<(), ProviderFailure> {
        let silent = match self.last_received_at {
            None => self.streamed && now.millis_since(self.began) > self.bounds.first_byte_ms,
            Some(last_received_at) => now.millis_since(last_received_at) > self.bounds.stall_ms,
        };
        if silent || now.millis_since(self.began) > ANSWER_MS {
            return Err(ProviderFailure::Timeout);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const BEGAN: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    const fn after(seconds: i64) -> Timestamp {
        BEGAN.plus_millis(seconds * SECOND_MS)
    }

    #[rstest]
    #[case::a_whole_answer_that_takes_minutes(false, None, 600, true)]
    #[case::a_whole_answer_that_takes_for_ever(false, None, 601, false)]
    #[case::a_whole_answer_that_pauses(false, Some(300), 320, true)]
    #[case::a_whole_answer_that_stalls(false, Some(300), 321, false)]
    #[case::a_stream_that_thinks_first(true, None, 30, true)]
    #[case::a_stream_that_never_begins(true, None, 31, false)]
    #[case::a_stream_that_pauses(true, Some(10), 30, true)]
    #[case::a_stream_that_stalls(true, Some(10), 31, false)]
    #[case::a_stream_that_began_late_and_pauses(true, Some(29), 49, true)]
    #[case::a_stream_that_speaks_on(true, Some(599), 600, true)]
    #[case::a_stream_that_speaks_for_ever(true, Some(601), 601, false)]
    fn call_times_out_where_nothing_more_is_to_be_expected(
        #[case] streamed: bool,
        #[case] heard_s: Option<i64>,
        #[case] now_s: i64,
        #[case] waits: bool,
    ) {
        let mut timeouts = ProviderTimeouts::new(BEGAN, streamed, TimeoutBounds::default());
        if let Some(seconds) = heard_s {
            timeouts.record_bytes(after(seconds));
        }
        let expected = if waits { Ok(()) } else { Err(ProviderFailure::Timeout) };
        assert_eq!(timeouts.check(after(now_s)), expected);
    }

    #[test]
    fn bounds_of_the_deployment_hold() {
        let bounds = TimeoutBounds { first_byte_ms: 60 * SECOND_MS, stall_ms: 2 * SECOND_MS };
        let mut timeouts = ProviderTimeouts::new(BEGAN, true, bounds);
        assert_eq!(timeouts.check(after(60)), Ok(()));
        timeouts.record_bytes(after(60));
        assert_eq!(timeouts.check(after(62)), Ok(()));
        assert_eq!(timeouts.check(after(63)), Err(ProviderFailure::Timeout));
    }

    #[test]
    fn finished_answer_ends_after_grace() {
        let mut timeouts = ProviderTimeouts::new(BEGAN, true, TimeoutBounds::default());
        assert!(!timeouts.is_over(after(100)));
        timeouts.record_finish(after(1), true);
        assert!(!timeouts.is_over(after(2)));
        // Heartbeats that repeat the finish.
        timeouts.record_bytes(after(2));
        timeouts.record_finish(after(2), true);
        assert!(timeouts.is_over(after(3)));
        timeouts.record_words();
        assert!(!timeouts.is_over(after(100)));
    }

    #[test]
    fn finish_without_usage_waits_longer_until_usage_comes() {
        let mut timeouts = ProviderTimeouts::new(BEGAN, true, TimeoutBounds::default());
        timeouts.record_finish(after(1), false);
        assert!(!timeouts.is_over(after(10)));
        assert!(timeouts.is_over(after(11)));
        timeouts.record_finish(after(4), true);
        assert!(timeouts.is_over(after(6)));
    }
}
