//! `cargo xtask build`: everything, without starting or testing it.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{setup, step, workspace::Workspace};

/// Sets the machine up and builds Worker, origin and the tests' programs.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let machine = setup::machine(workspace)?;
    setup::worker(workspace, &machine)?;
    programs(workspace, Profile::Debug)?;
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
/// The load client with its report.
pub(crate) const BENCH: &str = "edgechat-bench";

/// How the native programs are compiled.
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

/// Builds the origin and the programs of the tests' package.
pub(crate) fn programs(workspace: &Workspace, profile: Profile) -> Result<()> {
    let mut command =
        cargo(workspace.root(), &["build", "-p", "edgechat-origin", "-p", "edgechat-tests", "--bins"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    step::shown("Origin and test programs (cargo build)", &command)
}

/// A cargo command in the workspace.
pub(crate) fn cargo(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root);
    command
}
