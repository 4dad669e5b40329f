//! The memory of a restarted runtime after many turns.

use super::{Pair, turn_of};
use crate::bench::{
    load::hammer_times,
    progress,
    report::{Section, Target},
    stage::{Side, Stage},
};
use crate::test_env::Watch;

const TURNS: usize = 1_000;
const CHUNKS: usize = 10;
const CONNECTIONS: usize = 32;

pub(super) async fn measure(stage: &mut Stage) -> Section {
    stage.provider.set_pace(turn_of(CHUNKS));
    let (mut resident, mut peak) = (Pair::default(), Pair::default());
    let (mut resident_mib, mut peak_mib) = (Vec::new(), Vec::new());
    for side in [Side::Baseline, Side::Worker] {
        progress(&format!("memory after {TURNS} turns, {}", side.name()));
        stage.restart_watched(side, &Watch::Off).await;
        let messages = stage.messages(side, CONNECTIONS).await;
        hammer_times(&stage.site(side), &messages, TURNS).await;
        resident_mib.push(stage.process(side).resident_mib());
        peak_mib.push(stage.process(side).peak_memory_mib());
    }
    for (pair, mib) in [(&mut resident, resident_mib), (&mut peak, peak_mib)] {
        if let [baseline, worker] = mib.as_slice() {
            pair.push(*baseline, *worker);
        }
    }
    let mut section = Section::new("Memory", Side::Baseline.name());
    section.rows.extend([
        resident.row(format!("resident after {TURNS} turns"), "MiB", Target::TimesAtMost(1.5)),
        peak.row("the most until then", "MiB", Target::None),
    ]);
    section
}
