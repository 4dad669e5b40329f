//! `cargo xtask soak`: many phones, bad networks and dying servers, on the embedded stores, on the production stores, or
//! on one after the other.

use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{
    build::{self, Profile},
    scratch::Scratch,
    setup::{self, Optimization, Servers},
    step,
    test::{
        self,
        servers::{Running, Use},
    },
    workspace::Workspace,
};

/// The programs of a soak.
const PROGRAMS: [&str; 4] = [build::ORIGIN, build::SOAK, build::SERVERS, build::BUNDLE];

/// The size of a soak.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Messages in all, on each kind of stores.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) turns: u32,
    /// Times that origin, workerd or both are killed.
    #[arg(long, default_value_t = 20)]
    pub(crate) kills: u32,
    /// People, each with two conversations at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) users: u32,
    /// The seed of the run's plan, as an earlier run printed it; random when absent.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// The stores of the origin.
    #[arg(long, value_enum, default_value_t = Stores::Both)]
    pub(crate) stores: Stores,
}

/// The stores of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stores {
    /// SQLite and the process's memory.
    Embedded,
    /// PostgreSQL, MongoDB and Redis.
    Production,
    /// One after the other.
    Both,
}

/// Sets the machine up, builds and runs. All runs are made, also when one has found violations.
///
/// # Errors
/// Fails when a promise was broken, or a part does not come up.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let (machine, _) = setup::everything(workspace, Optimization::Full, &PROGRAMS, 0)?;
    let scratch = Scratch::make()?;
    let mut broken = Vec::new();
    let mut soak = |title: &'static str, stores: &str, servers: Option<&Running<'_>>| {
        let mut command = command(workspace, args);
        test::set_part_vars(workspace, &machine, Profile::Debug, &mut command);
        scratch.set_vars(&mut command);
        if let Some(servers) = servers {
            servers.set_vars(&mut command);
            println!("    on {}", servers.describe(Use::ProductionUnharmed));
        }
        command.env("EDGECHAT_TEST_STORES", stores);
        let outcome = step::headed(title, || step::shown(title, &mut command));
        if crate::interrupt::raised() {
            return outcome;
        }
        broken.extend(outcome.err().map(|_| stores.to_owned()));
        Ok(())
    };
    if args.stores != Stores::Production {
        soak("Soak, embedded stores", "embedded", None)?;
    }
    if args.stores != Stores::Embedded {
        let programs = Servers::ensure(workspace)?;
        let servers =
            step::headed("Databases of the soak", || Running::start(workspace, &programs, &scratch))?;
        soak("Soak, production stores", "production", Some(&servers))?;
    }
    if !broken.is_empty() {
        bail!("the soak failed on {} stores: the reasons stand above", broken.join(" and "));
    }
    Ok(())
}

fn command(workspace: &Workspace, args: &Args) -> Command {
    let Args { turns, kills, users, seed, stores: _ } = args;
    let mut command = Command::new(workspace.binary(Profile::Debug.folder(), build::SOAK));
    for (flag, number) in [("--turns", turns), ("--kills", kills), ("--users", users)] {
        command.arg(flag).arg(number.to_string());
    }
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed.to_string());
    }
    command.current_dir(workspace.root());
    command
}
