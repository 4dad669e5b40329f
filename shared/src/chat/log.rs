//! The numbered events of a turn, kept as the bytes that readers get.
//!
//! Ids count from 1, with at most one gap: the terminal event of an interrupted turn has an id after every one that may have
//! been sent ([`EventLog::reserved_end`]). [`super::replay`] decides where a reader resumes.

use super::event::{DELTA, Delta, Event, MESSAGE, is_terminal};
use crate::sse;

/// The most bytes of a [`Segment`], unless one event alone is longer: a value that fits the platform's storage.
pub const MAX_SEGMENT_BYTES: usize = 1024 * 1024;

/// The most unsaved events at the time readers get some.
const MAX_UNSAVED: usize = 128;

/// The most ids after those of the stored events that may have been sent when a process dies: those of [`MAX_UNSAVED`]
/// events, and of three times as many that are sent while the platform makes an accepted write durable.
const RESERVED: u64 = 4 * MAX_UNSAVED as u64;

/// The events of one turn.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    bytes: Vec<u8>,
    /// The end of each event in `bytes`; its id is its index here plus one, and after a gap the width of the gap more.
    ends: Vec<usize>,
    gap: Option<Gap>,
    /// The number of events that storage has.
    saved: usize,
    /// The number of events to store: those after them follow from the turn's record and are rebuilt from it.
    to_save: usize,
}

/// Ids that no event of a log has.
#[derive(Clone, Copy, Debug)]
struct Gap {
    /// The number of events before it.
    at: usize,
    /// The number of its ids.
    ids: u64,
}

/// Consecutive events that storage does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The id of the first.
    pub first_id: u64,
    /// The id of the last.
    pub last_id: u64,
    /// The events in wire format.
    pub frames: String,
}

/// A log read back from storage.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// The events.
    pub log: EventLog,
    /// The text of its deltas.
    pub text: String,
    /// True when the event with the whole answer is among them.
    pub whole: bool,
    /// True when the terminal event is among them.
    pub closed: bool,
}

impl EventLog {
    /// Appends an event and gives it the next id.
    pub fn push(&mut self, event: &Event<'_>) -> u64 {
        let id = self.last_id() + 1;
        event.write(&mut self.bytes, id);
        self.ends.push(self.bytes.len());
        if !event.follows_from_record() {
            self.to_save = self.ends.len();
        }
        id
    }

    /// Appends an event with this id, after a gap where it is not the next one. There is one gap at most.
    pub fn push_at(&mut self, id: u64, event: &Event<'_>) {
        let ids = id.saturating_sub(self.last_id() + 1);
        if self.gap.is_none() && ids > 0 {
            self.gap = Some(Gap { at: self.ends.len(), ids });
        }
        self.push(event);
    }

    /// Returns the id of the newest event; 0 when there is none.
    pub fn last_id(&self) -> u64 {
        self.ends.len() as u64 + self.gap.map_or(0, |gap| gap.ids)
    }

    /// Returns the highest id that may have been sent by a process that died when storage had these events.
    pub fn reserved_end(&self) -> u64 {
        self.last_id() + RESERVED
    }

    /// Returns true when storage must get events before readers get any more.
    pub const fn is_checkpoint_due(&self) -> bool {
        self.to_save - self.saved > MAX_UNSAVED
    }

    /// Returns the id of the newest event that does not follow from the turn's record: the last delta, or `turn.started`.
    pub const fn words_end(&self) -> u64 {
        self.to_save as u64
    }

    /// Returns the offset in the log's bytes from which a reader with every event up to `after` continues.
    pub fn offset_after(&self, after: u64) -> usize {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let count = match self.gap {
            Some(Gap { at, ids }) if after > at => {
                after.saturating_sub(usize::try_from(ids).unwrap_or(usize::MAX)).max(at)
            }
            _ => after,
        };
        self.end_of(count.min(self.ends.len()))
    }

    /// Returns the bytes from this offset on, at most `max_bytes` of them; empty when there are none yet.
    pub fn read(&self, offset: usize, max_bytes: usize) -> &[u8] {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        rest.get(..max_bytes).unwrap_or(rest)
    }

    /// Returns the bytes of memory of the events.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Returns the end of the first `count` events in `bytes`.
    fn end_of(&self, count: usize) -> usize {
        match count.checked_sub(1) {
            None => 0,
            Some(last) => self.ends.get(last).copied().unwrap_or(self.bytes.len()),
        }
    }

    /// Returns the next unsaved events, as many as fit in [`MAX_SEGMENT_BYTES`] and at least one. Call [`Self::mark_saved`] with
    /// its `last_id` once they are stored, and repeat.
    pub fn unsaved(&self) -> Option<Segment> {
        let from = self.end_of(self.saved);
        let waiting = self.ends.get(self.saved..self.to_save).filter(|waiting| !waiting.is_empty())?;
        let count = waiting.partition_point(|end| end - from <= MAX_SEGMENT_BYTES).max(1);
        let last = self.saved + count;
        let frames = self.bytes.get(from..self.end_of(last)).unwrap_or_default();
        Some(Segment {
            first_id: self.saved as u64 + 1,
            last_id: last as u64,
            frames: String::from_utf8_lossy(frames).into_owned(),
        })
    }

