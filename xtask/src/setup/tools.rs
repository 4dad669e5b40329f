//! The Worker's build tools that come through cargo: `worker-build` and `wasm-bindgen`.
//!
//! Their versions are those of the crates in `Cargo.lock`, with which they have to agree. They are built without
//! optimization: they work on one small file, and their own build is the longest step of a first start.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{process::program::ask, step, workspace::Workspace};

/// A tool and where its version comes from.
struct Tool {
    program: &'static str,
    package: &'static str,
    /// The crate in `Cargo.lock` whose version the tool must have.
    follows: &'static str,
    /// The folder of this repository that it is built from, with a lock file there; else its package is, with its own.
    folder: Option<&'static str>,
}

const TOOLS: [Tool; 2] = [
    Tool { program: "worker-build", package: "worker-build", follows: "worker", folder: None },
    Tool {
        program: "wasm-bindgen",
        package: "wasm-bindgen-cli",
        follows: "wasm-bindgen",
        folder: Some("xtask/wasm-bindgen"),
    },
];

/// Installs each tool that is missing or of another version.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    let path = workspace.root().join("Cargo.lock");
    let lock = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let root = workspace.tools();
    let scratch = root.join("build");
    for tool in &TOOLS {
        let version = locked_version(&lock, tool.follows).with_context(|| {
            format!("Cargo.lock has no {}: the Worker cannot be built without it", tool.follows)
        })?;
        if !is_installed(&root, tool, version) {
            install(workspace, tool, version, &scratch)?;
        }
    }
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    Ok(())
}

fn is_installed(root: &Path, tool: &Tool, version: &str) -> bool {
    ask(Command::new(root.join("bin").join(tool.program)).arg("--version"))
        .is_ok_and(|said| said.split_whitespace().next_back() == Some(version))
}

fn install(workspace: &Workspace, tool: &Tool, version: &str, scratch: &Path) -> Result<()> {
    let mut command = Command::new("cargo");
    command.arg("install");
    match tool.folder {
        Some(folder) => command.arg("--path").arg(workspace.root().join(folder)),
        None => command.arg(format!("{}@{version}", tool.package)),
    };
    command
        .args(["--locked", "--root"])
        .arg(workspace.tools())
        .arg("--target-dir")
        .arg(scratch)
        .current_dir(workspace.root())
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    let title = format!("{} {version} (cargo install, once)", tool.package);
    step::logged(&title, &mut command, &workspace.setup_logs().join(format!("{}.log", tool.package)))
}

/// The version of a crate in the text of a `Cargo.lock`: the first, if there are several.
fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"worker-sys\"\nversion = \"0.8.6\"\n\n\
                        [[package]]\nname = \"worker\"\nversion = \"0.8.7\"\nsource = \"registry\"\n";

    #[test]
    fn versions_come_from_the_lock() {
        assert_eq!(locked_version(LOCK, "worker"), Some("0.8.7"));
        assert_eq!(locked_version(LOCK, "worker-sys"), Some("0.8.6"));
        assert_eq!(locked_version(LOCK, "work"), None);
    }

    #[test]
    fn this_repository_locks_what_the_tools_follow() {
        let lock = include_str!("../../../Cargo.lock");
        for tool in &TOOLS {
            assert!(locked_version(lock, tool.follows).is_some(), "{}", tool.follows);
        }
    }
}
