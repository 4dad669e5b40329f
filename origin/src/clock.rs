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
