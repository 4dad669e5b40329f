//! Calls that the Worker forwards to the origin: the latency it adds and its throughput; by itself, and behind `client_ip_proxy.js`, as
//! compose runs it.

use std::time::Duration;

use super::{Effort, Pair};
use crate::bench::{
    figures::percentile_ms,
    load::{Lane, Run, Site, hammer},
    report::{Section, Target},
    saturation::{Loads, Observed, Watched},
    stage::{Side, Stage, who_am_i},
};

const CONNECTIONS: usize = 32;

pub(super) async fn measure(stage: &Stage, effort: Effort) -> Section {
    let mut section = Section::new("Calls that pass through", "proxy baseline");
    alone(stage, effort, &mut section).await;
    together(stage, effort, &mut section).await;
    section
}

/// Measures the latency of one request at a time.
async fn alone(stage: &Stage, effort: Effort, section: &mut Section) {
    let (direct, proxy) = (stage.origin(), stage.proxy());
    let (worker, client_ip_proxy) = (stage.site(Side::Worker), stage.site(Side::Gate));
    let (mut added_50, mut added_99, mut added_gate) = (Pair::default(), Pair::default(), Pair::default());
    let (mut first_50, mut first_99, mut first_gate) = (Pair::default(), Pair::default(), Pair::default());
    for round in effort.numbered("pass-through, one request at a time") {
        let direct = hammer(&direct, &lanes(stage, &direct, 1), effort.length).await;
        let proxy = hammer(&proxy, &lanes(stage, &proxy, 1), effort.length).await;
        let worker = hammer(&worker, &lanes(stage, &worker, 1), effort.length).await;
        let client_ip_proxy =
            hammer(&client_ip_proxy, &lanes(stage, &client_ip_proxy, 1), effort.length).await;
        if round == 0 {
            continue;
        }
        for (pair, run, share) in [
            (&mut added_50, &worker, 0.5),
            (&mut added_99, &worker, 0.99),
            (&mut added_gate, &client_ip_proxy, 0.5),
        ] {
            let added = |run| whole(run, share) - whole(&direct, share);
            pair.push(Some(added(&proxy)), Some(added(run)));
        }
        for (pair, run, share) in [
            (&mut first_50, &worker, 0.5),
            (&mut first_99, &worker, 0.99),
            (&mut first_gate, &client_ip_proxy, 0.5),
        ] {
            pair.push(Some(first_byte(&proxy, share)), Some(first_byte(run, share)));
        }
    }
    section.rows.extend([
        added_50.row("added to the origin's time, p50", "ms", Target::TimesAtMost(1.5)),
        added_99.row("added to the origin's time, p99", "ms", Target::None),
        added_gate.row("the same behind client_ip_proxy.js, p50", "ms", Target::None),
        first_50.row("first byte, p50", "ms", Target::TimesAtMost(1.4)),
        first_99.row("first byte, p99", "ms", Target::None),
        first_gate.row("the same behind client_ip_proxy.js, p50", "ms", Target::None),
    ]);
}

/// Measures the throughput.
async fn together(stage: &Stage, effort: Effort, section: &mut Section) {
    let (mut cpu, mut rate) = (Pair::default(), Pair::default());
    let (mut cpu_gate, mut rate_gate) = (Pair::default(), Pair::default());
    let what = format!("calls at {CONNECTIONS} connections");
    let mut loads =
        ["proxy baseline", Side::Worker.name(), Side::Gate.name()].map(|side| Loads::new(&*what, side));
    for round in effort.numbered(&what) {
        let proxy = loaded(stage, &stage.proxy(), stage.watched_proxy(), effort.length).await;
        let [worker, client_ip_proxy] =
            [Side::Worker, Side::Gate].map(|side| (stage.site(side), stage.watched_side(side)));
        let worker = loaded(stage, &worker.0, worker.1, effort.length).await;
        let client_ip_proxy = loaded(stage, &client_ip_proxy.0, client_ip_proxy.1, effort.length).await;
        if round == 0 {
            continue;
        }
        let each = |observed: &Observed<Run>| observed.output.each(observed.cpu_ms);
        let rates = |observed: &Observed<Run>| Some(observed.output.rate());
        cpu.push(each(&proxy), each(&worker));
        rate.push(rates(&proxy), rates(&worker));
        cpu_gate.push(each(&proxy), each(&client_ip_proxy));
        rate_gate.push(rates(&proxy), rates(&client_ip_proxy));
        for (loads, observed) in loads.iter_mut().zip([&proxy, &worker, &client_ip_proxy]) {
            loads.push(observed.load);
        }
    }
    let at = format!("at {CONNECTIONS} connections");
    section.rows.extend([
        cpu.row("processor a request", "ms", Target::TimesAtMost(1.5)),
        cpu_gate.row("the same behind client_ip_proxy.js", "ms", Target::None),
        rate.row(&*at, "requests/s", Target::TimesAtLeast(0.65)),
        rate_gate.row("the same behind client_ip_proxy.js", "requests/s", Target::None),
    ]);
    section.loads.extend(loads);
}

async fn loaded(stage: &Stage, site: &Site, watched: Watched, length: Duration) -> Observed<Run> {
    watched.observe(hammer(site, &lanes(stage, site, CONNECTIONS), length)).await
}

/// The lanes of so many connections, each with its own user.
fn lanes(stage: &Stage, site: &Site, connections: usize) -> Vec<Lane> {
    stage.users.iter().take(connections).map(|user| who_am_i(site, user)).collect()
}

fn whole(run: &Run, share: f64) -> f64 {
    percentile_ms(run.timings.iter().map(|timing| timing.whole), share)
}

fn first_byte(run: &Run, share: f64) -> f64 {
    percentile_ms(run.timings.iter().map(|timing| timing.first_byte), share)
}
