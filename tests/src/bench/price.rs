//! The price of a turn on Cloudflare, by its published prices beyond the included amounts.
//!
//! Sources, as of November 2026: "Durable Objects: Pricing" (developers.cloudflare.com/durable-objects/platform/pricing) and
//! "Workers: Pricing" (developers.cloudflare.com/workers/platform/pricing), both for the Workers Paid plan.

/// US dollars for a million requests to a Worker.
const WORKER_REQUESTS: f64 = 0.30;
/// US dollars for a million milliseconds of a Worker's processor time. A Durable Object's is part of its duration.
const WORKER_CPU_MS: f64 = 0.02;
/// US dollars for a million requests to a Durable Object; an alarm is one.
const OBJECT_REQUESTS: f64 = 0.15;
/// US dollars for a million GB-seconds of a Durable Object's duration.
const OBJECT_GB_SECONDS: f64 = 12.50;
/// The memory that a Durable Object is billed for, whatever it uses, in GB: 128 MB.
const OBJECT_GB: f64 = 0.128;
/// US dollars for a million rows that SQLite wrote in a Durable Object; setting an alarm is one.
const ROWS_WRITTEN: f64 = 1.00;
/// US dollars for a million rows that SQLite read in a Durable Object.
const ROWS_READ: f64 = 0.001;

/// The length of a model's answer, in seconds: the object is billed for as long.
pub(super) const STREAM_SECONDS: f64 = 5.0;

/// The resources that a turn uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TurnUse {
    /// Rows written, including alarms that were set.
    pub(super) rows_written: f64,
    /// Rows read.
    pub(super) rows_read: f64,
    /// Alarms that ran.
    pub(super) alarms: f64,
    /// Processor time of the front, in milliseconds.
    pub(super) front_cpu_ms: f64,
    /// The time for which the object cannot hibernate, in seconds.
    pub(super) seconds: f64,
}

impl TurnUse {
    /// US dollars for a million such turns. Stored bytes, logs and the origin are not in it.
    pub(super) fn dollars_a_million(self) -> f64 {
        let Self { rows_written, rows_read, alarms, front_cpu_ms, seconds } = self;
        WORKER_REQUESTS
            + front_cpu_ms * WORKER_CPU_MS
            + (1.0 + alarms) * OBJECT_REQUESTS
            + seconds * OBJECT_GB * OBJECT_GB_SECONDS
            + rows_written * ROWS_WRITTEN
            + rows_read * ROWS_READ
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NOTHING: TurnUse =
        TurnUse { rows_written: 0.0, rows_read: 0.0, alarms: 0.0, front_cpu_ms: 0.0, seconds: 0.0 };

    #[rstest]
    #[case::requests(NOTHING, 0.45)]
    #[case::duration(TurnUse { seconds: 5.0, ..NOTHING }, 8.45)]
    #[case::rows(TurnUse { rows_written: 15.0, rows_read: 1_000.0, ..NOTHING }, 16.45)]
    #[case::alarms(TurnUse { alarms: 2.0, ..NOTHING }, 0.75)]
    #[case::processor(TurnUse { front_cpu_ms: 5.0, ..NOTHING }, 0.55)]
    #[case::all(
        TurnUse { rows_written: 7.0, rows_read: 20.0, alarms: 2.0, front_cpu_ms: 2.0, seconds: 5.0 },
        15.81
    )]
    fn price_is_the_sum_of_its_parts(#[case] turn: TurnUse, #[case] dollars: f64) {
        let price = turn.dollars_a_million();
        assert!((price - dollars).abs() < 1e-9, "{price}");
    }
}
