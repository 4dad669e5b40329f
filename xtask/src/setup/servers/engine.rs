//! Whether a container engine answers that knows `docker compose`.

use std::{path::PathBuf, process::Command};

use crate::{
    process::program::{ask, find},
    workspace::Workspace,
};

/// Whether it does. A client without an engine behind it, or without the plugin, does not.
pub(super) fn answers() -> bool {
    find("docker").is_some()
        && ask(Command::new("docker").args(["compose", "version", "--short"])).is_ok()
        && ask(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"])).is_ok()
}

/// The images and their settings.
pub(super) fn file(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tests").join("servers").join("docker-compose.yml")
}
