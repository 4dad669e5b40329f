//! What the kernel tells about a process, on Linux; elsewhere nothing is told and the table lacks the lines.

use std::{fs, future::Future};

/// Ticks of the processor's time in a second: `USER_HZ`, which is part of the kernel's interface.
const TICKS_A_SECOND: f64 = 100.0;

/// A process of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(pub(super) u32);

impl Process {
    /// The processor's time it has used so far, in the kernel and out of it, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "nobody uses 2^52 ticks")]
    pub(super) fn cpu_ms(self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        Some(ticks(&stat)? as f64 * 1_000.0 / TICKS_A_SECOND)
    }

    /// Awaits something and tells what it cost this process, in milliseconds of the processor's time.
    pub(super) async fn cost_of<F: Future>(self, work: F) -> (F::Output, Option<f64>) {
        let before = self.cpu_ms();
        let output = work.await;
        let cost = before.zip(self.cpu_ms()).map(|(before, after)| after - before);
        (output, cost)
    }

    /// The most memory it has had resident at once, in MiB.
    pub(super) fn peak_memory_mib(self) -> Option<f64> {
        self.memory_mib("VmHWM:")
    }

    /// The memory it has resident now, in MiB.
    pub(super) fn resident_mib(self) -> Option<f64> {
        self.memory_mib("VmRSS:")
    }

    fn memory_mib(self, field: &str) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib / 1_024.0)
    }
}

/// User and system time of a line of `/proc/PID/stat` (proc_pid_stat(5)). The name in it may hold blanks and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 120 34 5 6 20 0 3 0 99 1000 10";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("7 (a"), None);
    }
}
