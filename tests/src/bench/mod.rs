//! The measurement behind `cargo xtask bench`: EdgeChat's Worker beside a Worker that only proxies, on the same runtime,
//! in the same run. It tells figures and judges them by the design; it is no test and fails for no time.
//!
//! - [`cases`]: what is measured
//! - [`stage`]: the parts that run
//! - [`load`], [`provider`]: the load client and the provider it ends at, both lean, so that the Worker is what is seen
//! - [`process`], [`machine`]: what the system tells
//! - [`figures`], [`report`]: from samples to the table
//! - [`origin`]: the origin alone, on both configurations of its stores

pub mod cases;
mod figures;
mod load;
mod machine;
pub mod origin;
mod process;
mod provider;
mod report;
mod stage;

use std::io::{self, Write};

use clap::ValueEnum;

use cases::{Case, Effort};
pub use report::Report;
use report::{Row, Target};
use stage::Stage;

/// Measures these cases; all when none is named.
///
/// # Panics
/// When a part does not come up or gives a wrong answer: figures of failures would be worth nothing.
pub async fn run(only: &[Case], effort: Effort) -> Report {
    let machine = machine::line();
    progress("starting origin, Worker, floor and provider, registering users");
    let mut stage = Stage::set().await;
    let chosen = |case: &Case| only.is_empty() || only.contains(case);
    let mut rows = Vec::new();
    for case in Case::value_variants().iter().filter(|case| chosen(case)) {
        // What a process needed at most is told before it is started anew.
        if *case == Case::ColdStart {
            rows.push(memory(&stage));
        }
        rows.extend(case.measure(&mut stage, effort).await);
    }
    Report { machine, rows }
}

fn memory(stage: &Stage) -> Row {
    let peak = |process: process::Process| process.peak_memory_mib().into_iter().collect();
    Row {
        name: "peak memory of the runtime's process",
        unit: "MiB",
        floor: peak(stage.floor_process()),
        worker: peak(stage.worker_process()),
        target: Target::None,
    }
}

/// Tells whoever waits what is going on.
fn progress(what: &str) {
    // Without a reader there is nobody to tell.
    let _ = writeln!(io::stderr(), "{what}");
}
