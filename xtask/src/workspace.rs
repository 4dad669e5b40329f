//! The folders: the repository, cargo's target folder, development data. No I/O beyond asking.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders that every command works in. All paths are absolute.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the repository from where cargo says this crate is, and cargo's target folder from where this program
    /// was built, so that `CARGO_TARGET_DIR` and cargo's configuration are respected without being parsed.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = manifest.parent().context("the xtask crate has no folder above it")?.to_path_buf();
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        let target = program
            .parent()
            .and_then(Path::parent)
            .with_context(|| format!("{} does not lie in a target folder", program.display()))?
            .to_path_buf();
        Ok(Self { root, target })
    }

    /// A workspace at a given place.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf(), target: root.join("target") }
    }

    /// The repository's top folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A program built from this workspace; `profile` is `debug` or `release`.
    pub(crate) fn binary(&self, profile: &str, name: &str) -> PathBuf {
        self.target.join(profile).join(name)
    }

    /// Logs of set-up steps, one file each.
    pub(crate) fn setup_logs(&self) -> PathBuf {
        self.target.join("xtask-logs")
    }

    /// The folder of the built Worker.
    pub(crate) fn worker_build(&self) -> PathBuf {
        self.root.join("edge").join("build")
    }

    /// Everything `cargo xtask dev` keeps: databases, Worker state, logs, generated secrets.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join(".edgechat")
    }
}
