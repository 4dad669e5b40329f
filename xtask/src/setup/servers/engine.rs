//! The container engine, if one answers that knows `docker compose`.

use std::{path::PathBuf, process::Command};

use crate::{
    process::program::{find, stdout_of},
    workspace::Workspace,
};

/// Returns whether one answers. A client without an engine behind it, or without the plugin, does not.
pub(super) fn answers() -> bool {
    find("docker").is_some()
        && stdout_of(Command::new("docker").args(["compose", "version", "--short"])).is_ok()
        && stdout_of(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"])).is_ok()
}

/// The images and their settings.
pub(super) fn file(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tests").join("servers").join("docker-compose.yml")
}
