//! The standard library for `wasm32-unknown-unknown`, without which the Worker cannot be compiled.
//!
//! rustup installs it. Where rustup cannot download, or is not there, it is built from the source that Debian packages
//! (see [`super::wasm_source`]).

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use super::wasm_source;
use crate::{
    process::program::{ask, find},
    step,
    workspace::Workspace,
};

pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// The compiler that this workspace uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compiler {
    /// For example `1.95.0`.
    pub(super) version: String,
    /// Where its libraries lie.
    pub(super) sysroot: PathBuf,
}

impl Compiler {
    fn find(workspace: &Workspace) -> Result<Self> {
        let rustc = |args: &[&str]| ask(Command::new("rustc").args(args).current_dir(workspace.root()));
        let version =
            release(&rustc(&["-vV"])?).context("rustc does not say its version: reinstall Rust")?.to_owned();
        Ok(Self { version, sysroot: rustc(&["--print", "sysroot"])?.into() })
    }

    /// Where the target's libraries are, or belong.
    pub(super) fn libraries(&self) -> PathBuf {
        self.sysroot.join("lib").join("rustlib").join(TARGET).join("lib")
    }

    fn has_target(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(self.libraries()) else { return false };
        let names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        ["libcore-", "libstd-"].iter().all(|part| {
            names.iter().any(|name| {
                name.starts_with(part)
                    && std::path::Path::new(name).extension().is_some_and(|end| end == "rlib")
            })
        })
    }

    /// Whether rustup put this compiler there, and so can add to it.
    fn is_rustups(&self) -> bool {
        self.sysroot.components().any(|part| part.as_os_str() == "toolchains")
    }
}

/// Adds the target if it is not there.
///
/// # Errors
/// One sentence with the remedy, when neither way worked.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    let compiler = Compiler::find(workspace)?;
    if compiler.has_target() {
        return Ok(());
    }
    if rustup(workspace, &compiler)? && compiler.has_target() {
        return Ok(());
    }
    println!("    rustup could not add {TARGET}: building it from the source that Debian packages");
    wasm_source::build(workspace, &compiler).with_context(|| {
        format!(
            "the {TARGET} standard library of Rust {} is missing: run `rustup target add {TARGET}` where there is \
             access to the network",
            compiler.version
        )
    })
}

/// Whether rustup says that it added the target.
fn rustup(workspace: &Workspace, compiler: &Compiler) -> Result<bool> {
    let (true, Some(rustup)) = (compiler.is_rustups(), find("rustup")) else { return Ok(false) };
    let mut command = Command::new(rustup);
    command.args(["target", "add", TARGET]).current_dir(workspace.root());
    let log = workspace.setup_logs().join("rustup.log");
    Ok(step::attempt("wasm32 target (rustup target add)", &mut command, &log)?.success())
}

/// The release in the output of `rustc -vV`.
fn release(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("release: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(sysroot: &std::path::Path) -> Compiler {
        Compiler { version: "1.95.0".into(), sysroot: sysroot.into() }
    }

    #[test]
    fn the_release_is_found_among_the_other_lines() {
        assert_eq!(
            release("rustc 1.95.0 (5980 2026-04-14)\nbinary: rustc\nrelease: 1.95.0\nLLVM: 22"),
            Some("1.95.0")
        );
        assert_eq!(release("something else"), None);
    }

    #[test]
    fn the_target_is_there_when_both_core_and_std_are() {
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
    fn rustup_is_asked_only_for_its_own_compilers() {
        assert!(compiler("/home/a/.rustup/toolchains/1.95.0-x86_64-unknown-linux-gnu".as_ref()).is_rustups());
        assert!(!compiler("/usr".as_ref()).is_rustups());
    }
}
