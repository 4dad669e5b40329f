//! The kernel's figures of processes, on Linux; elsewhere they are absent and the tables have dashes.

use std::{collections::BTreeMap, fs, future::Future};

/// Ticks of the processor's time in a second: `USER_HZ`, which is part of the kernel's interface.
const TICKS_A_SECOND: f64 = 100.0;

/// A process of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(pub(super) u32);

impl Process {
    /// This process.
    pub(super) fn own() -> Self {
        Self(std::process::id())
    }

    /// The processor's time it has used so far, in the kernel and out of it, in milliseconds.
    pub(super) fn cpu_ms(self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        Some(ticks_ms(ticks(&stat)?))
    }

    /// Awaits a future and returns its cost for this process, in milliseconds of processor time.
    pub(super) async fn cost_of<F: Future>(self, work: F) -> (F::Output, Option<f64>) {
        let before = self.cpu_ms();
        let output = work.await;
        let cost = before.zip(self.cpu_ms()).map(|(before, after)| after - before);
        (output, cost)
    }

    /// The processor's time that each of its threads has used so far.
    pub(super) fn threads(self) -> Threads {
        let folder = format!("/proc/{}/task", self.0);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        // A thread may end while it is looked at.
        let thread = |entry: fs::DirEntry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            Some((id, ticks(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
        };
        Threads(entries.filter_map(thread).collect())
    }

    /// The bytes it has written to storage so far, in pages: a page counts when it becomes dirty, not when the kernel writes it.
    pub(super) fn written_bytes(self) -> Option<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.0)).ok()?;
        field(&io, "write_bytes:")
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

/// The processor's time that threads have used, in ticks, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Threads(BTreeMap<u32, u64>);

impl Threads {
    /// The most that one thread used since `before`, in milliseconds. Threads that have ended meanwhile are not counted.
    pub(super) fn busiest_ms_since(&self, before: &Self) -> Option<f64> {
        let used =
            self.0.iter().map(|(id, ticks)| ticks.saturating_sub(before.0.get(id).copied().unwrap_or(0)));
        used.max().map(ticks_ms)
    }
}

/// The time of all processors together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    busy: u64,
    all: u64,
}

impl Machine {
    /// The time since the machine started.
    pub(super) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// The share of the time since `before` in which processors worked, of all there is.
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 ticks are counted")]
    pub(super) fn share_since(self, before: Self) -> Option<f64> {
        let (busy, all) = (self.busy.checked_sub(before.busy)?, self.all.checked_sub(before.all)?);
        (all > 0).then(|| busy as f64 / all as f64)
    }

    /// Reads the first line of `/proc/stat` (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal. The fields
    /// after these are included in user and nice.
    fn parse(stat: &str) -> Option<Self> {
        let times = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
        let times: Vec<u64> = times.map(|time| time.parse().ok()).collect::<Option<_>>()?;
        let &[_, _, _, idle, waiting, ..] = times.as_slice() else { return None };
        let all = times.iter().sum();
        Some(Self { busy: all - idle - waiting, all })
    }
}

/// User and system time of a line of `/proc/PID/stat` (proc_pid_stat(5)). The name in it may hold blanks and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some(user + system)
}

#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 ticks are counted")]
fn ticks_ms(ticks: u64) -> f64 {
    ticks as f64 * 1_000.0 / TICKS_A_SECOND
}

/// Returns the number after a name that begins a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_behind_any_name_are_found() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 120 34 5 6 20 0 3 0 99 1000 10";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn busiest_thread_counts_from_before_and_new_ones_from_zero() {
        let threads = |all: &[(u32, u64)]| Threads(all.iter().copied().collect());
        let before = threads(&[(1, 500), (2, 10), (3, 900)]);
        let after = threads(&[(1, 520), (2, 90), (4, 70)]);
        assert_eq!(after.busiest_ms_since(&before), Some(800.0));
        assert_eq!(threads(&[]).busiest_ms_since(&before), None);
    }

    #[test]
    fn written_bytes_are_those_that_reach_storage() {
        let io = "rchar: 1\nwchar: 2\nsyscr: 3\nread_bytes: 4\nwrite_bytes: 8192\ncancelled_write_bytes: 6\n";
        assert_eq!(field(io, "write_bytes:"), Some(8_192));
        assert_eq!(field(io, "missing:"), None);
    }

    #[test]
    fn disk_wait_is_not_counted_as_work() {
        let at = |line| Machine::parse(line).unwrap();
        let before = at("cpu  100 0 50 1000 10 0 0 0 0 0\ncpu0 1 2 3 4\n");
        let after = at("cpu  160 0 80 1060 60 0 0 0 0 0\n");
        let share = after.share_since(before).unwrap();
        assert!((share - 0.45).abs() < 1e-9, "{share}");
        assert_eq!(before.share_since(before), None);
        assert_eq!(before.share_since(after), None);
        assert_eq!(Machine::parse("cpu  1 2 3\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn own_process_is_measured() {
        let own = Process::own();
        assert!(own.cpu_ms().is_some() && own.resident_mib().is_some());
        assert!(own.threads().busiest_ms_since(&Threads::default()).is_some());
        assert!(Machine::now().is_some());
    }
}
