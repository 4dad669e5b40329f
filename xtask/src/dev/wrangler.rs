//! `wrangler dev` with both Workers in one session.
//!
//! wrangler hands variables to the second Worker of a session only through a `.dev.vars` file beside its
//! configuration. So copies of both configurations lie in one private folder, with one such file for both; secrets
//! appear on no command line and nowhere in the repository.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    settings::{Settings, write_private},
    setup::Node,
    workspace::Workspace,
};

/// The configurations; the first is the Worker that listens.
const CONFIGURATIONS: [(&str, &str); 2] =
    [("wrangler.toml", "edgechat.toml"), ("edge/wrangler.user.toml", "edgechat-user.toml")];

/// Writes the session's files and gives the command that runs it.
///
/// # Errors
/// Fails when a configuration cannot be read, a file cannot be written, or a value cannot be handed over.
pub(super) fn command(
    workspace: &Workspace,
    node: &Node,
    settings: &Settings,
    address: SocketAddr,
) -> Result<Command> {
    let data = workspace.data();
    let folder = data.join("dev");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    write_private(&folder.join(".dev.vars"), &settings.worker_file()?)?;
    let mut command = node.wrangler();
    command.arg("dev");
    for (from, to) in CONFIGURATIONS {
        let copy = folder.join(to);
        let text = read(&workspace.root().join(from))?;
        let main = workspace.worker_build().join("index.js");
        fs::write(&copy, with_main(&text, &main))
            .with_context(|| format!("cannot write {}", copy.display()))?;
        command.arg("--config").arg(copy);
    }
    command
        .args(["--ip", &address.ip().to_string(), "--port", &address.port().to_string()])
        // Any free port for the debugger: it must not be a second port that can be in use.
        .args(["--inspector-port", "0", "--show-interactive-dev-session=false", "--persist-to"])
        .arg(data.join("wrangler"))
        .current_dir(workspace.root())
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
        .env("WRANGLER_SEND_METRICS", "false")
        .env("WRANGLER_SEND_ERROR_REPORTS", "false")
        .env("WRANGLER_LOG_PATH", data.join("logs").join("wrangler-debug"))
        .env("WRANGLER_REGISTRY_PATH", data.join("dev").join("registry"))
        .env("NO_COLOR", "1")
        .env_remove("FORCE_COLOR")
        .env_remove("CLOUDFLARE_ENV");
    Ok(command)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The configuration with its entry point as an absolute path, since the copy lies elsewhere.
fn with_main(configuration: &str, main: &Path) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some((name, _)) if name.trim() == "main" => format!("main = {:?}\n", main.display().to_string()),
        _ => format!("{line}\n"),
    };
    configuration.lines().map(line).collect()
}

/// Returns the log of the session.
pub(super) fn log(workspace: &Workspace) -> PathBuf {
    workspace.data().join("logs").join("worker.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT: &str = include_str!("../../../wrangler.toml");
    const USER: &str = include_str!("../../../edge/wrangler.user.toml");

    fn value<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(held, _)| held.trim() == name)
            .map(|(_, value)| value.trim())
            .collect()
    }

    #[test]
    fn copy_of_a_configuration_changes_the_entry_point_alone() {
        let text = "name = \"x\"\nmain = \"build/index.js\"\nmain_module = \"y\"\n";
        assert_eq!(
            with_main(text, "/a b/index.js".as_ref()),
            "name = \"x\"\nmain = \"/a b/index.js\"\nmain_module = \"y\"\n"
        );
        for text in [FRONT, USER] {
            assert_eq!(value(text, "main").len(), 1);
        }
    }

    #[test]
    fn front_and_user_object_fit_together() {
        assert_eq!(value(FRONT, "script_name"), value(USER, "name")[..1]);
        assert_eq!(value(FRONT, "compatibility_date"), value(USER, "compatibility_date"));
        assert_eq!(value(FRONT, "class_name"), value(USER, "class_name"));
        assert!(value(USER, "new_sqlite_classes")[0].contains(value(USER, "class_name")[0]));
    }
}
