//! Exactly N requests in a window that starts with the first of them.

use super::seconds_at_least_one;
use crate::{api::error::LimitState, time::Timestamp};

/// `limit` requests in a window of `window_ms` milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedWindow {
    limit: u32,
    window_ms: u32,
}

/// A window that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowState {
    /// The time of its first request.
    pub started_at: Timestamp,
    /// The number of requests that were allowed in it.
    pub count: u32,
}

/// The decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowDecision {
    /// True when it may run.
    pub allowed: bool,
    /// The new state; a request that is denied does not change an open window.
    pub state: WindowState,
    /// The number of requests that may still come in this window.
    pub remaining: u64,
    /// Seconds until the window closes, rounded up, at least 1.
    pub reset_s: u64,
}

impl FixedWindow {
    /// A limit of zero denies everything; a window of zero counts as one millisecond.
    pub const fn new(limit: u32, window_ms: u32) -> Self {
        Self { limit, window_ms: if window_ms == 0 { 1 } else { window_ms } }
    }

    /// Returns the number of requests that a window holds.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Milliseconds from a window's first request to its end, at least one.
    pub const fn window_ms(&self) -> u32 {
        self.window_ms
    }

    /// Decides on a request that comes at `now`. The window is closed from `window_ms` after its first request on.
    pub fn check(&self, state: Option<WindowState>, now: Timestamp) -> WindowDecision {
        let open = state.filter(|state| self.is_open(state.started_at, now));
        let mut state = open.unwrap_or(WindowState { started_at: now, count: 0 });
        let allowed = state.count < self.limit;
        if allowed {
            state.count += 1;
        }
        // A clock that was set back a little must not make the window longer for those who read the header.
        let elapsed_ms = u64::try_from(now.millis_since(state.started_at)).unwrap_or(0);
        WindowDecision {
            allowed,
            state,
            remaining: u64::from(self.limit.saturating_sub(state.count)),
            reset_s: seconds_at_least_one(u64::from(self.window_ms).saturating_sub(elapsed_ms)),
        }
    }

    /// Undoes one that was allowed. Returns the state without it, if the window is still open and holds another.
    pub fn undo_count(&self, state: WindowState, now: Timestamp) -> Option<WindowState> {
        let count = state.count.checked_sub(1).filter(|left| *left > 0)?;
        self.is_open(state.started_at, now).then_some(WindowState { count, ..state })
    }

    /// Returns whether a window that started then is still open. One that starts more than a window ahead of `now` comes of a
    /// clock that was set back, and is not.
    pub fn is_open(&self, started_at: Timestamp, now: Timestamp) -> bool {
        now.millis_since(started_at).unsigned_abs() < u64::from(self.window_ms)
    }

    /// Returns what the headers tell of a decision.
    pub fn limit_state(&self, policy: &'static str, decision: &WindowDecision) -> LimitState {
        LimitState {
            policy,
            limit: u64::from(self.limit),
            window_s: seconds_at_least_one(u64::from(self.window_ms)),
            remaining: decision.remaining,
            reset_s: decision.reset_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    #[test]
    fn window_is_anchored_at_its_first_request() {
        let window = FixedWindow::new(3, 60_000);
        let mut state = None;
        let mut at = |offset| {
            let decision = window.check(state, START.plus_millis(offset));
            state = Some(decision.state);
            (decision.allowed, decision.remaining, decision.reset_s)
        };
        assert_eq!(at(0), (true, 2, 60));
        assert_eq!(at(30_000), (true, 1, 30));
        assert_eq!(at(30_001), (true, 0, 30));
        assert_eq!(at(59_000), (false, 0, 1));
        assert_eq!(at(59_999), (false, 0, 1));
        assert_eq!(at(60_000), (true, 2, 60));
    }

    #[test]
    fn undone_request_is_not_counted() {
        let window = FixedWindow::new(2, 60_000);
        let first = window.check(None, START).state;
        let second = window.check(Some(first), START.plus_millis(1)).state;
        assert_eq!(window.undo_count(second, START.plus_millis(59_999)), Some(first));
        assert_eq!(window.undo_count(second, START.plus_millis(60_000)), None);
        assert_eq!(window.undo_count(first, START), None);
        assert_eq!(window.undo_count(WindowState { count: 0, ..first }, START), None);
    }

    #[test]
    fn limit_of_zero_denies() {
        let decision = FixedWindow::new(0, 1_000).check(None, START);
        assert_eq!((decision.allowed, decision.remaining, decision.reset_s), (false, 0, 1));
    }

    #[test]
    fn clock_set_back_neither_forgets_nor_locks_out() {
        let window = FixedWindow::new(1, 60_000);
        let first = window.check(None, START);
        let a_little = window.check(Some(first.state), START.plus_millis(-500));
        assert_eq!((a_little.allowed, a_little.reset_s), (false, 60));
        assert!(window.check(Some(first.state), START.plus_millis(-60_000)).allowed);
    }

    #[test]
    fn headers_have_remaining_count() {
        let window = FixedWindow::new(2, 1_500);
        let decision = window.check(None, START);
        assert_eq!(
            window.limit_state("ip", &decision),
            LimitState { policy: "ip", limit: 2, window_s: 2, remaining: 1, reset_s: 2 }
        );
    }

    proptest! {
        #[test]
        fn exactly_n_pass_in_a_window(limit in 0u32..20, extra in 1u32..10, window_ms in 1u32..100_000, span in 0.0f64..1.0) {
            let window = FixedWindow::new(limit, window_ms);
            #[expect(clippy::cast_possible_truncation, reason = "a fraction of a u32")]
            let later = (f64::from(window_ms - 1) * span) as i64;
            let (mut state, mut allowed) = (None, 0);
            for request in 0..limit + extra {
                let now = if request == 0 { START } else { START.plus_millis(later) };
                let decision = window.check(state, now);
                allowed += u32::from(decision.allowed);
                prop_assert_eq!(decision.remaining, u64::from(limit - allowed));
                state = Some(decision.state);
            }
            prop_assert_eq!(allowed, limit);
            let again = window.check(state, START.plus_millis(i64::from(window_ms)));
            prop_assert_eq!(again.allowed, limit > 0);
        }

        #[test]
        fn reset_is_first_whole_second_after_window(window_ms in 1u32..100_000, later in 0i64..100_000) {
            let window = FixedWindow::new(1, window_ms);
            let state = window.check(None, START).state;
            let now = START.plus_millis(later % i64::from(window_ms));
            let reset_ms = i64::try_from(window.check(Some(state), now).reset_s * 1_000).unwrap();
            prop_assert!(!window.is_open(START, now.plus_millis(reset_ms)));
            prop_assert!(reset_ms == 1_000 || window.is_open(START, now.plus_millis(reset_ms - 1_000)));
        }

        #[test]
        fn extreme_values_do_not_overflow(started: i64, now: i64, count: u32, limit: u32, window_ms: u32) {
            let state = WindowState { started_at: Timestamp::from_millis(started), count };
            let decision = FixedWindow::new(limit, window_ms).check(Some(state), Timestamp::from_millis(now));
            prop_assert!(decision.reset_s >= 1);
        }
    }
}
