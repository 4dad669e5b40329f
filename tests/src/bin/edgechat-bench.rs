//! Measures EdgeChat and prints tables: the Worker beside two references on the same runtime, or the origin on both
//! configurations of its stores. `cargo xtask bench` builds what it needs and runs it.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use edgechat_tests::bench::{
    self,
    cases::{Case, Effort},
    origin,
};

/// Measures EdgeChat's Worker beside two Workers written by hand, on plain workerd, and prints tables.
#[derive(Parser)]
#[command(name = "edgechat-bench", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// Rounds that count; reference and Worker take turns in each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    /// Seconds of load on each of them in a round.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=60))]
    seconds: u8,
    /// Least milliseconds between two deltas of a turn, at the Worker and at the durable baseline; 0 makes each chunk of the
    /// provider's a delta
    #[arg(long, default_value_t = 33, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    flush_ms: u32,
    /// Measure only this; may be given more than once.
    #[arg(long, value_name = "CASE")]
    only: Vec<Case>,
}

/// A measurement in place of the Worker's.
#[derive(Subcommand)]
enum Instead {
    /// Measure the origin alone, on its embedded stores and on PostgreSQL, MongoDB and Redis
    Origin {
        /// Rounds that count
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
        rounds: u8,
        /// Seconds of load in a round
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=60))]
        seconds: u8,
        /// Messages in the long conversation whose pages are read; 0 leaves it out
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
        messages: u64,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let out = &mut io::stdout();
    let written = match args.instead {
        Some(Instead::Origin { rounds, seconds, messages }) => {
            let length = Duration::from_secs(seconds.into());
            let table = origin::run(origin::Effort { rounds: rounds.into(), length, messages }).await;
            write!(out, "{table}")
        }
        None => {
            let length = Duration::from_secs(args.seconds.into());
            let effort = Effort { rounds: args.rounds.into(), length };
            bench::run(&args.only, effort, args.flush_ms, out).await
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
