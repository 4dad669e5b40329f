//! Whole turns of 4, 10 and 50 chunks, each chunk a separate write: a message arrives, the provider answers, the answer is
//! streamed, and the origin has it before the stream ends.

use super::{CHUNKS, Effort, Pair, turn_of};
use crate::bench::{
    load::{Run, hammer},
    report::{Section, Target},
    saturation::{Loads, Observed},
    stage::{Side, Stage},
};

/// Few enough connections that no thread is saturated: a turn then costs what it costs one user.
const FEW: usize = 4;
/// More connections than can be served at once.
const MANY: usize = 32;
/// The chunks of the turns that are measured behind `client_ip_proxy.js` as well.
const GATED_CHUNKS: usize = 10;

pub(super) async fn measure(stage: &Stage, effort: Effort) -> Section {
    let mut section = Section::new("Whole turns", Side::Baseline.name());
    for chunks in CHUNKS {
        stage.provider.set_pace(turn_of(chunks));
        let (cpu, _) = compare(stage, effort, Side::Worker, (chunks, FEW), &mut section).await;
        let name = format!("{chunks} chunks, {FEW} connections, processor a turn");
        section.rows.push(cpu.row(name, "ms", Target::TimesAtMost(1.3)));
        if chunks == GATED_CHUNKS {
            let (cpu, _) = compare(stage, effort, Side::Gate, (chunks, FEW), &mut section).await;
            section.rows.push(cpu.row("the same behind client_ip_proxy.js", "ms", Target::None));
        }
        let (_, rate) = compare(stage, effort, Side::Worker, (chunks, MANY), &mut section).await;
        section.rows.push(rate.row(format!("{chunks} chunks, {MANY} connections"), "turns/s", Target::None));
    }
    section
}

/// Measures processor time per turn and turns per second of the durable baseline and a side.
async fn compare(
    stage: &Stage,
    effort: Effort,
    side: Side,
    (chunks, connections): (usize, usize),
    section: &mut Section,
) -> (Pair, Pair) {
    let what = format!("turns of {chunks} chunks, {connections} connections");
    let sides = [Side::Baseline, side];
    let (mut cpu, mut rate) = (Pair::default(), Pair::default());
    let mut loads = sides.map(|side| Loads::new(&*what, side.name()));
    for round in effort.numbered(&format!("{what}, {}", side.name())) {
        let mut runs = Vec::with_capacity(sides.len());
        for side in sides {
            let messages = stage.messages(side, connections).await;
            let site = stage.site(side);
            let work = hammer(&site, &messages, effort.length);
            runs.push(stage.watched_side(side).observe(work).await);
        }
        if round == 0 {
            continue;
        }
        if let [baseline, worker] = runs.as_slice() {
            let each = |observed: &Observed<Run>| observed.output.each(observed.cpu_ms);
            cpu.push(each(baseline), each(worker));
            rate.push(Some(baseline.output.rate()), Some(worker.output.rate()));
        }
        for (loads, observed) in loads.iter_mut().zip(runs) {
            loads.push(observed.load);
        }
    }
    section.loads.extend(loads);
    (cpu, rate)
}
