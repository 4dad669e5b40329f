//! `cargo xtask test`: every check there is, in the order in which a mistake is cheapest to find.
//!
//! - [`servers`]: the databases of the run: started once, told to every suite

mod servers;

use std::process::Command;

use anyhow::Result;

use self::servers::Running;
use crate::{
    build::{self, NATIVE, Profile, cargo},
    process::guard::now,
    setup::{self, Machine, Servers},
    step,
    workspace::Workspace,
};

/// The tests that kill databases of their own: once is enough.
const STORE_CHAOS: &str = "store_chaos::";
/// As many black-box tests at once as two cores carry: they wait more than they compute.
const TEST_THREADS: &str = "8";

/// Sets the machine up and runs all checks; the first that fails ends it. `filter` goes to the black-box tests.
///
/// # Errors
/// One sentence that names the step that failed.
pub(crate) fn run(workspace: &Workspace, filter: &[String]) -> Result<()> {
    let started = now();
    let machine = setup::machine(workspace)?;
    let programs = Servers::ensure(workspace)?;
    for (title, mut command) in checks(workspace) {
        step::headed(title, || step::shown(title, &mut command))?;
    }
    setup::worker(workspace, &machine)?;
    let servers = step::headed("Databases of the tests", || Running::start(workspace, &programs))?;
    for suite in suites(workspace, &machine, filter) {
        let Suite { title, mut command, runs_on } = suite;
        servers.tell(&mut command);
        step::headed(title, || {
            println!("    on {}", servers.of(runs_on));
            step::shown(title, &mut command)
        })?;
    }
    drop(servers);
    println!("all checks passed in {}", step::human(started.elapsed()));
    Ok(())
}

/// What needs databases.
struct Suite {
    title: &'static str,
    command: Command,
    runs_on: servers::Use,
}

fn suites(workspace: &Workspace, machine: &Machine, filter: &[String]) -> Vec<Suite> {
    let mut contract = cargo(workspace.root(), &["test", "--lib", "--bins"]);
    contract.args(NATIVE);
    let embedded =
        black_box(workspace, machine, &["--test", "*"], filter, &["--skip", STORE_CHAOS], "embedded");
    let production = black_box(workspace, machine, &["--test", "blackbox"], filter, &[], "production");
    vec![
        Suite {
            title: "Unit, property and contract tests",
            command: contract,
            runs_on: servers::Use::Everything,
        },
        Suite {
            title: "Black-box tests, embedded stores",
            command: embedded,
            runs_on: servers::Use::Embedded,
        },
        Suite {
            title: "Black-box tests, production stores",
            command: production,
            runs_on: servers::Use::Production,
        },
    ]
}

/// What needs no built Worker and no running part. Tests are compiled together with the programs that the black-box
/// tests start, so that nothing is compiled twice.
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

/// Integration tests on one kind of stores. `*` takes what else a package has in its folder `tests` as well.
fn black_box(
    workspace: &Workspace,
    machine: &Machine,
    target: &[&str],
    filter: &[String],
    more: &[&str],
    stores: &str,
) -> Command {
    let mut command = cargo(workspace.root(), &["test"]);
    command.args(target).args(NATIVE).arg("--").args(filter).args(more);
    parts(workspace, machine, Profile::Debug, &mut command);
    command.env("EDGECHAT_TEST_STORES", stores);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        command.env("RUST_TEST_THREADS", TEST_THREADS);
    }
    command
}

/// Tells a program of the tests' package where the parts are that it starts. All paths are absolute.
pub(crate) fn parts(workspace: &Workspace, machine: &Machine, profile: Profile, command: &mut Command) {
    command
        .env("EDGECHAT_ORIGIN_BIN", workspace.binary(profile.folder(), build::ORIGIN))
        .env("EDGECHAT_WORKERD_BIN", machine.node.workerd())
        .env("EDGECHAT_EDGE_BUILD", workspace.worker_build());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_denies_what_it_finds_and_none_forgets_a_package() {
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
}
