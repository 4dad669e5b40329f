//! The measurement behind `cargo xtask bench`: EdgeChat's Worker beside two references written by hand in JavaScript, on the
//! same runtime, in the same run: the proxy baseline, which only proxies, and the durable baseline, which does a turn's work
//! and checks nothing. It tells figures and judges them by the design; it is no test and fails for no time.
//!
//! - [`cases`]: what is measured
//! - [`stage`], [`check`]: the parts that run, and whether the durable baseline does its work
//! - [`load`], [`provider`]: the load client and the provider it ends at, both lean, so that the Worker is what is seen
//! - [`process`], [`saturation`], [`trace`], [`machine`]: what the system and the runtime tell
//! - [`price`]: what a turn costs on Cloudflare
//! - [`figures`], [`report`]: from samples to the tables
//! - [`origin`]: the origin alone, on both configurations of its stores

pub mod cases;
mod check;
mod figures;
mod load;
mod machine;
pub mod origin;
mod price;
mod process;
mod provider;
mod report;
mod saturation;
mod stage;
mod trace;

use std::io::{self, Write};

use clap::ValueEnum;

use cases::{Case, Effort};
use saturation::Table;
use stage::{Stage, USERS};

/// Measures these cases, all when none is named, and writes each table to `out` when it is done. An event of words comes in
/// so many milliseconds at most; 0 makes each chunk of the provider's an event of its own.
///
/// # Errors
/// Fails when `out` takes no more.
///
/// # Panics
/// Panics when a part does not come up or gives a wrong answer: figures of failures would be worth nothing.
pub async fn run(only: &[Case], effort: Effort, flush_ms: u32, out: &mut impl Write) -> io::Result<()> {
    let machine = machine::line();
    progress("starting origin, Worker, baselines and provider, registering users");
    let mut stage = Stage::set(USERS, flush_ms).await;
    check::durable_baseline(&stage).await;
    writeln!(out, "{machine}")?;
    let chosen = |case: &Case| only.is_empty() || only.contains(case);
    let mut loads = Vec::new();
    for case in Case::value_variants().iter().filter(|case| chosen(case)) {
        let section = case.measure(&mut stage, effort).await;
        write!(out, "\n{section}")?;
        out.flush()?;
        loads.extend(section.loads);
    }
    if !loads.is_empty() {
        write!(out, "\n{}", Table(loads))?;
    }
    Ok(())
}

/// Runs turns through the durable baseline and looks for them in its object and at the origin.
///
/// # Panics
/// Panics when a part does not come up, or the baseline does not do the work it stands for.
pub async fn check_baseline() {
    check::durable_baseline(&Stage::set(1, 0).await).await;
}

/// Tells whoever waits what is going on.
fn progress(what: &str) {
    // Without a reader there is nobody to tell.
    let _ = writeln!(io::stderr(), "{what}");
}
