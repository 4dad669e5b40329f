//! A child process that can be killed and started again on its own address, with its log.

use std::{
    env, fmt,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::oneshot,
};

use super::port::Port;
use crate::wait::bounded;

/// Whether a line says that the process is ready.
type IsReady = fn(&str) -> bool;

/// How one part is run.
pub(super) struct Launch {
    /// The part's name, for people.
    pub(super) name: &'static str,
    /// The program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Its whole environment beside `PATH`.
    pub(super) vars: Vec<(String, String)>,
    /// Its working folder.
    pub(super) folder: PathBuf,
    /// Finds the line of its standard output that says that it is ready.
    pub(super) is_ready: IsReady,
}

/// A part of the world: running or not.
pub(super) struct Part {
    launch: Launch,
    port: Port,
    log: Log,
    child: Option<Child>,
}

impl Part {
    pub(super) fn new(launch: Launch, port: Port) -> Self {
        let log = Log { name: launch.name, lines: Arc::default() };
        Self { launch, port, log, child: None }
    }

    pub(super) fn url(&self) -> String {
        self.port.url()
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// The process's id.
    pub(super) fn pid(&self) -> u32 {
        let running = self.child.as_ref().and_then(Child::id);
        running.unwrap_or_else(|| panic!("{} does not run", self.launch.name))
    }

    /// Starts the process and waits until it says that it is ready.
    pub(super) async fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.launch.name);
        let mut child = self.command().spawn().unwrap_or_else(|error| {
            panic!("{} ({}) does not start: {error}", self.launch.name, self.launch.program.display())
        });
        let (ready, is_ready) = oneshot::channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        tokio::spawn(drain(stdout, self.log.clone(), Some((self.launch.is_ready, ready))));
        tokio::spawn(drain(stderr, self.log.clone(), None));
        self.child = Some(child);
        let ready = bounded(&format!("{} to listen", self.launch.name), is_ready).await;
        assert!(ready.is_ok(), "{} ended before it was ready", self.launch.name);
    }

    fn command(&self) -> Command {
        let Launch { program, args, vars, folder, .. } = &self.launch;
        // A test that is killed takes its processes along where the system can do that.
        let mut command = match on_path("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(args).env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(vars.iter().map(|(name, value)| (name, value))).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Ends the process as `kill -9` does, and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        let name = self.launch.name;
        let mut child = self.child.take().unwrap_or_else(|| panic!("{name} does not run"));
        child.start_kill().unwrap_or_else(|error| panic!("{name} cannot be killed: {error}"));
        bounded(&format!("{name} to be gone"), child.wait()).await.expect("a child that can be waited for");
    }

    pub(super) fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("an id of a process");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("signal to {}: {error}", self.launch.name));
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

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Reads a process's output to its end, so that it never waits for a reader.
async fn drain(output: impl AsyncRead + Unpin, log: Log, mut ready: Option<(IsReady, oneshot::Sender<()>)>) {
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some((_, sender)) = ready.take_if(|(is_ready, _)| is_ready(&line)) {
            // Nobody waits any more when the test has given up.
            let _ = sender.send(());
        }
        log.push(line);
    }
}

/// What a part wrote to its standard output and error.
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

    fn push(&self, line: String) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Prints the last lines to where a test's output goes.
    #[expect(clippy::print_stderr, reason = "libtest shows what a failed test printed")]
    pub(super) fn print_tail(&self) {
        const TAIL: usize = 60;
        let lines = self.lines();
        eprintln!("--- the last lines of {} ---", self.name);
        for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
            eprintln!("{line}");
        }
    }
}
