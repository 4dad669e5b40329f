//! Prints what happens and how long it took.
//!
//! A step prints one line when it starts and one when it is done. The output of a noisy tool goes to a log; while it
//! runs, a terminal shows the seconds and the tool's last line. When it fails, the log's tail is shown.

use std::{
    fs::File,
    io::{IsTerminal, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::process::{Guarded, guard::now};

/// Time between two drawings of the line on a terminal, and between two lines elsewhere.
const REDRAW: Duration = Duration::from_millis(500);
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// The part of a failed tool's log that is shown.
const TAIL_LINES: usize = 25;
const TAIL_BYTES: u64 = 16 * 1024;

/// Counts the steps of a command, for their headlines: `==> [2/6] Node packages (npm ci), about 20 s`.
#[derive(Debug)]
pub(crate) struct Steps {
    started: usize,
    all: usize,
}

impl Steps {
    /// Begins to count to `all`.
    pub(crate) fn new(all: usize) -> Self {
        Self { started: 0, all }
    }

    /// Prints the next step's headline; `takes` is how long the step took where it was measured.
    pub(crate) fn headline(&mut self, title: &str, takes: Option<&str>) {
        println!("==> {}", self.next(title, takes));
    }

    fn next(&mut self, title: &str, takes: Option<&str>) -> String {
        self.started += 1;
        let takes = takes.map(|time| format!(", about {time}")).unwrap_or_default();
        format!("[{}/{}] {title}{takes}", self.started, self.all)
    }
}

/// A noisy tool that runs while other steps do. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Background {
    title: &'static str,
    log: PathBuf,
    process: Guarded,
    started: Instant,
    is_done: bool,
}

impl Background {
    /// Starts the tool; its output goes to `log`.
    ///
    /// # Errors
    /// Fails when the tool cannot be started.
    pub(crate) fn start(title: &'static str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let process = spawn_logged(command, &log)?;
        Ok(Self { title, log, process, started: now(), is_done: false })
    }

    /// Prints that the tool has ended, once it has.
    ///
    /// # Errors
    /// Fails as [`logged`] does.
    fn look(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) if !self.is_done => {
                self.is_done = true;
                conclude(self.title, status, self.started, &self.log)
            }
            _ => Ok(()),
        }
    }

    /// Waits for the tool's end.
    ///
    /// # Errors
    /// Fails as [`logged`] does, or when the user interrupts.
    pub(crate) fn finish(mut self) -> Result<()> {
        if !self.is_done {
            let mut line = ProgressLine::start(self.title, &self.log, self.started);
            let status = self.process.wait(|| {
                line.tick();
                Ok(())
            });
            line.finish();
            status?;
        }
        self.look()
    }
}

/// Runs `work` as a step with output of its own: a headline before, the time after.
pub(crate) fn headed<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {title}");
    timed(title, work)
}

/// Runs `work` and prints the time that it took.
pub(crate) fn timed<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = now();
    let result = work()?;
    println!("    {title}: {}", human(started.elapsed()));
    Ok(result)
}

/// Runs a noisy tool: its output goes to `log`.
///
/// # Errors
/// Fails when the tool cannot be started or fails; the log's tail has then been shown, and the sentence names the log.
pub(crate) fn logged(title: &str, command: &mut Command, log: &Path) -> Result<()> {
    println!("==> {title}");
    quiet(title, command, log)
}

/// Runs a noisy tool as [`logged`] does, without a headline.
///
/// # Errors
/// Fails as [`logged`] does.
pub(crate) fn quiet(title: &str, command: &mut Command, log: &Path) -> Result<()> {
    let started = now();
    let status = run_logged(title, command, log)?;
    conclude(title, status, started, log)
}

/// Runs a noisy tool that may fail: the caller judges its status.
///
/// # Errors
/// Fails when the tool cannot be started, or the user interrupts.
pub(crate) fn attempt(title: &str, command: &mut Command, log: &Path) -> Result<ExitStatus> {
    println!("==> {title}");
    let started = now();
    let status = run_logged(title, command, log)?;
    let outcome = if status.success() { "" } else { " (failed)" };
    println!("    {title}: {}{outcome}", human(started.elapsed()));
    Ok(status)
}

/// Runs a tool whose output the user wants to see as it comes.
///
/// # Errors
/// Fails when the tool cannot be started or fails.
pub(crate) fn shown(title: &str, command: &mut Command) -> Result<()> {
    shown_beside(title, command, &mut [])
}

/// Runs a tool as [`shown`] does, while others run in the background.
///
/// # Errors
/// Fails when a tool cannot be started or fails.
pub(crate) fn shown_beside(title: &str, command: &mut Command, others: &mut [Background]) -> Result<()> {
    let mut child = Guarded::spawn(command, Stdio::inherit(), Stdio::inherit())?;
    let status = child.wait(|| others.iter_mut().try_for_each(Background::look))?;
    if !status.success() {
        bail!("{title} failed ({status}): the reason stands above");
    }
    Ok(())
}