    /// Records that storage has every event up to this id.
    pub fn mark_saved(&mut self, last_id: u64) {
        self.saved = usize::try_from(last_id).unwrap_or(usize::MAX).min(self.to_save);
    }

    /// Restores a log from storage. `segments` are in order; a gap ends the log, since the events after it were never durable as
    /// a whole.
    pub fn restore<'a>(segments: impl IntoIterator<Item = (u64, &'a str)>) -> Restored {
        let mut restored = Restored::default();
        let log = &mut restored.log;
        for (first_id, frames) in segments {
            if first_id != log.last_id() + 1 {
                break;
            }
            let mut input = frames.as_bytes();
            let mut decoder = sse::Decoder::new(frames.len().saturating_add(1));
            while let Ok(Some(frame)) = decoder.read(&mut input) {
                if frame.event == DELTA
                    && let Ok(delta) = serde_json::from_str::<Delta<'_>>(&frame.data)
                {
                    restored.text.push_str(&delta.text);
                }
                restored.whole |= frame.event == MESSAGE;
                restored.closed = is_terminal(&frame.event);
                let id = log.last_id() + 1;
                sse::encode(&mut log.bytes, Some(id), &frame.event, &frame.data);
                log.ends.push(log.bytes.len());
                if !(restored.whole || restored.closed) {
                    log.to_save = log.ends.len();
                }
            }
        }
        log.saved = log.ends.len();
        restored
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn all(log: &EventLog) -> &[u8] {
        log.read(0, usize::MAX)
    }

    fn delta(text: &str) -> Event<'_> {
        Event::Delta(Delta { text: Cow::Borrowed(text) })
    }

    fn log_of(words: &[String]) -> EventLog {
        let mut log = EventLog::default();
        for word in words {
            log.push(&delta(word));
        }
        log
    }

    proptest! {
        #[test]
        fn cursor_reads_exactly_the_rest_in_pieces_of_any_size(
            words in prop::collection::vec(any::<String>(), 1..20), max_bytes in 1usize..200,
        ) {
            let log = log_of(&words);
            prop_assert_eq!((log.last_id(), log.words_end()), (words.len() as u64, words.len() as u64));
            for after in 0..=words.len() {
                let held = log_of(&words[..after]);
                let mut bytes = all(&held).to_vec();
                let mut offset = log.offset_after(after as u64);
                prop_assert_eq!(offset, bytes.len());
                while !log.read(offset, max_bytes).is_empty() {
                    let piece = log.read(offset, max_bytes);
                    prop_assert!(piece.len() <= max_bytes);
                    bytes.extend_from_slice(piece);
                    offset += piece.len();
                }
                prop_assert_eq!(bytes.as_slice(), all(&log));
            }
            prop_assert_eq!(log.offset_after(u64::MAX), all(&log).len());
        }

        #[test]
        fn restored_log_equals_original(
            words in prop::collection::vec(any::<String>(), 1..20),
            save_after in prop::collection::vec(any::<bool>(), 20),
        ) {
            let (mut log, mut stored) = (EventLog::default(), Vec::new());
            for (word, save) in words.iter().zip(save_after) {
                log.push(&delta(word));
                if save {
                    let segment = log.unsaved().unwrap();
                    log.mark_saved(segment.last_id);
                    stored.push(segment);
                }
            }
            stored.extend(log.unsaved());
            let restored = EventLog::restore(stored.iter().map(|s| (s.first_id, s.frames.as_str())));
            prop_assert_eq!(restored.text, words.concat());
            prop_assert!(!restored.closed);
            prop_assert_eq!(all(&restored.log), all(&log));
        }
    }

    #[test]
    fn segment_size_is_bounded() {
        let sizes = [MAX_SEGMENT_BYTES / 2, MAX_SEGMENT_BYTES / 2, 10, 10, 2 * MAX_SEGMENT_BYTES, 10];
        let mut log = log_of(&sizes.map(|size| "x".repeat(size)));
        let mut stored = Vec::new();
        while let Some(segment) = log.unsaved() {
            log.mark_saved(segment.last_id);
            stored.push(segment);
        }
        let ids: Vec<_> = stored.iter().map(|segment| (segment.first_id, segment.last_id)).collect();
        assert_eq!(ids, [(1, 1), (2, 4), (5, 5), (6, 6)]);
        let restored = EventLog::restore(stored.iter().map(|s| (s.first_id, s.frames.as_str())));
        assert_eq!(all(&restored.log), all(&log));
        assert_eq!(restored.log.unsaved(), None);
    }

    #[test]
    fn gap_in_storage_ends_log() {
        let frames = log_of(&["a".to_owned()]).unsaved().unwrap().frames;
        let restored = EventLog::restore([(1, frames.as_str()), (3, frames.as_str())]);
        assert_eq!((restored.log.last_id(), restored.text.as_str()), (1, "a"));
    }
}
