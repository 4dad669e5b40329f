//! `cargo xtask dev`: everything on this machine, until Ctrl-C.
//!
//! - [`plan`]: addresses and variables of the parts; [`ports`], [`secrets`]
//! - [`wrangler`]: both Workers in one session
//! - [`mailbox`]: the messages to users, printed
//! - [`http`]: the question whether a part answers
//! - [`banner`]: the text at the end

mod banner;
mod http;
mod mailbox;
mod plan;
mod ports;
mod secrets;
mod wrangler;

use std::{
    fs::{self, DirBuilder},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    process::Command,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result};

use self::{banner::Banner, mailbox::Mailbox, plan::Plan};
use crate::{
    build::{self, Profile},
    process::{interrupt, part::Part},
    settings::Settings,
    setup::{self, Machine, Optimization},
    workspace::Workspace,
};

/// The programs of a session.
const PROGRAMS: [&str; 3] = [build::ORIGIN, build::SCRIPTED_GEMINI, build::BUNDLE];
/// The name of Gemini's own address, for people.
const GEMINI: &str = "Google";
const SCRIPTED_TIMEOUT: Duration = Duration::from_secs(10);
const ORIGIN_TIMEOUT: Duration = Duration::from_secs(30);
const WORKER_TIMEOUT: Duration = Duration::from_mins(1);
const WATCH: Duration = Duration::from_millis(200);

/// Sets up, builds, starts, prints the banner, watches, stops.
///
/// # Errors
/// Fails with one sentence that names the problem and the remedy; by then nothing runs any more.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let plan = Plan::new(Settings::load(workspace.root())?)?;
    plan.require_free_ports()?;
    let (machine, mut steps) = setup::everything(workspace, Optimization::Compiler, &PROGRAMS, 1)?;
    steps.headline("Starting", None);
    let mut parts = Vec::new();
    let mut mailbox = Mailbox::new(plan.origin_address());
    let result = start(workspace, &machine, plan, &mut parts).and_then(|()| watch(&mut parts, &mut mailbox));
    if interrupt::raised() {
        println!("\nstopping");
    }
    // The last started first: nobody should miss what it depends on while it finishes.
    while let Some(part) = parts.pop() {
        part.stop();
    }
    if interrupt::raised() { Ok(()) } else { result }
}

/// Starts the parts, each when what it depends on is up.
fn start(workspace: &Workspace, machine: &Machine, mut plan: Plan, parts: &mut Vec<Part>) -> Result<()> {
    let data = workspace.data();
    if !data.exists() {
        DirBuilder::new()
            .mode(0o700)
            .create(&data)
            .with_context(|| format!("cannot make {}", data.display()))?;
    }
    let logs = data.join("logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot make the folder {}", logs.display()))?;
    secrets::complete(&mut plan.settings, &data.join("secrets"))?;
    if !plan.real_provider {
        let mut command = Command::new(workspace.binary(Profile::Debug.folder(), build::SCRIPTED_GEMINI));
        command.args(["--listen", "127.0.0.1:0"]).current_dir(workspace.root());
        let mut gemini = Part::start("scripted Gemini", &command, &logs.join("scripted-gemini.log"))?;
        let base = gemini.wait_until(SCRIPTED_TIMEOUT, listening);
        parts.push(gemini);
        plan.use_scripted_provider(&base?);
    }
    let mut command = Command::new(workspace.binary(Profile::Debug.folder(), build::ORIGIN));
    command.arg("serve").current_dir(workspace.root()).envs(plan.settings.iter());
    let origin = Part::start("origin", &command, &logs.join("origin.log"))?;
    up(parts, origin, ORIGIN_TIMEOUT, plan.origin_address(), "/api/v1/health/ready")?;
    let command = wrangler::command(workspace, &machine.node, &plan.settings, plan.worker)?;
    let worker = Part::start("Worker", &command, &wrangler::log(workspace))?;
    up(parts, worker, WORKER_TIMEOUT, plan.worker, "/api/v1/health")?;
    let provider = plan.real_provider.then(|| plan.settings.get("GEMINI_API_BASE").unwrap_or(GEMINI));
    let banner = Banner { worker: plan.worker, origin: plan.origin_address(), provider, notes: &plan.notes };
    println!("{}", banner.text());
    Ok(())
}

/// Waits for a part to answer; it is among `parts` whether it does or not.
fn up(
    parts: &mut Vec<Part>,
    mut part: Part,
    timeout: Duration,
    address: SocketAddr,
    path: &str,
) -> Result<()> {
    let result = part.wait_until(timeout, |_| matches!(http::get(address, path), Ok((200, _))).then_some(()));
    parts.push(part);
    result
}

/// Watches, and prints messages to users, until the user interrupts or a part ends by itself.
fn watch(parts: &mut [Part], mailbox: &mut Mailbox) -> Result<()> {
    while !interrupt::raised() {
        for part in parts.iter_mut() {
            part.print_warnings();
            part.require_running()?;
        }
        mailbox.print_new();
        sleep(WATCH);
    }
    Ok(())
}

/// The address in the line that the scripted provider prints once it listens.
fn listening(log: &str) -> Option<String> {
    log.lines().find_map(|line| line.strip_prefix("listening on ")).map(|address| address.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripted_provider_prints_its_address() {
        assert_eq!(
            listening("a warning\nlistening on http://127.0.0.1:5\n").as_deref(),
            Some("http://127.0.0.1:5")
        );
        assert_eq!(listening("starting"), None);
    }
}
