//! The standard library for the Worker's target, without which the Worker cannot be compiled.
//!
//! rustup installs it. Where rustup cannot download, or is not there, it is built from the source that Debian packages
//! (see [`super::wasm_source`]).

use std::process::Command;

use anyhow::{Context, Result};

use super::{
    compiler::{Compiler, TARGET},
    wasm_source,
};
use crate::{process::program::find, step, workspace::Workspace};

/// Returns whether the compiler has the target.
///
/// # Errors
/// Fails when the compiler cannot be asked.
pub(super) fn is_there(workspace: &Workspace) -> Result<bool> {
    Ok(Compiler::find(workspace)?.has_target())
}

/// Adds the target if it is not there.
///
/// # Errors
/// Fails with the remedy when neither way worked.
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

/// Returns whether rustup reports that it added the target.
fn rustup(workspace: &Workspace, compiler: &Compiler) -> Result<bool> {
    let (true, Some(rustup)) = (compiler.is_rustups(), find("rustup")) else { return Ok(false) };
    let mut command = Command::new(rustup);
    command.args(["target", "add", TARGET]).current_dir(workspace.root());
    let log = workspace.setup_logs().join("rustup.log");
    Ok(step::attempt("wasm32 target (rustup target add)", &mut command, &log)?.success())
}
