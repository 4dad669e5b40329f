//! `cargo xtask test`: every check there is, in the order in which a mistake is cheapest to find.
//!
//! - [`servers`]: the databases of the run: started once, for every suite

pub(crate) mod servers;

use std::process::Command;

use anyhow::{Context, Result};

use self::servers::Running;
use crate::{
    build::{self, NATIVE, Profile, cargo},
    process::guard::now,
    scratch::Scratch,
    setup::{self, Clients, Machine, Servers},
    step,
    workspace::Workspace,
};

/// The tests that kill databases of their own.
const STORE_CHAOS: &str = "store_chaos::";
/// As many black-box tests at once as two cores carry: they wait more than they compute.
const TEST_THREADS: &str = "8";
/// As many where databases start and die beside others that have to answer in time.
const STORE_CHAOS_THREADS: &str = "3";

/// Sets the machine up and runs all checks; the first that fails ends it. `filter` goes to the black-box tests.
///
/// # Errors
/// Fails with one sentence that names the step that failed.
pub(crate) fn run(workspace: &Workspace, filter: &[String]) -> Result<()> {
    let started = now();
    let machine = setup::machine(workspace)?;
    let programs = Servers::ensure(workspace)?;
    for (title, mut command) in checks(workspace) {
        step::headed(title, || step::shown(title, &mut command))?;
    }
    setup::worker(workspace, &machine)?;
    let scratch = Scratch::make()?;
    let servers = step::headed("Databases of the tests", || Running::start(workspace, &programs, &scratch))?;
    for suite in suites(workspace, &machine, filter) {
        let Suite { title, mut command, runs_on } = suite;
        servers.set_vars(&mut command);
        scratch.set_vars(&mut command);
        step::headed(title, || {
            println!("    on {}", servers.describe(runs_on));
            step::shown(title, &mut command)
        })?;
    }
    drop(servers);
    if wants_clients(workspace, filter)? {
        clients(workspace, &machine, filter, &scratch)?;
    }
    drop(scratch);
    println!("all checks passed in {}", step::human(started.elapsed()));
    Ok(())
}

/// The API with clients and tools of others, as far as the machine has their languages.
fn clients(workspace: &Workspace, machine: &Machine, filter: &[String], scratch: &Scratch) -> Result<()> {
    let programs = Clients::ensure(workspace, &machine.node)?;
    let mut command = black_box(workspace, machine, &CLIENTS, filter);
    for missing in programs.missing() {
        command.args(["--skip", missing.tests]);
    }
    programs.set_vars(&mut command);
    scratch.set_vars(&mut command);
    step::headed(CLIENTS.title, || {
        for missing in programs.missing() {
            println!("    {}", missing.reason);
        }
        step::shown(CLIENTS.title, &mut command)
    })
}

/// Returns whether `filter` leaves any of those tests: what they need is not installed for others.
fn wants_clients(workspace: &Workspace, filter: &[String]) -> Result<bool> {
    let names = filter.iter().filter(|arg| !arg.starts_with('-'));
    if names.clone().next().is_none() {
        return Ok(true);
    }
    let mut command = cargo(workspace.root(), &["test", "--quiet", "--test", "clients"]);
    command.args(NATIVE).args(["--", "--list"]).args(names);
    let log = workspace.setup_logs().join("client-tests.log");
    step::logged("Names of the client tests", &mut command, &log)?;
    let listed = std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(listed.lines().any(|line| line.ends_with(": test")))
}

/// Tests that need databases.
struct Suite {
    title: &'static str,
    command: Command,
    runs_on: servers::Use,
}

fn suites(workspace: &Workspace, machine: &Machine, filter: &[String]) -> Vec<Suite> {
    let mut contract = cargo(workspace.root(), &["test", "--lib", "--bins"]);
    contract.args(NATIVE);
    let contract = Suite {
        title: "Unit, property and contract tests",
        command: contract,
        runs_on: servers::Use::Everything,
    };
    let black_box = passes(filter).into_iter().map(|pass| Suite {
        title: pass.title,
        command: black_box(workspace, machine, &pass, filter),
        runs_on: pass.runs_on,
    });
    std::iter::once(contract).chain(black_box).collect()
}

/// One pass of black-box tests.
#[derive(Debug, PartialEq)]
struct Pass {
    title: &'static str,
    /// The test programs.
    targets: &'static [&'static str],
    /// The arguments that select tests of them.
    choice: &'static [&'static str],
    threads: &'static str,
    runs_on: servers::Use,
}

/// The pass with clients and tools of others: two compilers at once, and no more, on two cores.
const CLIENTS: Pass = Pass {
    title: "Clients and tools of others",
    targets: &["clients"],
    choice: &[],
    threads: "3",
    runs_on: servers::Use::Embedded,
};

