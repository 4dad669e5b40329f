//! A private server as a container: one isolated project of `docker compose` for each.
//!
//! Images and their settings are in `tests/servers/docker-compose.yml`. The containers of a run have its name, and the
//! program that ends last removes what is left of them.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use super::{Durability, provided, required};
use crate::{test_env::port::Port, wait::bounded_by};

/// The compose file; set when a container engine answers.
pub(super) const FILE: &str = "EDGECHAT_TEST_COMPOSE";
/// The prefix of this run's project names.
pub(super) const RUN: &str = "EDGECHAT_TEST_RUN";
/// The bound of one command: starting may have to fetch an image.
const BOUND: Duration = Duration::from_mins(5);

/// Returns true when servers are containers.
pub(super) fn is_chosen() -> bool {
    provided(FILE).is_some()
}

/// One service of the file in a project of its own. Its container and data are removed with the value.
#[derive(Debug)]
pub(super) struct Service {
    name: &'static str,
    project: String,
    port: Port,
    durability: Durability,
    exists: bool,
}

impl Service {
    pub(super) fn new(name: &'static str, port: Port, durability: Durability) -> Self {
        let project = format!("{}-{}", required(RUN), port.number());
        Self { name, project, port, durability, exists: false }
    }

    /// Creates or starts the container and waits until its health check succeeds.
    pub(super) async fn start(&mut self) {
        self.exists = true;
        self.compose(&["up", "--detach", "--wait", "--no-recreate", self.name]).await;
    }

    pub(super) async fn kill(&self) {
        self.compose(&["kill", "--signal", "SIGKILL", self.name]).await;
    }

    pub(super) async fn suspend(&self) {
        self.compose(&["pause", self.name]).await;
    }

    pub(super) async fn resume(&self) {
        self.compose(&["unpause", self.name]).await;
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["compose", "--file", &required(FILE), "--project-name", &self.project]).args(args);
        command.env("EDGECHAT_PORT", self.port.number().to_string());
        command.env("EDGECHAT_DURABLE", if self.durability == Durability::Durable { "yes" } else { "no" });
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn compose(&self, args: &[&str]) {
        let what = format!("docker compose {}", args.join(" "));
        let output =
            bounded_by(BOUND, &what, tokio::process::Command::from(self.command(args)).output()).await;
        let output = output.unwrap_or_else(|error| panic!("{what} does not start: {error}"));
        assert!(output.status.success(), "{what} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.exists {
            // The rest is removed at the end of the run.
            let _ = self.command(&["down", "--volumes", "--timeout", "0"]).output();
        }
    }
}

/// Removes every container and network of this run.
pub(super) fn sweep() {
    if !is_chosen() {
        return;
    }
    let filter = format!("name=^{}-", required(RUN));
    for (list, remove) in [
        (["ps", "--all", "--quiet"].as_slice(), ["rm", "--force", "--volumes"].as_slice()),
        (&["network", "ls", "--quiet"], &["network", "rm"]),
    ] {
        let listed = Command::new("docker").args(list).args(["--filter", &filter]).output();
        let ids =
            listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        if !ids.trim().is_empty() {
            // An engine that has stopped has no containers.
            let _ = Command::new("docker").args(remove).args(ids.split_whitespace()).output();
        }
    }
}
