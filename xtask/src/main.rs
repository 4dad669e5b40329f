//! The commands of the README: `cargo xtask dev | test | soak | bench | build`.
//!
//! Sets a fresh machine up, builds, starts and stops the parts, runs the checks. Nothing that the product needs at run time
//! lives here, and nothing here is shipped.
//!
//! Every failure ends as one sentence that names what is wrong and the remedy, and a non-zero exit code.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to the terminal")]

mod bench;
mod build;
mod dev;
mod fingerprint;
mod process;
mod scratch;
mod settings;
mod setup;
mod soak;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{process::interrupt, workspace::Workspace};

/// EdgeChat's commands. Each does all the set-up it needs; nothing has to be installed or started by hand.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build and start everything for development: origin, Worker and, without GEMINI_API_KEY, a scripted Gemini.
    Dev,
    /// Run every check: formatting, clippy (native and wasm32), unit, property and contract tests, black-box tests, clients
    /// and tools of others.
    Test {
        /// Passed to the tests that need running parts: names to run, or flags of the test binary.
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Let many phones with bad networks talk to servers that are killed, and hold every promise to the end.
    Soak(soak::Args),
    /// Build for release and measure: the Worker beside a hand-written JavaScript proxy, or with `origin` the origin
    /// alone, on embedded stores and on databases.
    Bench {
        /// Passed to the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Set the machine up and build everything, without starting or testing anything.
    Build,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if interrupt::raised() => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    interrupt::install()?;
    let workspace = Workspace::find()?;
    match command {
        Command::Dev => dev::run(&workspace),
        Command::Test { filter } => test::run(&workspace, filter),
        Command::Soak(args) => soak::run(&workspace, args),
        Command::Bench { args } => bench::run(&workspace, args),
        Command::Build => build::run(&workspace),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_after_two_dashes_go_to_the_black_box_tests() {
        let cli = Cli::try_parse_from(["xtask", "test", "--", "streams", "--nocapture"]).unwrap();
        assert!(matches!(cli.command, Command::Test { filter } if filter == ["streams", "--nocapture"]));
        assert!(Cli::try_parse_from(["xtask", "test", "streams"]).is_err());
    }

    #[test]
    fn soak_without_flags_runs_on_both_stores() {
        let soak = |flags: &[&str]| {
            let Ok(Cli { command: Command::Soak(args) }) =
                Cli::try_parse_from([&["xtask", "soak"], flags].concat())
            else {
                return None;
            };
            Some(args)
        };
        let args = soak(&[]).unwrap();
        assert_eq!((args.stores, args.turns, args.kills), (soak::Stores::Both, 1_000, 20));
        assert_eq!(soak(&["--stores", "production"]).unwrap().stores, soak::Stores::Production);
        assert!(soak(&["--stores", "none"]).is_none());
    }

    #[test]
    fn benchmark_gets_its_flags() {
        let cli = Cli::try_parse_from(["xtask", "bench", "--rounds", "3"]).unwrap();
        assert!(matches!(cli.command, Command::Bench { args } if args == ["--rounds", "3"]));
        let cli = Cli::try_parse_from(["xtask", "bench", "origin", "--rounds", "3"]).unwrap();
        assert!(matches!(cli.command, Command::Bench { args } if args == ["origin", "--rounds", "3"]));
    }
}
