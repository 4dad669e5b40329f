//! Calls that the Worker passes on to the origin: what it adds to them, and how many it gets through.

use std::time::Duration;

use super::{Effort, Pair};
use crate::bench::{
    figures::percentile_ms,
    load::{Lane, Run, Site, hammer},
    process::Process,
    report::{Row, Target},
    stage::{Stage, who_am_i},
};

const CONNECTIONS: usize = 32;

pub(super) async fn measure(stage: &Stage, effort: Effort) -> Vec<Row> {
    let mut rows = alone(stage, effort).await;
    rows.extend(together(stage, effort).await);
    rows
}

/// One request at a time: the time it takes, without waiting for others.
async fn alone(stage: &Stage, effort: Effort) -> Vec<Row> {
    let (direct, floor, worker) = (stage.origin(), stage.floor(), stage.worker());
    let (mut added_50, mut added_99) = (Pair::default(), Pair::default());
    let (mut first_50, mut first_99) = (Pair::default(), Pair::default());
    for round in effort.numbered("pass-through, one request at a time") {
        let direct = hammer(&direct, &lanes(stage, &direct, 1), effort.length).await;
        let floor = hammer(&floor, &lanes(stage, &floor, 1), effort.length).await;
        let worker = hammer(&worker, &lanes(stage, &worker, 1), effort.length).await;
        if round == 0 {
            continue;
        }
        for (pair, share) in [(&mut added_50, 0.5), (&mut added_99, 0.99)] {
            let added = |run| whole(run, share) - whole(&direct, share);
            pair.push(Some(added(&floor)), Some(added(&worker)));
        }
        for (pair, share) in [(&mut first_50, 0.5), (&mut first_99, 0.99)] {
            pair.push(Some(first_byte(&floor, share)), Some(first_byte(&worker, share)));
        }
    }
    vec![
        added_50.row("pass-through, added to the origin's time, p50", "ms", Target::TimesAtMost(1.3)),
        added_99.row("pass-through, added to the origin's time, p99", "ms", Target::None),
        first_50.row("pass-through, first byte, p50", "ms", Target::TimesAtMost(1.3)),
        first_99.row("pass-through, first byte, p99", "ms", Target::None),
    ]
}

/// As many as go through.
async fn together(stage: &Stage, effort: Effort) -> Vec<Row> {
    let (mut cpu, mut rate) = (Pair::default(), Pair::default());
    for round in effort.numbered("pass-through, 32 connections") {
        let floor = loaded(stage, &stage.floor(), stage.floor_process(), effort.length).await;
        let worker = loaded(stage, &stage.worker(), stage.worker_process(), effort.length).await;
        if round > 0 {
            cpu.push(floor.cpu_ms, worker.cpu_ms);
            rate.push(Some(floor.rate), Some(worker.rate));
        }
    }
    vec![
        cpu.row("pass-through, processor a request", "ms", Target::TimesAtMost(1.4)),
        rate.row("pass-through at 32 connections", "requests/s", Target::TimesAtLeast(0.70)),
    ]
}

struct Loaded {
    cpu_ms: Option<f64>,
    rate: f64,
}

async fn loaded(stage: &Stage, site: &Site, process: Process, length: Duration) -> Loaded {
    let (run, cpu_ms) = process.cost_of(hammer(site, &lanes(stage, site, CONNECTIONS), length)).await;
    Loaded { cpu_ms: run.each(cpu_ms), rate: run.rate() }
}

/// Each connection is a user of its own.
fn lanes(stage: &Stage, site: &Site, connections: usize) -> Vec<Lane> {
    stage.users.iter().take(connections).map(|user| who_am_i(site, user)).collect()
}

fn whole(run: &Run, share: f64) -> f64 {
    percentile_ms(run.timings.iter().map(|timing| timing.whole), share)
}

fn first_byte(run: &Run, share: f64) -> f64 {
    percentile_ms(run.timings.iter().map(|timing| timing.first_byte), share)
}
