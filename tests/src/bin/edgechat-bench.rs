//! Measures EdgeChat's Worker beside the platform's floor and prints a table. `cargo xtask bench` builds what it needs
//! and runs it.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use edgechat_tests::bench::{
    self,
    cases::{Case, Effort},
};

/// Measures EdgeChat's Worker beside a Worker that only proxies, on plain workerd, and prints one table.
#[derive(Parser)]
#[command(name = "edgechat-bench")]
struct Args {
    /// Rounds that count; floor and Worker take turns in each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    /// Seconds of load on each of them in a round.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=60))]
    seconds: u8,
    /// Measure only this; may be given more than once.
    #[arg(long, value_name = "CASE")]
    only: Vec<Case>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let effort = Effort { rounds: args.rounds.into(), length: Duration::from_secs(args.seconds.into()) };
    let report = bench::run(&args.only, effort).await;
    match write!(io::stdout(), "{report}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
