//! The Rust compiler of this workspace, and the standard library that it has for the Worker's target.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{process::program::stdout_of, workspace::Workspace};

/// The Worker's target.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The compiler that this workspace uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compiler {
    /// For example `1.95.0`.
    pub(super) version: String,
    /// The folder of its libraries.
    pub(super) sysroot: PathBuf,
}

impl Compiler {
    /// Asks `rustc`.
    pub(super) fn find(workspace: &Workspace) -> Result<Self> {
        let rustc = |args: &[&str]| stdout_of(Command::new("rustc").args(args).current_dir(workspace.root()));
        let version =
            release(&rustc(&["-vV"])?).context("rustc does not say its version: reinstall Rust")?.to_owned();
        Ok(Self { version, sysroot: rustc(&["--print", "sysroot"])?.into() })
    }

    /// Returns the folder of the target's libraries, whether it is there or not.
    pub(super) fn libraries(&self) -> PathBuf {
        self.sysroot.join("lib").join("rustlib").join(TARGET).join("lib")
    }

    /// Returns whether the target's libraries are there.
    pub(super) fn has_target(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(self.libraries()) else { return false };
        let names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        ["libcore-", "libstd-"].iter().all(|part| {
            names.iter().any(|name| {
                name.starts_with(part) && Path::new(name).extension().is_some_and(|end| end == "rlib")
            })
        })
    }

    /// Returns whether rustup installed this compiler, and so can add to it.
    pub(super) fn is_rustups(&self) -> bool {
        self.sysroot.components().any(|part| part.as_os_str() == "toolchains")
    }
}

/// The release in the output of `rustc -vV`.
fn release(output: &str) -> Option<&str> {
    output.lines().find_map(|line| line.strip_prefix("release: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(sysroot: &Path) -> Compiler {
        Compiler { version: "1.95.0".into(), sysroot: sysroot.into() }
    }

    #[test]
    fn release_among_other_lines_is_found() {
        assert_eq!(
            release("rustc 1.95.0 (5980 2026-04-14)\nbinary: rustc\nrelease: 1.95.0\nLLVM: 22"),
            Some("1.95.0")
        );
        assert_eq!(release("something else"), None);
    }

    #[test]
    fn target_with_core_and_std_is_there() {
        let sysroot = tempfile::tempdir().unwrap();
        let compiler = compiler(sysroot.path());
        assert!(!compiler.has_target());
        std::fs::create_dir_all(compiler.libraries()).unwrap();
        std::fs::write(compiler.libraries().join("libcore-12ab.rlib"), "").unwrap();
        std::fs::write(compiler.libraries().join("libstd-12ab.rmeta"), "").unwrap();
        assert!(!compiler.has_target());
        std::fs::write(compiler.libraries().join("libstd-12ab.rlib"), "").unwrap();
        assert!(compiler.has_target());
    }

    #[test]
    fn compiler_below_toolchains_is_rustups() {
        assert!(compiler("/home/a/.rustup/toolchains/1.95.0-x86_64-unknown-linux-gnu".as_ref()).is_rustups());
        assert!(!compiler("/usr".as_ref()).is_rustups());
    }
}
