//! A child in a process group of its own that ends with this program, however this program ends.
//!
//! The child is started through a shell that leaves one small watcher in the child's group. The watcher holds the
//! reading end of a pipe whose writing end only this program has: when this program dies, even by `kill -9`, the pipe
//! closes, and the watcher ends the whole group. Otherwise [`Guarded::stop`] ends the group, so that what the child
//! itself has started (a runtime, a bundler) goes too.

use std::{
    ffi::OsStr,
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::interrupt;

/// `$0` is a name for `ps`; the rest is the command. A line on the pipe means "your service is not needed any more".
const LEASH: &str = "\
exec 3<&0
(trap '' TERM INT HUP; read -r _ <&3 || { kill -TERM 0; sleep 3; kill -KILL 0; }) >/dev/null 2>&1 &
exec \"$@\" 3<&- </dev/null";

/// Time between two looks of a waiting loop: short for a person, long against the cost of looking.
const POLL: Duration = Duration::from_millis(20);
/// Time that a child has to end when it is not waited for any longer.
const GRACE: Duration = Duration::from_secs(5);

/// Prefixes of variables that cargo sets for the program it runs. Passed on, they would make build scripts that watch these
/// names run anew.
const CARGO_RUN_VARIABLES: [&str; 4] = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_"];

/// A running child. Dropping it ends its group at once.
#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    leash: Option<ChildStdin>,
    group: Pid,
    ended: Option<ExitStatus>,
    /// Set once the group is gone: its number may belong to others from then on.
    stopped: bool,
}

impl Guarded {
    /// Starts `command` (its program, arguments, variables and folder) with these outputs and no input.
    ///
    /// # Errors
    /// Fails when no process can be made. A program that does not exist shows as exit code 127 later: look first
    /// (see [`super::program`]).
    pub(crate) fn spawn(command: &Command, stdout: Stdio, stderr: Stdio) -> Result<Self> {
        let mut wrapped = Command::new("sh");
        wrapped.args(["-c", LEASH, "xtask-leash"]).arg(command.get_program()).args(command.get_args());
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_set_by_cargo_run(name)) {
            wrapped.env_remove(name);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        let mut child = wrapped
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let group = i32::try_from(child.id()).map(Pid::from_raw).context("a process id is out of range")?;
        Ok(Self { leash: child.stdin.take(), child, group, ended: None, stopped: false })
    }

    /// Returns the child's status, or `None` while it runs.
    pub(crate) fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().context("cannot wait for a child")?;
        }
        Ok(self.ended)
    }

    /// Waits for the child's end, calling `tick` while waiting.
    ///
    /// # Errors
    /// Fails when the user interrupts, or as `tick` does; the whole group is then ended before this returns.
    pub(crate) fn wait(&mut self, mut tick: impl FnMut() -> Result<()>) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.try_wait()? {
                self.stop(Duration::ZERO);
                return Ok(status);
            }
            let outcome = if interrupt::raised() { Err(anyhow!("interrupted")) } else { tick() };
            if let Err(error) = outcome {
                self.stop(GRACE);
                return Err(error);
            }
            sleep(POLL);
        }
    }

    /// Ends the whole group: asks (SIGTERM), waits up to `grace` for the last process to go, then kills.
    pub(crate) fn stop(&mut self, grace: Duration) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        if let Some(mut leash) = self.leash.take() {
            // The watcher may be gone already; then there is nobody to release.
            let _ = leash.write_all(b"\n");
        }
        let asked = now();
        if !grace.is_zero() && killpg(self.group, Signal::SIGTERM) != Err(Errno::ESRCH) {
            while is_alive(self.group) && asked.elapsed() < grace {
                sleep(POLL);
            }
        }
        let _ = killpg(self.group, Signal::SIGKILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// Returns whether any process of the group still runs. One that has ended and was not waited for does not: in a container
/// there may be nobody who waits.
fn is_alive(group: Pid) -> bool {
    killpg(group, None) != Err(Errno::ESRCH) && listed_as_running(group).unwrap_or(true)
}

/// Returns the same from `/proc`, on systems that have one.
fn listed_as_running(group: Pid) -> Option<bool> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut stats =
        processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok()).peekable();
    stats.peek()?;
    Some(stats.any(|stat| runs_in(group, &stat)))
}

