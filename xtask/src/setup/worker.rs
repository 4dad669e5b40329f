//! The built Worker: `edge/build/index.js` and `edge/build/index_bg.wasm`.
//!
//! cargo compiles the edge crate, and the program of `xtask/bundle` makes the two files of it.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use super::{Node, compiler::TARGET};
use crate::{
    build::{self, BUNDLE, Profile, cargo},
    fingerprint, step,
    workspace::Workspace,
};

/// The cargo profile of the Worker: see `[profile.edge]` in the workspace's `Cargo.toml`.
const PROFILE: &str = "edge";
/// The crate of the Worker, and the file that cargo makes of it.
const PACKAGE: &str = "edgechat-edge";
const COMPILED: &str = "edgechat_edge.wasm";
/// The JavaScript that the platform calls.
const ENTRY: &str = "edge/src/platform/entry.js";
/// The headline of compiling it.
pub(super) const TITLE: &str = "Worker (cargo build)";

/// The sources of the Worker.
const SOURCES: [&str; 10] = [
    "edge/src",
    "edge/Cargo.toml",
    "shared/src",
    "shared/Cargo.toml",
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    "rust-toolchain.toml",
    "xtask/bundle/src",
    "xtask/node/package-lock.json",
];

/// The two files.
const OUTPUT: [&str; 2] = ["index.js", "index_bg.wasm"];

/// The effort for the speed of the Worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Optimization {
    /// The compiler alone: enough for a development session, which starts some 15 s earlier.
    Compiler,
    /// wasm-opt as well, which saves a turn 2 to 4 % of the processor's time: for what is tested, measured and deployed.
    Full,
}

/// The Worker as its sources are.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    workspace: &'a Workspace,
    optimization: Optimization,
    sources: String,
}

impl<'a> Worker<'a> {
    /// Reads the sources.
    pub(crate) fn of(workspace: &'a Workspace, optimization: Optimization) -> Result<Self> {
        let sources = fingerprint::of(workspace.root(), &SOURCES, &[PROFILE])?;
        Ok(Self { workspace, optimization, sources })
    }

    /// Returns whether sources and output are those of the last build, and it was as good as this one would be.
    pub(crate) fn is_built(&self) -> Result<bool> {
        for optimization in [self.optimization, Optimization::Full] {
            if fingerprint::matches(&self.stamp(), &self.state(optimization)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Builds the Worker, unless it is built.
    pub(crate) fn ensure(&self, node: &Node) -> Result<()> {
        if self.is_built()? {
            return Ok(());
        }
        step::logged(TITLE, &mut self.compilation(), &self.log())?;
        self.bundle(node)
    }

    /// The command that compiles the edge crate.
    pub(crate) fn compilation(&self) -> Command {
        let mut command = cargo(self.workspace.root(), &["build", "--lib", "--package", PACKAGE]);
        command.args(["--profile", PROFILE, "--target", TARGET]);
        command
    }

    /// The log of that command.
    pub(crate) fn log(&self) -> PathBuf {
        self.workspace.setup_logs().join("worker.log")
    }

    /// Makes the two files of the compiled crate.
    pub(crate) fn bundle(&self, node: &Node) -> Result<()> {
        let workspace = self.workspace;
        let mut program = build::programs(workspace, &[BUNDLE]);
        step::shown("The program that bundles the Worker (cargo build)", program.arg("--quiet"))?;
        let compiled = workspace.target().join(TARGET).join(PROFILE).join(COMPILED);
        let mut command = Command::new(workspace.binary(Profile::Debug.folder(), BUNDLE));
        command.arg(compiled).arg(workspace.root().join(ENTRY)).arg(workspace.worker_build());
        let tools = match self.optimization {
            Optimization::Compiler => "wasm-bindgen, esbuild",
            Optimization::Full => {
                command.arg("--optimize");
                "wasm-bindgen, wasm-opt, esbuild"
            }
        };
        node.prepare(&mut command);
        let log = workspace.setup_logs().join("bundle.log");
        step::quiet(&format!("Worker's two files ({tools})"), &mut command, &log)?;
        fingerprint::write(&self.stamp(), &self.state(self.optimization)?)
    }

    fn stamp(&self) -> PathBuf {
        self.workspace.target().join("xtask-stamps").join("worker")
    }

    /// Sources and output as one text, so that an output that was touched or removed is made anew.
    fn state(&self, optimization: Optimization) -> Result<String> {
        let output = fingerprint::of(&self.workspace.worker_build(), &OUTPUT, &[])?;
        Ok(format!("{} {output} {optimization:?}", self.sources))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_is_built_while_neither_sources_nor_output_change() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        let worker = |optimization| Worker::of(&workspace, optimization).unwrap();
        let note = |worker: &Worker<'_>| {
            let state = worker.state(worker.optimization).unwrap();
            fingerprint::write(&worker.stamp(), &state).unwrap();
        };
        let is_built =
            || [Optimization::Compiler, Optimization::Full].map(|how| worker(how).is_built().unwrap());
        assert_eq!(is_built(), [false, false]);
        note(&worker(Optimization::Compiler));
        assert_eq!(is_built(), [true, false]);
        note(&worker(Optimization::Full));
        assert_eq!(is_built(), [true, true]);
        std::fs::write(folder.path().join("Cargo.lock"), "changed").unwrap();
        assert_eq!(is_built(), [false, false]);
        note(&worker(Optimization::Full));
        std::fs::create_dir_all(workspace.worker_build()).unwrap();
        std::fs::write(workspace.worker_build().join("index.js"), "changed").unwrap();
        assert_eq!(is_built(), [false, false]);
    }
}
