//! Randomness as an argument: the trait, and the system's own, which `cli` wires in once.

use shared::{
    id::{Id, RANDOM_BYTES},
    time::Timestamp,
};

/// Draws randomness fit for keys and tokens.
pub trait Random: Send + Sync + 'static {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// A new id of this time.
    fn id(&self, now: Timestamp) -> Id {
        let mut random = [0; RANDOM_BYTES];
        self.fill(&mut random);
        Id::new(now, random)
    }
}

/// The system's randomness.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            // Without randomness every token would be guessable. Nothing safe is left to do.
            tracing::error!(%error, "the system gives no randomness");
            std::process::abort();
        }
    }
}
