//! Counts from logs of the runtime: `strace`'s of the calls that write to the disk, and the runtime's trace of its isolates.

use std::{fs, io, path::Path};

use serde::Deserialize;

/// Writes to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DiskCalls {
    /// Waits for a disk: `fsync` and `fdatasync`.
    pub(super) fsyncs: u64,
    /// Bytes that were written to files.
    pub(super) bytes: u64,
}

impl DiskCalls {
    /// Reads the counts from the log so far; the runtime keeps running.
    ///
    /// # Errors
    /// Fails when there is no log.
    pub(super) fn read(log: &Path) -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string(log)?))
    }

    /// Returns the difference to `before`.
    #[must_use]
    pub(super) fn since(self, before: Self) -> Self {
        Self { fsyncs: self.fsyncs - before.fsyncs, bytes: self.bytes - before.bytes }
    }

    /// Parses lines of the form `PID CALL(…) = RESULT`, or the two halves of one that another thread interrupted: `PID CALL(…
    /// <unfinished ...>` and `PID <... CALL resumed>…) = RESULT`.
    fn parse(log: &str) -> Self {
        let mut calls = Self::default();
        for line in log.lines() {
            let Some((_, call)) = line.split_once(' ') else { continue };
            let Some((_, result)) = call.rsplit_once(" = ") else { continue };
            let call = call.trim_start();
            let call = call.strip_prefix("<... ").unwrap_or(call);
            let name = call.split(['(', ' ']).next().unwrap_or_default();
            let result = result.split_whitespace().next().and_then(|result| result.parse::<u64>().ok());
            match (name, result) {
                ("fsync" | "fdatasync", Some(_)) => calls.fsyncs += 1,
                ("pwrite64" | "pwritev" | "pwritev2", Some(written)) => calls.bytes += written,
                _ => {}
            }
        }
        calls
    }
}

/// The work of isolates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IsolateWork {
    /// The number of times that a thread took an isolate's lock and ran JavaScript in it.
    pub(super) entries: u64,
}

impl IsolateWork {
    /// Reads the counts from the trace so far; the runtime keeps running.
    ///
    /// # Errors
    /// Fails when there is no trace.
    pub(super) fn read(trace: &Path) -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string(trace)?))
    }

    /// Counts the events of type `turn`, the runtime's word for an entry. Each line is an event in JSON; the last one may be
    /// incomplete.
    fn parse(trace: &str) -> Self {
        #[derive(Deserialize)]
        struct Event<'a> {
            e: &'a str,
        }
        let is_entry =
            |line: &&str| serde_json::from_str::<Event<'_>>(line).is_ok_and(|event| event.e == "turn");
        Self { entries: trace.lines().filter(is_entry).count() as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_calls_are_counted_once() {
        let log = "19725 pwrite64(17, \"\"..., 4096, 56)     = 4096\n\
                   19725 fsync(17)                         = 0\n\
                   19725 pwrite64(17, \"\"..., 24, 32 <unfinished ...>\n\
                   19726 fdatasync(18 <unfinished ...>\n\
                   19725 <... pwrite64 resumed>)           = 24\n\
                   19726 <... fdatasync resumed>)          = 0\n\
                   19726 fsync(19)                         = -1 EIO (Input/output error)\n\
                   19726 +++ exited with 0 +++\n\
                   19725 fsync(";
        let calls = DiskCalls::parse(log);
        assert_eq!(calls, DiskCalls { fsyncs: 2, bytes: 4_120 });
        let later = DiskCalls { fsyncs: 5, bytes: 5_000 };
        assert_eq!(later.since(calls), DiskCalls { fsyncs: 3, bytes: 880 });
    }

    #[test]
    fn entries_are_the_turns_of_a_trace() {
        let trace = "{\"e\":\"header\",\"v\":1,\"producer\":\"workerd\"}\n\
                     {\"e\":\"init\",\"ctx\":1,\"id\":1,\"kind\":\"request\",\"name\":\"turn\"}\n\
                     {\"e\":\"turn\",\"ctx\":1,\"cause\":1,\"start\":1,\"locked\":2,\"end\":3}\n\
                     {\"e\":\"turn\",\"ctx\":2,\"cause\":5,\"start\":4,\"locked\":5,\"end\":6}\n\
                     {\"e\":\"turn\",\"ctx\":2,";
        assert_eq!(IsolateWork::parse(trace), IsolateWork { entries: 2 });
    }
}
