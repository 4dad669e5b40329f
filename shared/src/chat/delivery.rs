//! The schedule of deliveries to the origin, and of the alarm that runs them.

use crate::{
    backoff::Backoff,
    time::{DAY_MS, SECOND_MS, Timestamp},
};

/// The waits between deliveries: when the origin is back, nothing is missing for more than half a minute.
const BACKOFF: Backoff = Backoff { first_ms: SECOND_MS, longest_ms: 30 * SECOND_MS };

/// The time that the terminal event waits for the origin before it reports `persisted: false`.
pub const CLOSING_TIMEOUT_MS: i64 = 2 * SECOND_MS;

/// The interval of the alarm while a turn runs, which finds an interrupted turn after a restart.
pub const HEARTBEAT_MS: i64 = 30 * SECOND_MS;
/// The time for which delivered turns and idempotency keys are kept.
pub const RETENTION_MS: i64 = 2 * DAY_MS;

/// Bytes of turns of one user that may wait for the origin.
pub const MAX_UNDELIVERED_BYTES: usize = 64 * 1024 * 1024;
/// The seconds after which a message may be sent again that was refused because too many turns wait.
pub const UNDELIVERED_RETRY_S: u64 = 30;

/// The turns of one user that wait for the origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Their number.
    pub turns: usize,
    /// Their bytes in storage.
    pub bytes: usize,
}

impl Backlog {
    /// Adds a turn of this size.
    pub const fn add(&mut self, bytes: usize) {
        self.turns = self.turns.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Returns whether no more turns may be taken on: `max_turns` wait, or [`MAX_UNDELIVERED_BYTES`] of them. Those that run are
    /// delivered after these, and are few.
    pub const fn is_full(self, max_turns: usize) -> bool {
        self.turns >= max_turns || self.bytes >= MAX_UNDELIVERED_BYTES
    }
}

/// The work that an alarm is needed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlarmSchedule {
    /// True when a turn runs.
    pub running: bool,
    /// The time at which the next delivery is due.
    pub delivery: Option<Timestamp>,
    /// The start of the oldest delivered turn, which is deleted after [`RETENTION_MS`]. One that is not delivered stays,
    /// however old.
    pub oldest_done: Option<Timestamp>,
}

impl AlarmSchedule {
    /// Returns the time of the next alarm; `None` without work. It is always after `now`: work that is due already, or that
    /// fails, waits a second, so that alarms do not repeat without a pause.
    pub fn next(self, now: Timestamp) -> Option<Timestamp> {
        let next = [
            self.running.then(|| heartbeat(now)),
            self.delivery,
            self.oldest_done.map(|oldest| oldest.plus_millis(RETENTION_MS + SECOND_MS)),
        ];
        next.into_iter().flatten().min().map(|at| at.max(now.plus_millis(SECOND_MS)))
    }
}

/// Returns the time of the next heartbeat.
pub const fn heartbeat(now: Timestamp) -> Timestamp {
    now.plus_millis(HEARTBEAT_MS)
}

/// Returns the time of the next delivery after `attempts` that failed: doubling from one second to thirty, less up to a
/// quarter by `jitter`.
pub fn next_attempt(attempts: u32, now: Timestamp, jitter: u32) -> Timestamp {
    now.plus_millis(BACKOFF.wait_ms(attempts, jitter))
}

/// The attempts for which an event of the origin is sent again each second: a Worker that is back knows it within two.
const QUICK_EVENT_ATTEMPTS: u32 = 120;

/// Returns the time of the next attempt to send an event to the Worker after `attempts` failed ones: each second for two
/// minutes, then at most every half minute, with up to a quarter taken off by `jitter` (any number).
pub fn next_event_attempt(attempts: u32, now: Timestamp, jitter: u32) -> Timestamp {
    next_attempt(attempts.saturating_sub(QUICK_EVENT_ATTEMPTS).max(1), now, jitter)
}

/// Returns whether an answer of this status says nothing about the turn: something on the way, or a store behind it, does
/// not work, and whatever else is delivered now will meet the same. Any other failure is of this turn alone.
pub const fn is_unreachable(status: u16) -> bool {
    matches!(status, 408 | 429 | 502..=504)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    #[test]
    fn old_undelivered_turn_is_scheduled_when_due() {
        let old = NOW.plus_millis(-3 * DAY_MS);
        let due = next_attempt(9, NOW, 0);
        let waiting = AlarmSchedule { delivery: Some(due), ..AlarmSchedule::default() };
        assert_eq!(waiting.next(NOW), Some(due));
        // A past alarm is never scheduled.
        let pause = NOW.plus_millis(SECOND_MS);
        assert_eq!(AlarmSchedule { oldest_done: Some(old), ..waiting }.next(NOW), Some(pause));
        assert_eq!(AlarmSchedule::default().next(NOW), None);
    }

    #[test]
    fn earliest_work_is_scheduled_first() {
        let done = AlarmSchedule { oldest_done: Some(NOW), ..AlarmSchedule::default() };
        assert_eq!(done.next(NOW), Some(NOW.plus_millis(RETENTION_MS + SECOND_MS)));
        let running = AlarmSchedule { running: true, ..done };
        assert_eq!(running.next(NOW), Some(heartbeat(NOW)));
        let due = NOW.plus_millis(2 * SECOND_MS);
        assert_eq!(AlarmSchedule { delivery: Some(due), ..running }.next(NOW), Some(due));
    }

    #[test]
    fn backlog_is_full_by_number_or_by_bytes() {
        let mut backlog = Backlog::default();
        assert!(!backlog.is_full(1));
        backlog.add(7);
        assert!(backlog.is_full(1) && !backlog.is_full(2));
        backlog.add(MAX_UNDELIVERED_BYTES - 8);
        assert!(!backlog.is_full(3));
        backlog.add(1);
        assert!(backlog.is_full(usize::MAX));
        assert_eq!(backlog, Backlog { turns: 3, bytes: MAX_UNDELIVERED_BYTES });
    }

    #[test]
    fn failure_of_one_turn_blocks_no_other() {
        assert!([502, 503, 504, 429].into_iter().all(is_unreachable));
        assert!(![400, 401, 403, 404, 413, 422, 500].into_iter().any(is_unreachable));
    }

    proptest! {
        #[test]
        fn overdue_work_is_scheduled_after_pause(
            running: bool,
            delivery in prop::option::of(-40 * DAY_MS..DAY_MS),
            oldest_done in prop::option::of(-40 * DAY_MS..DAY_MS),
        ) {
            let at = |offset_ms: Option<i64>| offset_ms.map(|offset_ms| NOW.plus_millis(offset_ms));
            let schedule = AlarmSchedule { running, delivery: at(delivery), oldest_done: at(oldest_done) };
            let next = schedule.next(NOW);
            prop_assert_eq!(next.is_some(), schedule != AlarmSchedule::default());
            prop_assert!(next.is_none_or(|at| at.millis_since(NOW) >= SECOND_MS));
        }
    }
}