fn run_logged(title: &str, command: &mut Command, log: &Path) -> Result<ExitStatus> {
    let mut child = spawn_logged(command, log)?;
    let mut line = ProgressLine::start(title, log, now());
    let status = child.wait(|| {
        line.tick();
        Ok(())
    });
    line.finish();
    status
}

fn spawn_logged(command: &mut Command, log: &Path) -> Result<Guarded> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let both = file.try_clone().context("cannot share a log")?;
    // A tool's backtrace would push its own words out of the log's tail.
    command.env("RUST_BACKTRACE", "0").env("RUST_LIB_BACKTRACE", "0");
    Guarded::spawn(command, file.into(), both.into())
}

/// Prints the time of a tool that succeeded, or the log's tail of one that failed.
fn conclude(title: &str, status: ExitStatus, started: Instant, log: &Path) -> Result<()> {
    if status.success() {
        println!("    {title}: {}", human(started.elapsed()));
        return Ok(());
    }
    eprintln!("{}", tail(log));
    bail!("{title} failed ({status}): the whole output is in {}", near(log).display());
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let mut bytes = Vec::new();
    // A log that cannot be read has no tail; the caller's sentence names the log.
    let _ = File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        file.read_to_end(&mut bytes)
    });
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

/// The path relative to the current folder, where it lies below that.
pub(crate) fn near(path: &Path) -> &Path {
    std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

/// The duration in words: `0.4 s`, `12.0 s`, `3 min 05 s`.
pub(crate) fn human(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = (tenths + 5) / 10;
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

/// The line of a running step: redrawn in place on a terminal, repeated now and then elsewhere.
struct ProgressLine<'a> {
    title: &'a str,
    log: &'a Path,
    started: Instant,
    drawn: Instant,
    terminal: bool,
}

impl<'a> ProgressLine<'a> {
    fn start(title: &'a str, log: &'a Path, started: Instant) -> Self {
        Self { title, log, started, drawn: now(), terminal: std::io::stdout().is_terminal() }
    }

    fn tick(&mut self) {
        let pause = if self.terminal { REDRAW } else { SIGN_OF_LIFE };
        if self.drawn.elapsed() < pause {
            return;
        }
        self.drawn = now();
        let time = human(self.started.elapsed());
        if self.terminal {
            let last = tail(self.log);
            let last: String = last.lines().next_back().unwrap_or_default().trim().chars().take(60).collect();
            print!("\r\x1b[2K    {time}  {last}");
            // A terminal that cannot be written to is no reason to stop the work.
            let _ = std::io::stdout().flush();
        } else {
            println!("    {}: still running after {time}", self.title);
        }
    }

    fn finish(&self) {
        if self.terminal {
            print!("\r\x1b[2K");
            let _ = std::io::stdout().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_rounded_for_people() {
        let text = |millis| human(Duration::from_millis(millis));
        assert_eq!(text(40), "0.0 s");
        assert_eq!(text(449), "0.4 s");
        assert_eq!(text(12_000), "12.0 s");
        assert_eq!(text(59_949), "59.9 s");
        assert_eq!(text(59_960), "1 min 00 s");
        assert_eq!(text(185_000), "3 min 05 s");
    }

    #[test]
    fn tail_of_a_long_log_is_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(tail(&log), "");
        let lines: Vec<_> = (0..100).map(|n| format!("line {n}")).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(tail(&log), lines[75..].join("\n"));
        std::fs::write(&log, "only\n").unwrap();
        assert_eq!(tail(&log), "only");
    }

    #[test]
    fn path_below_the_current_folder_is_relative() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(near(&here.join("a/b")), Path::new("a/b"));
        assert_eq!(near(Path::new("/elsewhere/b")), Path::new("/elsewhere/b"));
    }

    #[test]
    fn headlines_count_and_give_the_time_of_a_first_run() {
        let mut steps = Steps::new(2);
        assert_eq!(
            steps.next("Worker (cargo build)", Some("95 s")),
            "[1/2] Worker (cargo build), about 95 s"
        );
        assert_eq!(steps.next("Starting", None), "[2/2] Starting");
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn background_tool_that_fails_ends_the_tool_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let failing = Background::start("Other", &mut shell("exit 4"), folder.path().join("log")).unwrap();
        let error = shown_beside("The tool", &mut shell("sleep 1000"), &mut [failing]).unwrap_err();
        assert!(error.to_string().starts_with("Other failed (exit status: 4)"), "{error}");
    }

    #[test]
    fn background_tool_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let start = |script| Background::start("Other", &mut shell(script), folder.path().join("log"));
        start("read -r _; exit 0").unwrap().finish().unwrap();
        let error = start("exit 4").unwrap().finish().unwrap_err();
        assert!(error.to_string().starts_with("Other failed (exit status: 4)"), "{error}");
    }

    #[test]
    fn failing_tool_is_named_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("deep/tool.log");
        let error = logged("The tool", &mut shell("echo why; exit 4"), &log).unwrap_err().to_string();
        assert!(error.starts_with("The tool failed (exit status: 4)"), "{error}");
        assert!(error.contains("tool.log"), "{error}");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "why\n");
    }
}
