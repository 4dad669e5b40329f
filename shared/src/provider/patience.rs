//! How long a provider may take for its answer.

use super::ProviderFailure;
use crate::time::{SECOND_MS, Timestamp};

/// How long an answer may take in all. What comes in one piece is silent until it is there, so this alone bounds it.
const ANSWER_MS: i64 = 600 * SECOND_MS;
/// How long a stream may take to its first byte: models think before they speak, and some tell nothing of it.
const FIRST_MS: i64 = 180 * SECOND_MS;
/// How long a stream that has begun may be silent.
const SILENCE_MS: i64 = 60 * SECOND_MS;

/// A call whose answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// When the call went out.
    pub began: Timestamp,
    /// When the newest byte of its answer came; `None` before the first.
    pub heard: Option<Timestamp>,
    /// Whether the answer comes in pieces, as the model says it.
    pub streamed: bool,
}

impl Patience {
    /// With a call that goes out now.
    pub const fn new(began: Timestamp, streamed: bool) -> Self {
        Self { began, heard: None, streamed }
    }

    /// A piece of the answer came.
    pub const fn hear(&mut self, now: Timestamp) {
        self.heard = Some(now);
    }

    /// Whether the answer is worth waiting for.
    ///
    /// Errors: [`ProviderFailure::Timeout`] when it is over.
    pub const fn check(&self, now: Timestamp) -> Result<(), ProviderFailure> {
        let silent = match self.heard {
            _ if !self.streamed => false,
            None => now.millis_since(self.began) > FIRST_MS,
            Some(heard) => now.millis_since(heard) > SILENCE_MS,
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
    #[case::a_stream_that_thinks_first(true, None, 180, true)]
    #[case::a_stream_that_never_begins(true, None, 181, false)]
    #[case::a_stream_that_pauses(true, Some(10), 70, true)]
    #[case::a_stream_that_falls_silent(true, Some(10), 71, false)]
    #[case::a_stream_that_began_late_and_pauses(true, Some(179), 239, true)]
    #[case::a_stream_that_speaks_on(true, Some(599), 600, true)]
    #[case::a_stream_that_speaks_for_ever(true, Some(601), 601, false)]
    fn patience_ends_where_nothing_more_is_to_be_expected(
        #[case] streamed: bool,
        #[case] heard_s: Option<i64>,
        #[case] now_s: i64,
        #[case] waits: bool,
    ) {
        let mut patience = Patience::new(BEGAN, streamed);
        if let Some(seconds) = heard_s {
            patience.hear(after(seconds));
        }
        let expected = if waits { Ok(()) } else { Err(ProviderFailure::Timeout) };
        assert_eq!(patience.check(after(now_s)), expected);
    }
}
