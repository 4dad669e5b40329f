//! Whole turns: a message comes in, the provider answers at once, the answer is streamed and the origin has it before
//! the stream ends. The floor streams the same answer and stores nothing.

use super::{Effort, Pair};
use crate::bench::{
    load::hammer,
    report::{Row, Target},
    stage::Stage,
};

const CONNECTIONS: usize = 32;

pub(super) async fn measure(stage: &Stage, effort: Effort) -> Vec<Row> {
    let (floor, worker) = (stage.floor(), stage.worker());
    let (mut cpu, mut rate) = (Pair::default(), Pair::default());
    let calls = stage.calls(CONNECTIONS);
    for round in effort.numbered("whole turns, 32 connections") {
        let messages = stage.messages(CONNECTIONS).await;
        let plain = hammer(&floor, &calls, effort.length);
        let (plain, plain_cpu_ms) = stage.floor_process().cost_of(plain).await;
        let whole = hammer(&worker, &messages, effort.length);
        let (whole, whole_cpu_ms) = stage.worker_process().cost_of(whole).await;
        if round > 0 {
            cpu.push(plain.each(plain_cpu_ms), whole.each(whole_cpu_ms));
            rate.push(Some(plain.rate()), Some(whole.rate()));
        }
    }
    vec![
        rate.row("whole turns at 32 connections", "streams/s", Target::TimesAtLeast(0.36)),
        cpu.row("whole turns, processor a stream", "ms", Target::None),
    ]
}
