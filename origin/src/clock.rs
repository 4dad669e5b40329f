//! The time as an argument: the trait, and the system's own clock, which `cli` wires in once.

use std::time::Duration;

use shared::time::Timestamp;

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Returns the time of day, for everything that is stored or compared with stored times.
    fn now(&self) -> Timestamp;

    /// Returns the monotonic time since a fixed moment, for durations.
    fn elapsed(&self) -> Duration;
}

/// The system's clock.
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// Creates a clock whose durations count from now.
    #[expect(clippy::disallowed_methods, reason = "the one place that wires the system's clock")]
    pub fn start() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that wires the system's clock")]
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that stands still until a test moves it.
#[cfg(test)]
pub(crate) struct TestClock {
    start: Timestamp,
    advanced_ms: std::sync::atomic::AtomicI64,
}

#[cfg(test)]
impl TestClock {
    pub(crate) fn at(start: Timestamp) -> Self {
        Self { start, advanced_ms: 0.into() }
    }

    pub(crate) fn advance(&self, millis: i64) {
        self.advanced_ms.fetch_add(millis, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(test)]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.start.plus_millis(self.advanced_ms.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now().millis_since(self.start)).unwrap())
    }
}
