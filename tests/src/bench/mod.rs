//! The measurement behind `cargo xtask bench`: EdgeChat's Worker beside two references written by hand in JavaScript, on the
//! same runtime, in the same run: the proxy baseline, which only proxies, and the durable baseline, which does a turn's work
//! and checks nothing. It reports figures and compares them with the design's targets; it is no test, and no time fails it.
//!
//! - [`cases`]: the measured cases
//! - [`stage`], [`check`]: the running parts, and a check that the durable baseline does its work
//! - [`load`], [`provider`]: the load client and the provider, both lean, so that the Worker dominates
//! - [`process`], [`saturation`], [`trace`], [`machine`]: figures of the system and of the runtime
//! - [`price`]: the price of a turn on Cloudflare
//! - [`figures`], [`report`]: from samples to tables
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

/// Measures these cases, all when none is named, and writes each table to `out` when it is done. A delta is sent at most
/// every `flush_ms`; 0 makes each chunk of the provider's a delta.
///
/// # Errors
/// Fails when `out` cannot be written.
///
/// # Panics
/// Panics when a part does not start or gives a wrong response: figures of failures are worthless.
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

/// Runs turns through the durable baseline and checks them in its object and at the origin.
///
/// # Panics
/// Panics when a part does not start, or the baseline does not do the work it stands for.
pub async fn check_baseline() {
    check::durable_baseline(&Stage::set(1, 0).await).await;
}

/// Prints progress.
fn progress(what: &str) {
    // A closed standard error is ignored.
    let _ = writeln!(io::stderr(), "{what}");
}
