//! Programs of the machine: named by a variable, found, or installed by apt on Debian as root.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use super::apt;
use crate::{process::program::stdout_of, step, workspace::Workspace};

/// Returns the path that an environment variable holds.
pub(super) fn from_variable(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Returns what `look` finds, at once or after the package is installed.
///
/// # Errors
/// Fails when packages cannot be installed here, or the package does not bring what is looked for.
pub(super) fn find_or_install(
    workspace: &Workspace,
    package: &str,
    look: impl Fn() -> Option<PathBuf>,
) -> Result<PathBuf> {
    if let Some(found) = look() {
        return Ok(found);
    }
    anyhow::ensure!(can_install()?, "only root can install packages, and only on Debian is it known how");
    install(workspace, package)?;
    look().with_context(|| format!("the package {package} brought no program to the usual place"))
}

/// Returns whether packages can be installed here.
///
/// # Errors
/// Fails when the system does not say who runs this.
pub(super) fn can_install() -> Result<bool> {
    Ok(apt::is_debian() && stdout_of(Command::new("id").arg("-u"))? == "0")
}

/// Installs a package of Debian. Its service is not started where the system leaves that open.
fn install(workspace: &Workspace, package: &str) -> Result<()> {
    let log = |name: &str| workspace.setup_logs().join(format!("apt-{package}-{name}.log"));
    step::logged("Package lists (apt-get update)", Command::new("apt-get").arg("update"), &log("update"))?;
    let mut command = Command::new("apt-get");
    command
        .args(["install", "--yes", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        // No service belongs into single-user mode, which invoke-rc.d takes this for.
        .env("RUNLEVEL", "1");
    step::logged(&format!("{package} (apt-get install)"), &mut command, &log("install"))
}
