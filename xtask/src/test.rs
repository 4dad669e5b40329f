//! `cargo xtask test`: every check there is, in the order in which a mistake is cheapest to find.

use std::process::Command;

use anyhow::Result;

use crate::{
    build::{self, NATIVE, Profile, cargo},
    process::guard::now,
    setup::{self, Machine},
    step,
    workspace::Workspace,
};

/// Sets the machine up and runs all checks; the first that fails ends it. `filter` goes to the black-box tests.
///
/// # Errors
/// One sentence that names the step that failed.
pub(crate) fn run(workspace: &Workspace, filter: &[String]) -> Result<()> {
    let started = now();
    let machine = setup::machine(workspace)?;
    for (title, mut command) in checks(workspace) {
        step::headed(title, || step::shown(title, &mut command))?;
    }
    setup::worker(workspace, &machine)?;
    let title = "Black-box tests";
    step::headed(title, || step::shown(title, &mut black_box(workspace, &machine, filter)))?;
    println!("all checks passed in {}", step::human(started.elapsed()));
    Ok(())
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
        ("Unit, property and contract tests", native(&["test", "--lib", "--bins"])),
        ("Documentation tests", native(&["test", "--doc"])),
    ]
}

/// All integration tests: the black-box tests, and what else a package has in its folder `tests`.
fn black_box(workspace: &Workspace, machine: &Machine, filter: &[String]) -> Command {
    let mut command = cargo(workspace.root(), &["test", "--test", "*"]);
    command.args(NATIVE);
    if !filter.is_empty() {
        command.arg("--").args(filter);
    }
    parts(workspace, machine, Profile::Debug, &mut command);
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
