//! Time and randomness as arguments: the two traits, and the system's implementations, which `main` wires in once.

use std::time::Duration;

use shared::{
    id::{Id, RANDOM_BYTES},
    time::Timestamp,
};

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Returns the time of day, for everything that is stored or compared with stored times.
    fn now(&self) -> Timestamp;

    /// Returns the monotonic time since a fixed moment, for durations.
    fn elapsed(&self) -> Duration;
}

/// A source of randomness fit for keys and tokens.
pub trait Random: Send + Sync + 'static {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// Returns a new id of this time.
    fn id(&self, now: Timestamp) -> Id {
        let mut random = [0; RANDOM_BYTES];
        self.fill(&mut random);
        Id::new(now, random)
    }
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

/// The system's randomness.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            // Without randomness every token would be guessable: the process must end.
            tracing::error!(%error, "the system gives no randomness");
            std::process::abort();
        }
    }
}
