//! The machine and the date of a table, without which its figures mean nothing.

use std::{env, fs, path::Path, process::Command, thread};

use crate::clock;

/// Describes the machine in one line: processor, cores, kernel, runtime, file system of the data, date, and load before.
pub(super) fn line() -> String {
    let runtime = env::var_os("EDGECHAT_WORKERD_BIN")
        .and_then(|workerd| Command::new(workerd).arg("--version").output().ok())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .filter(|version| !version.is_empty());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let parts = [
        processor().unwrap_or_else(|| env::consts::ARCH.to_owned()),
        format!("{cores} {}", if cores == 1 { "core" } else { "cores" }),
        kernel().unwrap_or_else(|| env::consts::OS.to_owned()),
        runtime.unwrap_or_else(|| "workerd".to_owned()),
        format!("data on {}", filesystem(&env::temp_dir()).as_deref().unwrap_or("the temporary folder")),
        clock::now().day(),
    ];
    let busy = first_word("/proc/loadavg").map(|load| format!(" (load before: {load})"));
    parts.join(" · ") + &busy.unwrap_or_default()
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

fn kernel() -> Option<String> {
    let release = first_word("/proc/sys/kernel/osrelease")?;
    // The suffix after the dash names a machine, not a kernel.
    Some(format!("Linux {}", release.split('-').next().unwrap_or(&release)))
}

/// Returns the type of the file system of a folder, which determines the cost of durable writes.
fn filesystem(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let around = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?)).filter(|(point, _)| folder.starts_with(point))
    });
    // Of two mounts at the same point the later one hides the earlier.
    around.max_by_key(|(point, _)| point.components().count()).map(|(_, kind)| kind.to_owned())
}

fn first_word(file: &str) -> Option<String> {
    fs::read_to_string(file).ok()?.split_whitespace().next().map(str::to_owned)
}
