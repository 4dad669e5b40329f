//! Detection of saturated threads: the load of the busiest thread of each process, and of the machine.

use std::{fmt, future::Future};

use tokio::time::Instant;

use super::{
    figures::Rounds,
    process::{Machine, Process, Threads},
};

/// The share of a core above which a thread is saturated.
const SATURATED: f64 = 0.9;

/// The processes of a measurement besides this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    /// The runtime that is measured.
    pub(super) runtime: Process,
    /// The origin behind it.
    pub(super) origin: Process,
}

/// The load of all processes, as shares of one core; the machine's of all its cores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Load {
    runtime: Option<f64>,
    /// The busiest thread of this process: the load client's or the provider's.
    client: Option<f64>,
    origin: Option<f64>,
    machine: Option<f64>,
}

/// The output of observed work, with its cost.
#[derive(Debug)]
pub(super) struct Observed<T> {
    /// Its output.
    pub(super) output: T,
    /// The processor's time that the runtime used for it, in milliseconds.
    pub(super) cpu_ms: Option<f64>,
    /// The load of all processes meanwhile.
    pub(super) load: Load,
}

impl Watched {
    /// Awaits some work and returns its cost and the load meanwhile.
    pub(super) async fn observe<F: Future>(self, work: F) -> Observed<F::Output> {
        let processes = [self.runtime, Process::own(), self.origin];
        let before = (Machine::now(), processes.map(Process::threads), Instant::now());
        let (output, cpu_ms) = self.runtime.cost_of(work).await;
        let wall_ms = before.2.elapsed().as_secs_f64() * 1_000.0;
        let [runtime, client, origin] = processes.map(Process::threads);
        let [runtime_before, client_before, origin_before] = &before.1;
        let share = |after: &Threads, before| share(after.busiest_ms_since(before)?, wall_ms);
        let load = Load {
            runtime: share(&runtime, runtime_before),
            client: share(&client, client_before),
            origin: share(&origin, origin_before),
            machine: Machine::now().zip(before.0).and_then(|(after, before)| after.share_since(before)),
        };
        Observed { output, cpu_ms, load }
    }
}

fn share(used_ms: f64, wall_ms: f64) -> Option<f64> {
    (wall_ms > 0.0).then(|| used_ms / wall_ms)
}

/// The loads of one case on one side, a round each.
#[derive(Clone, Debug)]
pub(super) struct Loads {
    what: String,
    side: &'static str,
    rounds: Vec<Load>,
}

impl Loads {
    /// The loads of a case on the side of this name.
    pub(super) fn new(what: impl Into<String>, side: &'static str) -> Self {
        Self { what: what.into(), side, rounds: Vec::new() }
    }

    /// Adds the load of a round.
    pub(super) fn push(&mut self, load: Load) {
        self.rounds.push(load);
    }

    fn median(&self, share: impl Fn(&Load) -> Option<f64>) -> Option<f64> {
        let rounds: Rounds = self.rounds.iter().filter_map(share).collect();
        (!rounds.is_empty()).then(|| rounds.median())
    }

    /// The processes with a saturated thread, in the median of the rounds.
    fn saturated(&self) -> Vec<&'static str> {
        let shares = [
            ("the runtime's", self.median(|load| load.runtime)),
            ("the load client's or the provider's", self.median(|load| load.client)),
            ("the origin's", self.median(|load| load.origin)),
        ];
        let over = |(_, share): &(_, Option<f64>)| share.is_some_and(|share| share > SATURATED);
        shares.into_iter().filter(over).map(|(whose, _)| whose).collect()
    }
}

impl fmt::Display for Loads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: Option<f64>| {
            share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
        };
        let [runtime, client, origin, machine] = [
            self.median(|load| load.runtime),
            self.median(|load| load.client),
            self.median(|load| load.origin),
            self.median(|load| load.machine),
        ]
        .map(percent);
        let saturated = self.saturated();
        let saturated = if saturated.is_empty() { "no".to_owned() } else { saturated.join(", ") };
        let Self { what, side, .. } = self;
        write!(f, "| {what} | {side} | {runtime} | {client} | {origin} | {machine} | {saturated} |")
    }
}

/// The table of all loads.
pub(super) struct Table(pub(super) Vec<Loads>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "**The busiest thread of each process, as a share of one core, and the machine**\n")?;
        writeln!(f, "| case | side | runtime | client, provider | origin | machine | a thread saturated |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        self.0.iter().try_for_each(|loads| writeln!(f, "{loads}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(runtime: &[f64]) -> Loads {
        let mut loads = Loads::new("turns", "Worker");
        for share in runtime {
            loads.push(Load { runtime: Some(*share), client: Some(0.2), origin: None, machine: Some(0.5) });
        }
        loads
    }

    #[test]
    fn thread_over_nine_tenths_of_a_core_is_saturated() {
        assert_eq!(
            loads(&[0.95, 0.91, 0.5]).to_string(),
            "| turns | Worker | 91 % | 20 % | – | 50 % | the runtime's |"
        );
        assert_eq!(loads(&[0.9]).to_string(), "| turns | Worker | 90 % | 20 % | – | 50 % | no |");
    }

    #[test]
    fn share_of_no_time_is_none() {
        assert_eq!(share(5.0, 10.0), Some(0.5));
        assert_eq!(share(5.0, 0.0), None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_of_this_process_is_observed() {
        let own = Process::own();
        let work = async {
            let began = Instant::now();
            let mut rounds = 0_u64;
            while began.elapsed().as_millis() < 200 {
                rounds = std::hint::black_box(rounds + 1);
            }
            rounds
        };
        let observed = Watched { runtime: own, origin: own }.observe(work).await;
        assert!(observed.output > 0 && observed.cpu_ms.is_some());
        assert!(observed.load.client.is_some_and(|share| share > 0.0), "{:?}", observed.load);
    }
}
