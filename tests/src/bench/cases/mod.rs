//! The cases that are measured. Every one takes its rounds in turns, reference and Worker, so that what else happens on the machine
//! meets both; the first round of each warms up and is thrown away.

mod cold_start;
mod cost;
mod memory;
mod paced;
mod pass_through;
mod size;
mod turns;

use std::time::Duration;

use clap::ValueEnum;

use super::{
    figures::Rounds,
    progress,
    provider::Pace,
    report::{Row, Section, Target},
    stage::Stage,
};

/// The chunks of a turn, in each of the cases that vary them.
const CHUNKS: [usize; 3] = [4, 10, 50];

/// The pace of a model that a person reads along with.
pub(super) const PACED: Pace =
    Pace { chunks: 50, first: Duration::from_millis(200), between: Duration::from_millis(20) };

/// A turn of so many chunks, with as much time between two that a runtime which is not overloaded reads each by itself.
pub(super) const fn turn_of(chunks: usize) -> Pace {
    Pace { chunks, first: Duration::ZERO, between: Duration::from_millis(4) }
}

/// A group of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Calls that the Worker passes on to the origin.
    PassThrough,
    /// Whole turns of 4, 10 and 50 chunks.
    Turns,
    /// 1, 16 and 64 users whose answers come at a model's pace.
    Paced,
    /// The work that a turn makes for the runtime, and its price on Cloudflare.
    Cost,
    /// The runtime's memory after many turns.
    Memory,
    /// From the start of the process to the first answer.
    ColdStart,
    /// The size of the Worker.
    Size,
}

/// How long a measurement takes.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds that count.
    pub rounds: usize,
    /// How long a round puts load on one site.
    pub length: Duration,
}

impl Case {
    /// Measures it.
    pub(super) async fn measure(self, stage: &mut Stage, effort: Effort) -> Section {
        match self {
            Self::PassThrough => pass_through::measure(stage, effort).await,
            Self::Turns => turns::measure(stage, effort).await,
            Self::Paced => paced::measure(stage, effort).await,
            Self::Cost => cost::measure(stage).await,
            Self::Memory => memory::measure(stage).await,
            Self::ColdStart => cold_start::measure(stage, effort).await,
            Self::Size => size::measure(),
        }
    }
}

impl Effort {
    /// The rounds with their numbers; the first, 0, does not count.
    fn numbered(self, what: &str) -> impl Iterator<Item = usize> {
        let rounds = self.rounds;
        (0..=rounds).inspect(move |round| match round {
            0 => progress(&format!("{what}: warming up")),
            _ => progress(&format!("{what}: round {round} of {rounds}")),
        })
    }
}

/// A figure of both sides in the making.
#[derive(Clone, Debug, Default)]
struct Pair {
    baseline: Rounds,
    worker: Rounds,
}

impl Pair {
    /// Adds what one round measured, where the system told it.
    fn push(&mut self, baseline: Option<f64>, worker: Option<f64>) {
        if let (Some(baseline), Some(worker)) = (baseline, worker) {
            self.baseline.push(baseline);
            self.worker.push(worker);
        }
    }

    fn row(self, name: impl Into<String>, unit: &'static str, target: Target) -> Row {
        Row { name: name.into(), unit, baseline: self.baseline, worker: self.worker, target }
    }
}
