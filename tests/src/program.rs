//! External programs: run with a time limit, ended with their child processes, and quoted when they fail.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{process::Command, time::timeout};

use crate::test_env::part::guarded;

/// A program with its arguments, not yet run.
#[derive(Debug)]
pub struct Program {
    name: String,
    command: Command,
}

impl Program {
    /// Creates a command for this program, by its path or its name on the `PATH`; `name` is used in messages.
    pub fn new(name: impl Into<String>, program: impl AsRef<Path>) -> Self {
        let mut command = guarded(program.as_ref(), None);
        command.process_group(0).stdin(Stdio::null());
        Self { name: name.into(), command }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<T: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn in_folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs the program to its end and returns its output, standard error included.
    ///
    /// # Panics
    /// Panics when it does not start, fails, or takes longer than `bound`; the message has its output.
    pub async fn run(self, bound: Duration) -> String {
        let (status, said) = self.try_run(bound).await;
        match status {
            Ok(()) => said,
            Err(reason) => panic!("{reason}; it said:\n{said}"),
        }
    }

    /// As [`Self::run`], for a program that may fail.
    async fn try_run(mut self, bound: Duration) -> (Result<(), String>, String) {
        let name = &self.name;
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let output = || File::options().append(true).open(log.path()).expect("the temporary file");
        self.command.stdout(output()).stderr(output());
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) => return (Err(format!("{name} does not start: {error}")), String::new()),
        };
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let ended = timeout(bound, child.wait()).await;
        // Its child processes end with it, detached ones included.
        drop(group);
        let said = String::from_utf8_lossy(&fs::read(log.path()).unwrap_or_default()).into_owned();
        let status = match ended {
            Err(_) => Err(format!("{name} took longer than {bound:?}")),
            Ok(Err(error)) => Err(format!("{name} cannot be waited for: {error}")),
            Ok(Ok(status)) if !status.success() => Err(format!("{name} failed ({status})")),
            Ok(Ok(_)) => Ok(()),
        };
        (status, said)
    }
}

/// A process with its children, which end with the value, also when a test ends early.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // All may have ended by themselves.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Program {
        Program::new("the script", "sh").args(["-c", script])
    }

    #[tokio::test]
    async fn program_that_succeeds_returns_both_outputs() {
        assert_eq!(shell("echo $A; echo err >&2").env("A", "out").run(BOUND).await, "out\nerr\n");
    }

    #[tokio::test]
    async fn program_that_fails_is_quoted() {
        let (status, said) = shell("echo why; exit 4").try_run(BOUND).await;
        assert_eq!(status.unwrap_err(), "the script failed (exit status: 4)");
        assert_eq!(said, "why\n");
    }

    #[tokio::test]
    async fn program_that_hangs_is_ended_and_quoted() {
        let (status, said) = shell("echo begun; sleep 600").try_run(Duration::from_millis(500)).await;
        assert_eq!(status.unwrap_err(), "the script took longer than 500ms");
        assert!(said == "begun\n" || said.is_empty(), "{said}");
    }
}
