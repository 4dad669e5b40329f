//! Runs the soak and prints its table. `cargo xtask soak` builds what it needs and runs it.

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use edgechat_tests::soak::{self, Options};

/// Runs many phones on bad networks against servers that are killed, and checks every promise of EdgeChat.
#[derive(Parser)]
#[command(name = "edgechat-soak")]
struct Args {
    /// Messages in all.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    turns: u32,
    /// Times that origin, workerd or both are killed.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Users, each with two conversations at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    users: u32,
    /// Seed of the run's plan; random when absent.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Args { turns, kills, users, seed } = Args::parse();
    let stores = std::env::var("EDGECHAT_TEST_STORES").unwrap_or_else(|_| "embedded".to_owned());
    // A short number is easier to type again.
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()) % 1_000_000);
    let report = Box::pin(soak::run(&stores, Options { turns, kills, users, seed })).await;
    match write!(io::stdout(), "{report}") {
        Ok(()) if report.is_clean() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
