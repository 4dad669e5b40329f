//! The pace at which a running turn sends text, stores its events and keeps its readers' connections open.
//!
//! A model sends a few letters at a time, and each event costs a write, a wake-up of the phone's radio and a redraw: the first
//! text is sent at once, then at most one event per flush interval, with all text since.

use crate::time::{SECOND_MS, Timestamp};

/// The time between two checkpoints, in milliseconds.
const CHECKPOINT_MS: i64 = SECOND_MS;

/// The pace of a running turn.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    flush_ms: i64,
    ping_ms: i64,
    flushed_at: Option<Timestamp>,
    written_at: Timestamp,
    stored_at: Timestamp,
}

/// The actions that are due in a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Send the pending text as an event.
    pub flush: bool,
    /// Store the unsaved events.
    pub checkpoint: bool,
    /// Send a comment to the readers: output that is not sent to them, such as a model's thoughts, keeps no connection open.
    pub ping: bool,
}

impl Pace {
    /// Starts the pace of a turn that begins now. `flush_ms` is the least time between two deltas (0: none), `ping_ms` the most
    /// time without a byte for the readers.
    pub const fn new(now: Timestamp, flush_ms: i64, ping_ms: i64) -> Self {
        Self { flush_ms, ping_ms, flushed_at: None, written_at: now, stored_at: now }
    }

    /// Returns the actions that are due, and records them as done.
    pub fn take_due(&mut self, now: Timestamp, has_words: bool) -> Due {
        let flush = has_words && self.flush_at(now) <= now;
        if flush {
            (self.flushed_at, self.written_at) = (Some(now), now);
        }
        let ping = now.millis_since(self.written_at) >= self.ping_ms;
        if ping {
            self.written_at = now;
        }
        let checkpoint = now.millis_since(self.stored_at) >= CHECKPOINT_MS;
        if checkpoint {
            self.stored_at = now;
        }
        Due { flush, checkpoint, ping }
    }

    /// Returns the milliseconds until pending text may be sent, at least 1.
    pub fn flush_wait_ms(&self, now: Timestamp) -> u64 {
        u64::try_from(self.flush_at(now).millis_since(now)).unwrap_or(0).max(1)
    }

    /// Returns the time at which pending text may be sent. After a clock that was set back it waits no longer than an
    /// interval.
    fn flush_at(&self, now: Timestamp) -> Timestamp {
        self.flushed_at.map_or(now, |at| at.min(now).plus_millis(self.flush_ms))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEGAN: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    const fn after(millis: i64) -> Timestamp {
        BEGAN.plus_millis(millis)
    }

    #[test]
    fn first_text_is_sent_at_once_and_next_after_interval() {
        let mut pace = Pace::new(BEGAN, 33, 8_000);
        assert!(!pace.take_due(after(5), false).flush);
        assert!(pace.take_due(after(10), true).flush);
        assert!(!pace.take_due(after(11), true).flush);
        assert_eq!(pace.flush_wait_ms(after(11)), 32);
        assert!(!pace.take_due(after(42), true).flush);
        assert!(pace.take_due(after(43), true).flush);
    }

    #[test]
    fn text_without_interval_is_sent_at_once() {
        let mut pace = Pace::new(BEGAN, 0, 8_000);
        assert!(pace.take_due(after(1), true).flush);
        assert!(pace.take_due(after(1), true).flush);
    }

    #[test]
    fn silence_is_pinged_and_text_postpones_ping() {
        let mut pace = Pace::new(BEGAN, 33, 8_000);
        assert!(!pace.take_due(after(7_999), false).ping);
        assert_eq!(pace.take_due(after(8_000), true), Due { flush: true, checkpoint: false, ping: false });
        assert!(!pace.take_due(after(15_999), false).ping);
        assert!(pace.take_due(after(16_000), false).ping);
        assert!(!pace.take_due(after(16_001), false).ping);
    }

    #[test]
    fn clock_set_back_delays_no_text() {
        let mut pace = Pace::new(after(10_000), 33, 8_000);
        assert!(pace.take_due(after(10_000), true).flush);
        assert!(pace.flush_wait_ms(after(0)) <= 33);
    }

    proptest! {
        #[test]
        fn events_are_an_interval_apart_and_text_waits_no_longer(
            times in prop::collection::vec(0i64..200, 1..40), flush_ms in 1i64..100,
        ) {
            let mut pace = Pace::new(BEGAN, flush_ms, 8_000);
            let (mut now, mut last) = (0, None);
            for step in times {
                // A caller that wakes up in time flushes in time.
                now += step.min(i64::try_from(pace.flush_wait_ms(after(now))).unwrap());
                if pace.take_due(after(now), true).flush {
                    if let Some(last) = last {
                        prop_assert!(now - last >= flush_ms);
                    }
                    last = Some(now);
                }
                prop_assert!(last.is_some_and(|last| now - last <= flush_ms), "the first text is sent at once");
            }
        }

        #[test]
        fn text_after_flush_wait_is_flushed(before in 0i64..20_000, flush_ms in 0i64..100, has_words: bool) {
            let mut pace = Pace::new(BEGAN, flush_ms, 8_000);
            pace.take_due(after(before), has_words);
            let wait_ms = i64::try_from(pace.flush_wait_ms(after(before))).unwrap();
            prop_assert!(pace.take_due(after(before + wait_ms), true).flush);
        }

        #[test]
        fn ticks_of_one_second_store_and_ping_at_most_one_second_late(
            first in 0i64..1_000, count in 1i64..30, ping_ms in 1_000i64..10_000,
        ) {
            let mut pace = Pace::new(BEGAN, 33, ping_ms);
            let (mut stored, mut pinged) = (0, 0);
            for tick in (0..count).map(|tick| first + tick * 1_000) {
                let due = pace.take_due(after(tick), false);
                stored = if due.checkpoint { tick } else { stored };
                pinged = if due.ping { tick } else { pinged };
                prop_assert!(tick - stored < 2 * CHECKPOINT_MS && tick - pinged < ping_ms + 1_000);
            }
        }
    }
}
