//! A child process that can be killed and started again on its own address, with its log.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

use super::port::Port;
use crate::wait::{BOUND, bounded, until};

/// A predicate for the line of output that reports the process as ready.
type IsReady = fn(&str) -> bool;

/// The command line and environment of a part.
pub(crate) struct Launch {
    /// The part's name in messages.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Its whole environment besides `PATH`.
    pub(crate) vars: Vec<(String, String)>,
    /// Its working folder.
    pub(crate) folder: PathBuf,
    /// The user it runs as, if not this process's.
    pub(crate) user: Option<&'static str>,
    /// Finds the line of its output that reports it as ready.
    pub(crate) is_ready: IsReady,
}

/// A part of the environment: running or not.
pub(crate) struct Part {
    launch: Launch,
    port: Port,
    log: Log,
    child: Option<Child>,
}

impl Part {
    pub(crate) fn new(launch: Launch, port: Port) -> Self {
        let log = Log { name: launch.name, lines: Arc::default() };
        Self { launch, port, log, child: None }
    }

    pub(crate) fn url(&self) -> String {
        self.port.url()
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Sets a variable for the next start.
    pub(crate) fn set_var(&mut self, name: &str, value: &str) {
        self.launch.vars.retain(|(known, _)| known != name);
        self.launch.vars.push((name.to_owned(), value.to_owned()));
    }

    /// Sets the program and its arguments for the next start.
    pub(crate) fn set_command(&mut self, program: PathBuf, args: Vec<String>) {
        self.launch.program = program;
        self.launch.args = args;
    }

    /// Runs the program once more beside, in the same folder with the same variables, and returns what it printed.
    pub(crate) async fn run_beside(&self, args: &[&str]) -> String {
        let Launch { program, vars, folder, .. } = &self.launch;
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(vars.iter().cloned()).current_dir(folder).kill_on_drop(true);
        let output = bounded("a command to end", command.output()).await.expect("a program that starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        let running = self.child.as_ref().and_then(Child::id);
        running.unwrap_or_else(|| panic!("{} does not run", self.launch.name))
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.launch.name);
        let mut child = self.command().spawn().unwrap_or_else(|error| {
            panic!("{} ({}) does not start: {error}", self.launch.name, self.launch.program.display())
        });
        let (ready, mut is_ready) = mpsc::channel(1);
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        tokio::spawn(drain(stdout, self.log.clone(), self.launch.is_ready, ready.clone()));
        tokio::spawn(drain(stderr, self.log.clone(), self.launch.is_ready, ready));
        self.child = Some(child);
        let ready = bounded(&format!("{} to listen", self.launch.name), is_ready.recv()).await;
        if ready.is_none() {
            self.log.print_tail();
            panic!("{} ended before it was ready", self.launch.name);
        }
    }

    fn command(&self) -> Command {
        let Launch { program, args, vars, folder, user, .. } = &self.launch;
        let mut command = guarded(program, *user);
        command.args(args).env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(vars.iter().map(|(name, value)| (name, value))).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Kills the process and its children as `kill -9` does, and waits until they have ended.
    pub(crate) async fn kill(&mut self) {
        let name = self.launch.name;
        // Suspended first, it starts no children while they are listed.
        self.stop().await;
        let children = self.children();
        let mut child = self.child.take().unwrap_or_else(|| panic!("{name} does not run"));
        child.start_kill().unwrap_or_else(|error| panic!("{name} cannot be killed: {error}"));
        for pid in &children {
            // It may have ended by itself.
            let _ = kill_process(*pid, Signal::KILL);
        }
        bounded(&format!("{name} to be gone"), child.wait()).await.expect("a child that can be waited for");
        until(BOUND, &format!("the children of {name} to be gone"), || async {
            children.iter().all(|pid| is_gone(*pid)).then_some(())
        })
        .await;
    }

    /// Suspends the process and its children.
    pub(crate) async fn suspend(&self) {
        self.stop().await;
        for child in self.children() {
            // It may have ended by itself.
            let _ = kill_process(child, Signal::STOP);
            self.wait_until_stopped(child).await;
        }
    }

    /// Resumes them.
    pub(crate) fn resume(&self) {
        self.signal_children(Signal::CONT);
        self.signal(Signal::CONT);
    }

    async fn stop(&self) {
        self.signal(Signal::STOP);
        self.wait_until_stopped(self.id()).await;
    }

    /// Waits until no thread of a process runs, since signals are asynchronous. Where the system has no `/proc`, this does
    /// not wait.
    async fn wait_until_stopped(&self, pid: Pid) {
        let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
        let runs = || {
            std::fs::read_dir(&tasks)
                .is_ok_and(|threads| threads.flatten().any(|thread| is_running(&thread.path())))
        };
        let what = format!("process {} of {} to stop", pid.as_raw_nonzero(), self.launch.name);
        until(BOUND, &what, || async { (!runs()).then_some(()) }).await;
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal)
            .unwrap_or_else(|error| panic!("signal to {}: {error}", self.launch.name));
    }

    fn signal_children(&self, signal: Signal) {
        for pid in self.children() {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    fn id(&self) -> Pid {
        i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("an id of a process")
    }

    /// Lists the child processes, where the system has `/proc`.
    fn children(&self) -> Vec<Pid> {
        let pid = self.pid();
        let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        listed.split_whitespace().filter_map(|word| word.parse().ok().and_then(Pid::from_raw)).collect()
    }
}

/// Reads `PID (NAME) STATE …`, where the name may hold anything.
fn is_running(thread: &Path) -> bool {
    let stat = std::fs::read_to_string(thread.join("stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !"TtZX".contains(state))
}

/// Returns true when a process has ended, also before it is waited for.
fn is_gone(pid: Pid) -> bool {
    std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())).is_err()
}

impl Drop for Part {
    fn drop(&mut self) {
        // The child ends with the value; its children would end later, and write meanwhile.
        if self.child.as_ref().and_then(Child::id).is_some() {
            self.signal_children(Signal::KILL);
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("name", &self.launch.name)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Builds a command for this program that ends with the process that starts it, where the system can do that.
///
/// # Panics
/// Panics when it is to run as another user and the system cannot do that.
pub(crate) fn guarded(program: &Path, user: Option<&str>) -> Command {
    let setpriv = on_path("setpriv");
    let Some(setpriv) = setpriv else {
        assert!(user.is_none(), "`setpriv` (of util-linux) is needed to run {} here", program.display());
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    if let Some(user) = user {
        command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups"]);
    }
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// Returns the path of a program that is on the `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Reads a process's output to its end, so that it never waits for a reader.
async fn drain(output: impl AsyncRead + Unpin, log: Log, is_ready: IsReady, ready: mpsc::Sender<()>) {
    let (mut lines, mut ready) = (BufReader::new(output).split(b'\n'), Some(ready));
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some(sender) = ready.take_if(|_| is_ready(&line)) {
            // The receiver is gone when the test has given up.
            let _ = sender.try_send(());
        }
        log.push(line);
    }
}

/// The lines that a part wrote to its standard output and error.
#[derive(Clone, Debug)]
pub struct Log {
    name: &'static str,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a line has this text: output is read asynchronously.
    ///
    /// # Panics
    /// Panics when that takes too long.
    pub async fn wait_for(&self, text: &str) {
        until(BOUND, &format!("{text:?} in the log of {}", self.name), || async {
            self.lines().iter().any(|line| line.contains(text)).then_some(())
        })
        .await;
    }

    fn push(&self, line: String) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Prints the last lines to the test's output.
    #[expect(clippy::print_stderr, reason = "libtest shows what a failed test printed")]
    pub(crate) fn print_tail(&self) {
        const TAIL: usize = 60;
        let lines = self.lines();
        eprintln!("--- the last lines of {} ---", self.name);
        for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
            eprintln!("{line}");
        }
    }
}
