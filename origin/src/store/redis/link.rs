//! One connection for as long as it is trusted.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::connection::Connection;

/// For how long a connection may go without a quick answer while it is asked: longer than a machine that is busy for a
/// moment needs, and no request that comes later waits again and again.
const SLOW_FOR: Duration = Duration::from_millis(250);

/// A connection, and what is known of it.
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) made_at: Instant,
    pace: Mutex<Pace>,
    is_given_up: AtomicBool,
    given_up: Notify,
}

impl Link {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            made_at: Instant::now(),
            pace: Mutex::default(),
            is_given_up: AtomicBool::new(false),
            given_up: Notify::new(),
        }
    }

    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        self.given_up.notify_waiters();
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Acquire)
    }

    pub(super) async fn wait_given_up(&self) {
        // It hears of what happens from here on, so nothing is missed between the look and the wait.
        let given_up = self.given_up.notified();
        if !self.is_given_up() {
            given_up.await;
        }
    }

    /// Notes that what was asked then is answered now. Returns whether it answers too slowly to go on with.
    pub(super) fn is_too_slow(&self, asked_at: Instant, quick: Duration) -> bool {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.is_too_slow(asked_at, Instant::now(), quick)
    }
}

/// How quickly a connection answers: not at all, where of all answers for [`SLOW_FOR`] none was quick.
#[derive(Debug, Default)]
struct Pace {
    slow_since: Option<Instant>,
}

impl Pace {
    fn is_too_slow(&mut self, asked_at: Instant, answered_at: Instant, quick: Duration) -> bool {
        if answered_at.duration_since(asked_at) <= quick {
            self.slow_since = None;
            return false;
        }
        let slow_since = *self.slow_since.get_or_insert(asked_at);
        answered_at.duration_since(slow_since) >= SLOW_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(25);

    #[tokio::test]
    async fn one_is_too_slow_that_is_slow_for_long() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut is_too_slow = |asked_ms, answered_ms| {
            let at = |millis| start + Duration::from_millis(millis);
            pace.is_too_slow(at(asked_ms), at(answered_ms), QUICK)
        };
        // Many that were slow together are one moment.
        for _ in 0..50 {
            assert!(!is_too_slow(0, 70));
        }
        assert!(!is_too_slow(100, 170));
        assert!(!is_too_slow(200, 225), "a quick one");
        assert!(!is_too_slow(230, 300));
        assert!(!is_too_slow(300, 370));
        assert!(!is_too_slow(400, 470));
        assert!(is_too_slow(410, 480));
        // Also when little is asked.
        assert!(!is_too_slow(1_000, 1_010));
        assert!(!is_too_slow(2_000, 2_070));
        assert!(is_too_slow(9_000, 9_070));
    }
}
