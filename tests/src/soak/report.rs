//! The result of a run: counts, and every promise that was broken.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The most lines of one promise in the table; each is printed when it is found.
const LINES_A_PROMISE: usize = 5;

/// A promise of EdgeChat that a run checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Promise {
    /// A message gets its answer, and a repetition the same one.
    Answered,
    /// A message that is sent again is never refused with 404 or another error.
    NotRefused,
    /// The provider is called once per turn; not at all for some that a crash or the user ended before the first word.
    CalledOnce,
    /// The model gets the whole history, in order, nothing twice.
    History,
    /// A stream is whole: ids from 1 without a gap except before a `reset`, `turn.started` first, one terminal event, nothing
    /// after it.
    Stream,
    /// All readers of a turn read the same.
    SameForAll,
    /// The outcome of a turn is that of the model's answer, a cancellation or a crash.
    Outcome,
    /// A reader with all events of an ended turn gets nothing more.
    NothingMore,
    /// The events of an ended turn are the same at any time, from the user object and from the origin.
    Replay,
    /// Every turn reaches the origin within a bound.
    Persisted,
    /// The origin has every turn once, with the text that was shown.
    Stored,
    /// Usage is counted once per turn.
    Usage,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "a message is answered",
            Self::NotRefused => "a message is never refused wrongly",
            Self::CalledOnce => "the provider is called once",
            Self::History => "the model gets the whole history",
            Self::Stream => "a stream is whole",
            Self::SameForAll => "all readers read the same",
            Self::Outcome => "a turn ends as its cause says",
            Self::NothingMore => "a reader with everything gets nothing",
            Self::Replay => "events never change",
            Self::Persisted => "every turn reaches the origin",
            Self::Stored => "the origin has it once",
            Self::Usage => "usage is counted once",
        })
    }
}

/// One broken promise.
#[derive(Clone, Debug)]
struct Violation {
    promise: Promise,
    turn: u32,
    detail: String,
}

/// The counters of a run.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) turns: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) kills: AtomicU64,
    pub(super) drops: AtomicU64,
    pub(super) resumes: AtomicU64,
    pub(super) resets: AtomicU64,
    pub(super) repeats: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) interrupted: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) replays: AtomicU64,
}

/// Increments a counter.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The violations and counts of a running soak.
#[derive(Debug)]
pub(super) struct Findings {
    seed: u64,
    pub(super) counts: Counts,
    violations: Mutex<Vec<Violation>>,
}

impl Findings {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, counts: Counts::default(), violations: Mutex::default() }
    }

    /// Records a broken promise and prints it.
    pub(super) fn broken(&self, promise: Promise, turn: u32, detail: impl Into<String>) {
        let violation = Violation { promise, turn, detail: detail.into() };
        super::progress(&format!("seed {} turn {turn}: {promise}: {}", self.seed, violation.detail));
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(violation);
    }

    /// The run's result.
    pub(super) fn report(&self, stores: &str, duration: Duration) -> Report {
        let mut by_promise: BTreeMap<Promise, Vec<(u32, String)>> = BTreeMap::new();
        for Violation { promise, turn, detail } in
            self.violations.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            by_promise.entry(*promise).or_default().push((*turn, detail.clone()));
        }
        let Counts {
            turns,
            requests,
            kills,
            drops,
            resumes,
            resets,
            repeats,
            cancelled,
            interrupted,
            failed,
            replays,
        } = &self.counts;
        let rows = [
            ("turns", turns),
            ("requests", requests),
            ("kills of origin and workerd", kills),
            ("dropped connections", drops),
            ("resumed streams", resumes),
            ("resets", resets),
            ("messages sent again", repeats),
            ("cancelled", cancelled),
            ("interrupted", interrupted),
            ("failed by the provider", failed),
            ("streams read again afterwards", replays),
        ];
        Report {
            stores: stores.to_owned(),
            seed: self.seed,
            rows: rows.map(|(name, counter)| (name, counter.load(Ordering::Relaxed))).to_vec(),
            by_promise,
            duration,
        }
    }
}

/// A run's table.
#[derive(Debug)]
pub struct Report {
    stores: String,
    seed: u64,
    rows: Vec<(&'static str, u64)>,
    by_promise: BTreeMap<Promise, Vec<(u32, String)>>,
    duration: Duration,
}

impl Report {
    /// Returns true when every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.by_promise.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| soak on {} stores, seed {} | |\n|---|---|", self.stores, self.seed)?;
        for (name, number) in &self.rows {
            writeln!(f, "| {name} | {number} |")?;
        }
        let violations: usize = self.by_promise.values().map(Vec::len).sum();
        writeln!(f, "| violations | {violations} |")?;
        writeln!(f, "| duration | {} s |", self.duration.as_secs())?;
        for (promise, violations) in &self.by_promise {
            writeln!(f, "\nbroken {} times: {promise}", violations.len())?;
            for (turn, detail) in violations.iter().take(LINES_A_PROMISE) {
                writeln!(f, "  turn {turn}: {detail}")?;
            }
        }
        Ok(())
    }
}
