//! The cases of the measurement. Each alternates its rounds between reference and Worker, so that other load on the machine
//! affects both; the first round of each warms up and is discarded.

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

/// The pace of a model at reading speed.
pub(super) const PACED: Pace =
    Pace { chunks: 50, first: Duration::from_millis(200), between: Duration::from_millis(20) };

/// A turn of so many chunks, with enough time between two that a runtime which is not overloaded reads each separately.
pub(super) const fn turn_of(chunks: usize) -> Pace {
    Pace { chunks, first: Duration::ZERO, between: Duration::from_millis(4) }
}

/// A group of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Calls that the Worker forwards to the origin.
    PassThrough,
    /// Whole turns of 4, 10 and 50 chunks.
    Turns,
    /// 1, 16 and 64 users whose answers arrive at a model's pace.
    Paced,
    /// The cost of a turn for the runtime, and its price on Cloudflare.
    Cost,
    /// The runtime's memory after many turns.
    Memory,
    /// From the start of the process to the first answer.
    ColdStart,
    /// The size of the Worker.
    Size,
}

/// The length of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds that count.
    pub rounds: usize,
    /// The time for which a round loads one site.
    pub length: Duration,
}

impl Case {
    /// Measures the case.
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

/// A figure of both sides, collected by round.
#[derive(Clone, Debug, Default)]
struct Pair {
    baseline: Rounds,
    worker: Rounds,
}

impl Pair {
    /// Adds the figures of one round, where the system has them.
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