/// Tests that kill databases have a pass of their own, unless `filter` names tests: names add up, so that the pass would run
/// all of its own besides. What is named runs in one pass that every test can be in.
fn passes(filter: &[String]) -> Vec<Pass> {
    let embedded = Pass {
        title: "Black-box tests, embedded stores",
        targets: &["architecture", "blackbox", "dependencies", "deployment", "documents", "process"],
        choice: &["--skip", STORE_CHAOS],
        threads: TEST_THREADS,
        runs_on: servers::Use::Embedded,
    };
    let production = Pass {
        title: "Black-box tests, production stores",
        targets: &["blackbox"],
        runs_on: servers::Use::Production,
        ..embedded
    };
    if filter.iter().any(|arg| !arg.starts_with('-')) {
        let chosen = Pass { choice: &[], threads: STORE_CHAOS_THREADS, ..production };
        return vec![embedded, chosen];
    }
    let chaos = Pass {
        title: "Black-box tests, stores that die",
        choice: &[STORE_CHAOS],
        threads: STORE_CHAOS_THREADS,
        ..production
    };
    vec![embedded, production, chaos]
}

/// The checks that need no built Worker and no running part. Tests are compiled together with the programs that the
/// black-box tests start, so that nothing is compiled twice.
fn checks(workspace: &Workspace) -> Vec<(&'static str, Command)> {
    let native = |args: &[&str]| {
        let mut command = cargo(workspace.root(), args);
        command.args(NATIVE);
        command
    };
    let deny = ["--", "--deny", "warnings"];
    let mut clippy = native(&["clippy", "--quiet", "--all-targets"]);
    clippy.args(deny);
    let mut clippy_wasm =
        cargo(workspace.root(), &["clippy", "--quiet", "-p", "edgechat-edge", "-p", "edgechat-shared"]);
    clippy_wasm.args(["--target", "wasm32-unknown-unknown"]).args(deny);
    vec![
        ("Formatting (cargo fmt)", cargo(workspace.root(), &["fmt", "--all", "--check"])),
        ("Clippy, native", clippy),
        ("Clippy, wasm32", clippy_wasm),
        ("Programs and tests (cargo build)", native(&["build", "--bins", "--tests"])),
        ("Documentation tests", native(&["test", "--doc"])),
    ]
}

fn black_box(workspace: &Workspace, machine: &Machine, pass: &Pass, filter: &[String]) -> Command {
    let mut command = cargo(workspace.root(), &["test"]);
    for target in pass.targets {
        command.args(["--test", target]);
    }
    command.args(NATIVE).arg("--").args(filter).args(pass.choice);
    set_part_vars(workspace, machine, Profile::Debug, &mut command);
    let stores = if pass.runs_on == servers::Use::Embedded { "embedded" } else { "production" };
    command.env("EDGECHAT_TEST_STORES", stores);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        command.env("RUST_TEST_THREADS", pass.threads);
    }
    command
}

/// Sets the variables from which a program of the tests' package knows the parts that it starts. All paths are absolute.
pub(crate) fn set_part_vars(
    workspace: &Workspace,
    machine: &Machine,
    profile: Profile,
    command: &mut Command,
) {
    command
        .env("EDGECHAT_ORIGIN_BIN", workspace.binary(profile.folder(), build::ORIGIN))
        .env("EDGECHAT_WORKERD_BIN", machine.node.workerd())
        .env("EDGECHAT_EDGE_BUILD", workspace.worker_build());
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn checks_deny_warnings_in_every_package() {
        let workspace = Workspace::at("/repo".as_ref());
        let lines: Vec<_> = checks(&workspace)
            .iter()
            .map(|(_, command)| {
                command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(lines[0], "fmt --all --check");
        assert!(lines[1].ends_with("--all-targets --workspace --exclude edgechat-edge -- --deny warnings"));
        assert!(lines[2].contains("edgechat-edge") && lines[2].ends_with("-- --deny warnings"));
        assert!(lines[3..].iter().all(|line| line.ends_with("--workspace --exclude edgechat-edge")));
    }

    #[test]
    fn test_programs_are_all_in_a_pass() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let packages =
            ["edge", "origin", "shared", "tests", "xtask"].map(|package| root.join(package).join("tests"));
        let files = packages.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        let names = files.map(|file| file.unwrap().path()).filter(|path| {
            path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file()
        });
        let mut programs: Vec<_> =
            names.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        programs.sort();
        let passes = passes(&[]);
        let mut run: Vec<_> = passes.iter().chain([&CLIENTS]).flat_map(|pass| pass.targets).collect();
        run.sort();
        run.dedup();
        assert_eq!(programs, run.into_iter().copied().collect::<Vec<_>>());
    }

    #[test]
    fn black_box_tests_are_each_in_one_pass_on_production_stores() {
        let production = |filter: &[&str]| -> Vec<_> {
            let filter: Vec<_> = filter.iter().map(|&arg| arg.to_owned()).collect();
            let passes = passes(&filter).into_iter().filter(|pass| pass.runs_on == servers::Use::Production);
            passes.map(|pass| (pass.choice, pass.threads)).collect()
        };
        let both: [(&[_], _); 2] =
            [(&["--skip", STORE_CHAOS], TEST_THREADS), (&[STORE_CHAOS], STORE_CHAOS_THREADS)];
        assert_eq!(production(&[]), both);
        assert_eq!(production(&["--nocapture"]), both);
        let one: [(&[_], _); 1] = [(&[], STORE_CHAOS_THREADS)];
        assert_eq!(production(&["killed"]), one);
    }
}