/// Reads a line of `/proc/PID/stat`: `PID (NAME) STATE PARENT GROUP …`, where the name may hold anything.
fn runs_in(group: Pid, stat: &str) -> bool {
    let Some((_, rest)) = stat.rsplit_once(')') else { return false };
    let mut words = rest.split_whitespace();
    let state = words.next();
    !matches!(state, Some("Z" | "X") | None) && words.nth(1) == Some(group.to_string().as_str())
}

/// The clock of everything that measures or bounds a wait here.
#[expect(clippy::disallowed_methods, reason = "this tool waits for real processes")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn is_set_by_cargo_run(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| CARGO_RUN_VARIABLES.iter().any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn group_is_gone(group: Pid) -> bool {
        let asked = now();
        while asked.elapsed() < Duration::from_secs(10) {
            if !is_alive(group) {
                return true;
            }
            sleep(POLL);
        }
        false
    }

    /// Starts a child that has a child of its own, and returns when both run.
    fn family(script: &str) -> (Guarded, Pid) {
        let mut child = Guarded::spawn(&shell(script), Stdio::piped(), Stdio::null()).unwrap();
        let mut line = String::new();
        BufReader::new(child.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        let group = child.group;
        (child, group)
    }

    #[test]
    fn exit_code_variables_and_folder_pass_through() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = shell("printf '%s %s' \"$WORD\" \"$PWD\"; exit 7");
        command.env("WORD", "hello").current_dir(folder.path());
        let mut child = Guarded::spawn(&command, Stdio::piped(), Stdio::null()).unwrap();
        assert_eq!(child.wait(|| Ok(())).unwrap().code(), Some(7));
        let mut output = String::new();
        child.child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert_eq!(output, format!("hello {}", folder.path().display()));
    }

    #[test]
    fn child_has_no_input_and_no_pipe() {
        let mut child =
            Guarded::spawn(&shell("read -r _ && exit 9; exit 3"), Stdio::null(), Stdio::null()).unwrap();
        assert_eq!(child.wait(|| Ok(())).unwrap().code(), Some(3));
    }

    #[test]
    fn stop_ends_the_children_of_the_child() {
        let (mut child, group) = family("sleep 1000 & echo up; wait");
        child.stop(Duration::from_secs(5));
        assert!(group_is_gone(group));
    }

    #[test]
    fn child_that_ignores_sigterm_is_killed() {
        let (mut child, group) = family("trap '' TERM; sleep 1000 & echo up; while :; do sleep 1; done");
        child.stop(Duration::from_millis(100));
        assert!(group_is_gone(group));
    }

    #[test]
    fn closed_pipe_ends_the_group() {
        let (mut child, group) = family("sleep 1000 & echo up; wait");
        drop(child.leash.take());
        assert!(child.child.wait().is_ok());
        assert!(group_is_gone(group));
    }

    #[test]
    fn ended_process_does_not_count_as_running() {
        let group = Pid::from_raw(40);
        assert!(runs_in(group, "41 (a (b) c) S 1 40 40 0"));
        assert!(!runs_in(group, "41 (sh) Z 1 40 40 0"));
        assert!(!runs_in(group, "40 (sh) S 1 41 40 0"));
        assert!(!runs_in(group, ""));
    }

    #[test]
    fn variables_of_cargo_run_are_not_passed_on() {
        assert!(is_set_by_cargo_run(OsStr::new("CARGO_PKG_NAME")));
        assert!(is_set_by_cargo_run(OsStr::new("CARGO_MANIFEST_DIR")));
        assert!(!is_set_by_cargo_run(OsStr::new("CARGO_HOME")));
        assert!(!is_set_by_cargo_run(OsStr::new("CARGO_TARGET_DIR")));
    }
}
