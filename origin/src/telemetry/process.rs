//! Figures of the process itself, by the names that Prometheus's own libraries give them. They are read from Linux's `/proc`;
//! elsewhere there are none.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Clock ticks of a second, as the kernel counts processor time for programs on every platform that this runs on.
const TICKS_A_SECOND: f64 = 100.0;
const BYTES_A_KIB: u64 = 1_024;

/// Reads them when somebody looks.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut write = |name: &str, help: &str, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        if let Some(bytes) = resident_bytes() {
            write("process_resident_memory_bytes", "Resident memory", &ConstGauge::new(bytes))?;
        }
        if let Some(open) = open_descriptors() {
            write("process_open_fds", "Open file descriptors", &ConstGauge::new(open))?;
        }
        if let Some(seconds) = processor_seconds() {
            write(
                "process_cpu_seconds",
                "Processor time, the kernel's for it included",
                &ConstCounter::new(seconds),
            )?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    i64::try_from(kib.parse::<u64>().ok()? * BYTES_A_KIB).ok()
}

fn open_descriptors() -> Option<i64> {
    // One is that of the look itself.
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1)).ok()
}

/// Fields 14 and 15 of `PID (NAME) STATE …`, where the name may hold anything.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_A_SECOND)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn process_has_memory_descriptors_and_used_the_processor() {
        assert!(resident_bytes().unwrap() > 1_000_000);
        assert!(open_descriptors().unwrap() >= 3);
        assert!(processor_seconds().unwrap() >= 0.0);
    }
}
