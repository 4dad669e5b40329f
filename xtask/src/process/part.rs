//! A started part of a session or a test run: its process group, its log, and whether it is up.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{Guarded, guard::now, interrupt};
use crate::step;

/// Time that a part has to stop by itself: the origin lets running requests finish.
const GRACE: Duration = Duration::from_secs(8);
const POLL: Duration = Duration::from_millis(50);
/// A part's exit code for "my configuration is wrong, see what I printed".
const WRONG_CONFIGURATION: i32 = 2;
/// A warning on the terminal is one line.
const WARNING_CHARS: usize = 200;

/// A running part. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Part {
    name: &'static str,
    process: Guarded,
    log: PathBuf,
    read: u64,
}

impl Part {
    /// Starts a part with a fresh log.
    pub(crate) fn start(name: &'static str, command: &Command, log: &Path) -> Result<Self> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let both = file.try_clone().context("cannot share a log")?;
        let process = Guarded::spawn(command, file.into(), both.into())?;
        Ok(Self { name, process, log: log.to_path_buf(), read: 0 })
    }

    /// Waits until `ready` gives something, and prints one line with the time it took.
    ///
    /// # Errors
    /// Fails when the part ends first (with its own words, if they are about its configuration), after `timeout`, or when the
    /// user interrupts.
    pub(crate) fn wait_until<T>(
        &mut self,
        timeout: Duration,
        ready: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let started = now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Err(self.ended(status));
            }
            if let Some(found) = ready(&self.output()) {
                println!("    {} is up ({})", self.name, step::human(started.elapsed()));
                return Ok(found);
            }
            if interrupt::raised() {
                bail!("interrupted");
            }
            if started.elapsed() > timeout {
                eprintln!("{}", step::tail(&self.log));
                let time = step::human(timeout);
                bail!(
                    "the {} did not come up within {time}: its log is {}",
                    self.name,
                    step::near(&self.log).display()
                );
            }
            sleep(POLL);
        }
    }

    /// # Errors
    /// Fails when the part has ended by itself; its log's tail has then been shown.
    pub(crate) fn require_running(&mut self) -> Result<()> {
        self.process.try_wait()?.map_or(Ok(()), |status| Err(self.ended(status)))
    }

    /// Prints what the part has newly logged as a warning or an error.
    pub(crate) fn print_warnings(&mut self) {
        for line in self.new_lines().lines().filter(|line| is_warning(line)) {
            println!("{}: {}", self.name, line.chars().take(WARNING_CHARS).collect::<String>());
        }
    }

    /// Asks the part to stop, and kills what has not gone in time.
    pub(crate) fn stop(mut self) {
        self.process.stop(GRACE);
    }

    /// All that was logged so far.
    fn output(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The whole lines that were logged since the last call.
    fn new_lines(&mut self) -> String {
        let mut bytes = Vec::new();
        // What cannot be read now is read next time.
        let _ = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_to_end(&mut bytes)
        });
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1));
        self.read += bytes.len() as u64;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The sentence about a part that has ended by itself.
    fn ended(&self, status: ExitStatus) -> anyhow::Error {
        let output = self.output();
        if status.code() == Some(WRONG_CONFIGURATION) && !output.trim().is_empty() {
            let lines: Vec<_> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            return anyhow::anyhow!("{}", lines.join("; "));
        }
        eprintln!("{}", step::tail(&self.log));
        anyhow::anyhow!("the {} ended ({status}): its log is {}", self.name, step::near(&self.log).display())
    }
}

/// Returns whether a log line is one that the user should see: in the formats of the origin (plain and JSON) and of wrangler.
fn is_warning(line: &str) -> bool {
    let level = ["WARN", "ERROR"].iter().any(|level| {
        line.split_whitespace().take(3).any(|word| word == *level)
            || line.contains(&format!("\"level\":\"{level}\""))
    });
    level || line.contains("[ERROR]") || line.contains("[WARNING]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(script: &str) -> (Part, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        (Part::start("origin", &command, &folder.path().join("logs/origin.log")).unwrap(), folder)
    }

    const TIMEOUT: Duration = Duration::from_secs(20);

    #[test]
    fn part_is_up_once_its_log_is_ready() {
        let (mut part, _folder) = part("echo listening on http://127.0.0.1:5; sleep 1000");
        let found =
            part.wait_until(TIMEOUT, |log| log.strip_prefix("listening on ").map(str::to_owned)).unwrap();
        assert_eq!(found.trim(), "http://127.0.0.1:5");
        part.require_running().unwrap();
        part.stop();
    }

    #[test]
    fn wrong_configuration_is_the_error() {
        let (mut part, _folder) = part("echo 'DATABASE_URL: `x` should be a URL' >&2; exit 2");
        let error = part.wait_until(TIMEOUT, |_| None::<()>).unwrap_err().to_string();
        assert_eq!(error, "DATABASE_URL: `x` should be a URL");
    }

    #[test]
    fn other_exit_is_named_with_the_log() {
        let (mut part, _folder) = part("exit 3");
        let error = part.wait_until(TIMEOUT, |_| None::<()>).unwrap_err().to_string();
        assert!(
            error.starts_with("the origin ended (exit status: 3)") && error.contains("origin.log"),
            "{error}"
        );
    }

    #[test]
    fn part_that_is_not_up_in_time_is_an_error() {
        let (mut part, _folder) = part("sleep 1000");
        let error = part.wait_until(Duration::ZERO, |_| None::<()>).unwrap_err().to_string();
        assert!(error.starts_with("the origin did not come up within 0.0 s"), "{error}");
    }

    #[test]
    fn lines_are_read_once_and_only_whole() {
        let (mut part, _folder) = part("sleep 1000");
        std::fs::write(&part.log, "one\ntw").unwrap();
        assert_eq!(part.new_lines(), "one\n");
        std::fs::write(&part.log, "one\ntwo\n").unwrap();
        assert_eq!(part.new_lines(), "two\n");
        assert_eq!(part.new_lines(), "");
    }

    #[test]
    fn warning_is_recognized_in_each_format() {
        assert!(is_warning("2026-11-21T04:00:00Z  WARN edgechat: the disk is nearly full"));
        assert!(is_warning(r#"{"level":"ERROR","message":"x"}"#));
        assert!(is_warning("✘ [ERROR] the script ended"));
        assert!(!is_warning("[wrangler:info] GET /api/v1/health 200 OK (3ms)"));
        assert!(!is_warning("INFO a request about an ERROR page"));
    }
}
