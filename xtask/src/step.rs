//! Telling the user what is happening and how long it took.
//!
//! A step prints one line when it starts and one when it is done. The output of a noisy tool goes to a log; while it
//! runs, a terminal shows the seconds and the tool's last line. When it fails, the log's tail is shown.

use std::{
    fs::File,
    io::{IsTerminal, Read, Seek, SeekFrom, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::process::{Guarded, guard::now};

/// How often the line on a terminal is redrawn, and how often a line is printed elsewhere.
const REDRAW: Duration = Duration::from_millis(500);
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// How much of a failed tool's log is shown.
const TAIL_LINES: usize = 25;
const TAIL_BYTES: u64 = 16 * 1024;

/// Runs `work` as a step of its own output: a headline before, the time after.
pub(crate) fn headed<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {title}");
    let started = now();
    let result = work()?;
    println!("    {title}: {}", human(started.elapsed()));
    Ok(result)
}

/// Runs a noisy tool quietly: its output goes to `log`.
///
/// # Errors
/// When the tool cannot be started or fails; the log's tail has then been shown, and the sentence names the log.
pub(crate) fn logged(title: &str, command: &mut Command, log: &Path) -> Result<()> {
    let status = attempt(title, command, log)?;
    if !status.success() {
        eprintln!("{}", tail(log));
        bail!("{title} failed ({status}): the whole output is in {}", near(log).display());
    }
    Ok(())
}

/// As [`logged`], for a tool that may fail: how it ended is the caller's to judge.
///
/// # Errors
/// When the tool cannot be started, or the user interrupts.
pub(crate) fn attempt(title: &str, command: &mut Command, log: &Path) -> Result<ExitStatus> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let both = file.try_clone().context("cannot share a log")?;
    // A tool's backtrace would push its own words out of the log's tail.
    command.env("RUST_BACKTRACE", "0").env("RUST_LIB_BACKTRACE", "0");
    let mut child = Guarded::spawn(command, file.into(), both.into())?;
    let mut line = ProgressLine::start(title, log);
    let status = child.wait(|| line.tick());
    line.finish();
    let status = status?;
    let outcome = if status.success() { "" } else { " (failed)" };
    println!("    {title}: {}{outcome}", human(line.started.elapsed()));
    Ok(status)
}

/// Runs a tool whose output the user wants to see as it comes.
///
/// # Errors
/// When the tool cannot be started or fails.
pub(crate) fn shown(title: &str, command: &mut Command) -> Result<()> {
    let mut child = Guarded::spawn(command, Stdio::inherit(), Stdio::inherit())?;
    let status = child.wait(|| ())?;
    if !status.success() {
        bail!("{title} failed ({status}): the reason stands above");
    }
    Ok(())
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

/// A path as seen from where the user is.
pub(crate) fn near(path: &Path) -> &Path {
    std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

/// A duration as a person says it: `0.4 s`, `12.0 s`, `3 min 05 s`.
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
    started: std::time::Instant,
    drawn: std::time::Instant,
    terminal: bool,
}

impl<'a> ProgressLine<'a> {
    fn start(title: &'a str, log: &'a Path) -> Self {
        let terminal = std::io::stdout().is_terminal();
        println!("==> {title}");
        Self { title, log, started: now(), drawn: now(), terminal }
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
            println!("    {}: still at it after {time}", self.title);
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
    fn durations_read_naturally() {
        let said = |millis| human(Duration::from_millis(millis));
        assert_eq!(said(40), "0.0 s");
        assert_eq!(said(449), "0.4 s");
        assert_eq!(said(12_000), "12.0 s");
        assert_eq!(said(59_949), "59.9 s");
        assert_eq!(said(59_960), "1 min 00 s");
        assert_eq!(said(185_000), "3 min 05 s");
    }

    #[test]
    fn a_tail_is_the_last_lines_and_of_nothing_is_nothing() {
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
    fn a_path_is_told_from_where_the_user_is() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(near(&here.join("a/b")), Path::new("a/b"));
        assert_eq!(near(Path::new("/elsewhere/b")), Path::new("/elsewhere/b"));
    }

    #[test]
    fn a_failing_tool_is_named_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("deep/tool.log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo why; exit 4"]);
        let error = logged("The tool", &mut command, &log).unwrap_err().to_string();
        assert!(error.starts_with("The tool failed (exit status: 4)"), "{error}");
        assert!(error.contains("tool.log"), "{error}");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "why\n");
    }
}
