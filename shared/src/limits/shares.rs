//! A limiter whose figures are fixed, behind a limit that is configured.
//!
//! The platform's rate limiter knows no variables: its limit stands in `wrangler.toml`. To hold any configured limit
//! across isolates with it, a client's requests are spread over as many of its keys as that limit needs.

use super::window::FixedWindow;

/// The fixed limiter: so many requests of one key in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedLimiter {
    /// Requests.
    pub limit: u32,
    /// Milliseconds.
    pub span_ms: u32,
}

impl FixedLimiter {
    /// Returns how many keys the requests of one client are spread over, each in turn, so that the fixed limiter refuses
    /// nothing that `window` allows, wherever its own spans begin; and not more than that takes.
    pub fn shares(self, window: FixedWindow) -> u32 {
        // A span touches so many windows at most, and each may be full.
        let windows = self.span_ms.div_ceil(window.window_ms()).saturating_add(1);
        let of_a_window = (self.limit / windows).max(1);
        window.limit().div_ceil(of_a_window).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::Timestamp;

    const PLATFORM: FixedLimiter = FixedLimiter { limit: 100, span_ms: 60_000 };

    #[test]
    fn shares_grow_with_the_limit() {
        for (limit, window_ms, shares) in
            [(100, 60_000, 2), (5, 60_000, 1), (1_000, 60_000, 20), (100, 3_600_000, 2), (10, 1_000, 10)]
        {
            assert_eq!(
                PLATFORM.shares(FixedWindow::new(limit, window_ms)),
                shares,
                "{limit} in {window_ms} ms"
            );
        }
    }

    proptest! {
        #[test]
        fn requests_that_a_window_allows_pass_the_fixed_limiter(
            limit in 1u32..2_000,
            window_ms in 1_000u32..300_000,
            pauses in prop::collection::vec(0i64..200, 1..3_000),
        ) {
            let window = FixedWindow::new(limit, window_ms);
            let shares = PLATFORM.shares(window);
            let (mut now, mut state) = (Timestamp::from_millis(0), None);
            let mut passed: Vec<Vec<Timestamp>> = vec![Vec::new(); shares as usize];
            for pause in pauses {
                now = now.plus_millis(pause);
                let decision = window.check(state, now);
                state = Some(decision.state);
                if decision.allowed {
                    passed[(decision.state.count % shares) as usize].push(now);
                }
            }
            for times in passed {
                for span in times.windows(PLATFORM.limit as usize + 1) {
                    prop_assert!(span[PLATFORM.limit as usize].millis_since(span[0]) >= 60_000);
                }
            }
        }
    }
}
