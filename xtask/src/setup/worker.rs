//! The built Worker: `edge/build/index.js` and `edge/build/index_bg.wasm`, made by `worker-build`.

use std::process::Command;

use anyhow::Result;

use super::Node;
use crate::{fingerprint, step, workspace::Workspace};

/// The cargo profile of the Worker: see `[profile.edge]` in the workspace's `Cargo.toml`.
const PROFILE: &str = "edge";

/// What the Worker is made of.
const SOURCES: [&str; 8] = [
    "edge/src",
    "edge/Cargo.toml",
    "shared/src",
    "shared/Cargo.toml",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "xtask/node/package-lock.json",
];

/// What has to come out.
const OUTPUT: [&str; 2] = ["index.js", "index_bg.wasm"];

/// Builds the Worker, unless sources and output are those of the last build.
pub(super) fn ensure(workspace: &Workspace, node: &Node) -> Result<()> {
    let stamp = workspace.target().join("xtask-stamps").join("worker");
    let sources = fingerprint::of(workspace.root(), &SOURCES, &[PROFILE])?;
    if fingerprint::matches(&stamp, &state(workspace, &sources)?) {
        return Ok(());
    }
    step::logged(
        "Worker (worker-build)",
        &mut command(workspace, node),
        &workspace.setup_logs().join("worker.log"),
    )?;
    fingerprint::write(&stamp, &state(workspace, &sources)?)
}

/// Sources and output as one text, so that an output that was touched or removed is made anew.
fn state(workspace: &Workspace, sources: &str) -> Result<String> {
    let output = fingerprint::of(&workspace.worker_build(), &OUTPUT, &[])?;
    Ok(format!("{sources} {output}"))
}

fn command(workspace: &Workspace, node: &Node) -> Command {
    let tools = workspace.tools().join("bin");
    let mut command = Command::new(tools.join("worker-build"));
    command
        .args(["--profile", PROFILE])
        .current_dir(workspace.root().join("edge"))
        .env("WASM_BINDGEN_BIN", tools.join("wasm-bindgen"))
        .env("WASM_OPT_BIN", node.program("wasm-opt"))
        .env("ESBUILD_BIN", node.program("esbuild"));
    node.prepare(&mut command);
    command
}
