//! `cargo xtask build`: everything, without starting or testing it.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{
    setup::{self, Optimization},
    step,
    workspace::Workspace,
};

/// Sets the machine up and builds Worker, origin and the tests' programs.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::everything(workspace, Optimization::Full, &[], 0)?;
    println!("built: {}", step::near(&workspace.worker_build()).display());
    for name in [ORIGIN, SCRIPTED_GEMINI] {
        println!("built: {}", step::near(&workspace.binary(Profile::Debug.folder(), name)).display());
    }
    Ok(())
}

/// The origin's program.
pub(crate) const ORIGIN: &str = "edgechat";
/// The stand-in for Gemini.
pub(crate) const SCRIPTED_GEMINI: &str = "scripted-gemini";
/// Holds the databases of a test run.
pub(crate) const SERVERS: &str = "edgechat-servers";
/// Many phones, and servers that are killed.
pub(crate) const SOAK: &str = "edgechat-soak";
/// The load client with its report.
pub(crate) const BENCH: &str = "edgechat-bench";
/// Makes the Worker's two files.
pub(crate) const BUNDLE: &str = "edgechat-bundle";

/// The cargo profile of native programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Fast to build.
    Debug,
    /// Fast to run.
    Release,
}

impl Profile {
    /// Cargo's folder for it.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }
}

/// The packages of this machine, as arguments for cargo. Every command takes all of them: with another choice cargo would
/// unite the features of shared dependencies differently, and compile them a second time.
pub(crate) const NATIVE: [&str; 3] = ["--workspace", "--exclude", "edgechat-edge"];

/// The headline of building native programs.
pub(crate) const TITLE: &str = "Native programs (cargo build)";

/// The command that builds these programs for development; all, if none is named.
pub(crate) fn programs(workspace: &Workspace, names: &[&str]) -> Command {
    let mut command = cargo(workspace.root(), &["build"]);
    command.args(NATIVE);
    if names.is_empty() {
        command.arg("--bins");
    }
    command.args(names.iter().flat_map(|name| ["--bin", *name]));
    command
}

/// Builds the same for release: the origin by itself, exactly as it is deployed.
pub(crate) fn release_programs(workspace: &Workspace) -> Result<()> {
    for package in ["edgechat-origin", "edgechat-tests"] {
        let mut command = cargo(workspace.root(), &["build", "--release", "--bins", "--package", package]);
        step::shown("Release builds (cargo build)", &mut command)?;
    }
    Ok(())
}

/// A cargo command in the workspace.
pub(crate) fn cargo(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root);
    command
}
