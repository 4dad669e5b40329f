//! What is measured. Every case takes its rounds in turns, floor and Worker, so that what else happens on the machine
//! meets both; the first round of each warms up and is thrown away.

mod cold_start;
mod paced;
mod pass_through;
mod size;
mod turns;

use std::time::Duration;

use clap::ValueEnum;

use super::{
    figures::Rounds,
    progress,
    report::{Row, Target},
    stage::Stage,
};

/// A group of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Calls that the Worker passes on to the origin.
    PassThrough,
    /// Whole turns, stored, as fast as they go.
    Turns,
    /// 64 users whose answers come at a model's pace.
    Paced,
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
    pub(super) async fn measure(self, stage: &mut Stage, effort: Effort) -> Vec<Row> {
        match self {
            Self::PassThrough => pass_through::measure(stage, effort).await,
            Self::Turns => turns::measure(stage, effort).await,
            Self::Paced => paced::measure(stage, effort).await,
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
#[derive(Debug, Default)]
struct Pair {
    floor: Rounds,
    worker: Rounds,
}

impl Pair {
    /// Adds what one round measured, where the system told it.
    fn push(&mut self, floor: Option<f64>, worker: Option<f64>) {
        if let (Some(floor), Some(worker)) = (floor, worker) {
            self.floor.push(floor);
            self.worker.push(worker);
        }
    }

    fn row(self, name: &'static str, unit: &'static str, target: Target) -> Row {
        Row { name, unit, floor: self.floor, worker: self.worker, target }
    }
}
