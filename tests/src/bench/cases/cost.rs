//! The cost of a turn for the runtime: waits for the disk, bytes, rows, entries of isolates; and its price on Cloudflare.
//! Turns run one after the other, on a runtime that is restarted for each way of counting.

use std::{path::Path, time::Duration};

use serde::Deserialize;
use tempfile::TempDir;

use super::{CHUNKS, Pair, turn_of};
use crate::{
    bench::{
        load::Lane,
        price::{STREAM_SECONDS, TurnUse},
        progress,
        report::{Row, Section, Target},
        stage::{Side, Stage},
        trace::{DiskCalls, IsolateWork},
    },
    client::Client,
    test_env::Watch,
    wait::{BOUND, until},
};

const SIDES: [Side; 2] = [Side::Baseline, Side::Worker];
/// Turns that are counted, one after the other.
const TURNS: u32 = 20;
/// Turns before them, which load the conversation and open files and connections.
const WARM_UP: u32 = 2;
/// The chunks of the turn that is priced.
const PRICED_CHUNKS: usize = 10;
/// More alarms than any object sets for itself after a turn.
const MAX_ALARMS: u32 = 10;
/// The time without a change after which a turn is at rest: it ends before all of it is written.
const AT_REST: Duration = Duration::from_millis(200);

pub(super) async fn measure(stage: &mut Stage) -> Section {
    let mut section = Section::new("What a turn costs", Side::Baseline.name());
    let logs = tempfile::Builder::new().prefix("edgechat-bench-").tempdir().expect("a temporary folder");
    disk(stage, &logs, &mut section).await;
    isolates(stage, &logs, &mut section).await;
    section
}

/// Waits for the disk and bytes.
async fn disk(stage: &mut Stage, logs: &TempDir, section: &mut Section) {
    let log = |side: Side| logs.path().join(format!("{side:?}.strace"));
    let is_possible = Watch::Disk(log(Side::Worker)).is_possible();
    if !is_possible {
        section.notes.push("`strace` is not on the path: fsyncs and bytes are not counted.".to_owned());
    }
    let mut both = Vec::with_capacity(SIDES.len());
    for side in SIDES {
        progress(&format!("waits for the disk, {}", side.name()));
        let log = log(side);
        let watch = if is_possible { Watch::Disk(log.clone()) } else { Watch::Off };
        stage.restart_watched(side, &watch).await;
        let mut of_side = Vec::with_capacity(CHUNKS.len());
        for chunks in CHUNKS {
            let turns = Turns::of(stage, side, chunks).await;
            let before =
                (disk_calls(is_possible.then_some(&*log)).await, stage.process(side).written_bytes());
            turns.run(stage, side).await;
            let after = (disk_calls(is_possible.then_some(&*log)).await, stage.process(side).written_bytes());
            let calls = after.0.zip(before.0).map(|(after, before)| after.since(before));
            let pages = after.1.zip(before.1).map(|(after, before)| after.saturating_sub(before));
            of_side.push([
                each(calls.map(|calls| calls.fsyncs), 1.0),
                each(calls.map(|calls| calls.bytes), 1_000.0),
                each(pages, 1_000.0),
            ]);
        }
        both.push(of_side);
    }
    for (chunks, [fsyncs, bytes, pages]) in CHUNKS.into_iter().zip(paired(&both)) {
        section.rows.extend([
            fsyncs.row(format!("{chunks} chunks, fsyncs"), "a turn", Target::AtMost(2.0)),
            pages.row(format!("{chunks} chunks, written to storage"), "KB a turn", Target::AtMost(55.0)),
            bytes.row(format!("{chunks} chunks, given to files"), "KB a turn", Target::None),
        ]);
    }
}

/// Rows, statements, entries of isolates, and the price.
async fn isolates(stage: &mut Stage, logs: &TempDir, section: &mut Section) {
    let (mut both, mut priced) = (Vec::with_capacity(SIDES.len()), Vec::with_capacity(SIDES.len()));
    for side in SIDES {
        progress(&format!("rows and entries of isolates, {}", side.name()));
        let trace = logs.path().join(format!("{side:?}.trace"));
        stage.restart_watched(side, &Watch::Isolates(trace.clone())).await;
        let counter = Client::new(stage.wrapper_url(side));
        let mut of_side = Vec::with_capacity(CHUNKS.len());
        for chunks in CHUNKS {
            let turns = Turns::of(stage, side, chunks).await;
            let before = (entries(&trace).await, Counts::now(&counter).await);
            turns.run(stage, side).await;
            let after = (entries(&trace).await, Counts::now(&counter).await);
            let counts = after.1.since(before.1);
            of_side.push([
                each(Some(after.0.entries - before.0.entries), 1.0),
                each(Some(counts.statements), 1.0),
                each(Some(counts.rows_written()), 1.0),
            ]);
        }
        both.push(of_side);
        let alone = isolated(stage, side, &counter).await;
        stage.restart_watched(side, &Watch::Off).await;
        priced.push((alone, processor_ms(stage, side).await));
    }
    for (chunks, [entries, statements, rows]) in CHUNKS.into_iter().zip(paired(&both)) {
        section.rows.extend([
            entries.row(format!("{chunks} chunks, entries of isolates"), "a turn", Target::None),
            statements.row(format!("{chunks} chunks, statements of SQL"), "a turn", Target::None),
            rows.row(format!("{chunks} chunks, rows written"), "a turn", Target::None),
        ]);
    }
    section.rows.extend(prices(&priced));
}

/// Pairs the figures of both sides, those of the baseline first; a side has a list for each kind of turn.
fn paired<const N: usize>(sides: &[Vec<[Option<f64>; N]>]) -> Vec<[Pair; N]> {
    let [baseline, worker] = sides else { panic!("two sides") };
    let pair = |(baseline, worker): (&[Option<f64>; N], &[Option<f64>; N])| {
        std::array::from_fn(|at| {
            let mut pair = Pair::default();
            pair.push(baseline[at], worker[at]);
            pair
        })
    };
    baseline.iter().zip(worker).map(pair).collect()
}

fn prices(priced: &[(Counts, Option<f64>)]) -> Vec<Row> {
    let figures = priced.iter().map(|(counts, cpu_ms)| {
        let turn = counts.turn_use(cpu_ms.unwrap_or_default());
        let without_stream = TurnUse { seconds: 0.0, ..turn };
        let dollars = [turn.dollars_a_million(), without_stream.dollars_a_million()];
        vec![[turn.rows_written, turn.rows_read, dollars[0], dollars[1]].map(Some)]
    });
    let figures: Vec<_> = figures.collect();
    let [written, read, price, without_stream] = paired(&figures).pop().expect("one turn has a price");
    let alone = "an isolated turn with its alarms and deletes";
    vec![
        written.row(format!("{alone}, rows written"), "rows", Target::AtMost(7.0)),
        read.row(format!("{alone}, rows read"), "rows", Target::None),
        price.row(
            format!("{alone}, price with {STREAM_SECONDS} s of stream"),
            "$ a million turns",
            Target::None,
        ),
        without_stream.row(format!("{alone}, price without the stream"), "$ a million turns", Target::None),
    ]
}

/// Turns of a new user, whose object has no other work, in a conversation that is warmed up.
struct Turns(Lane);

impl Turns {
    async fn of(stage: &Stage, side: Side, chunks: usize) -> Self {
        stage.provider.set_pace(turn_of(chunks));
        let user = &stage.env.client_of_origin().register().await;
        let lane = stage.message(side, user, stage.conversation(user).await);
        let mut connection = stage.site(side).connect().await;
        for round in 0..WARM_UP {
            connection.ask_right(&lane, index(round)).await;
        }
        Self(lane)
    }

    async fn run(&self, stage: &Stage, side: Side) {
        let mut connection = stage.site(side).connect().await;
        for round in 0..TURNS {
            connection.ask_right(&self.0, index(WARM_UP + round)).await;
        }
    }
}

/// Counts a turn after which the object rests until its last alarm, in a conversation that the object, which is not new,
/// has not cached. The deletes of its alarms, days later, are counted. The user is a new one: another user's object may
/// have other work.
async fn isolated(stage: &Stage, side: Side, counter: &Client) -> Counts {
    stage.provider.set_pace(turn_of(PRICED_CHUNKS));
    let user = &stage.env.client_of_origin().register().await;
    let mut connection = stage.site(side).connect().await;
    let mut counts = Vec::with_capacity(2);
    for _ in 0..2 {
        let lane = stage.message(side, user, stage.conversation(user).await);
        connection.ask_right(&lane, 0).await;
        let path = format!("/?user={}&max_alarms={MAX_ALARMS}", user.tokens.user.id);
        counts.push(counter.get(&path).send().await.expect_status(200).json::<Counts>());
    }
    let [first, second] = counts.as_slice() else { panic!("two turns") };
    second.since(*first)
}

async fn processor_ms(stage: &Stage, side: Side) -> Option<f64> {
    let turns = Turns::of(stage, side, PRICED_CHUNKS).await;
    let ((), cpu_ms) = stage.process(side).cost_of(turns.run(stage, side)).await;
    Some(cpu_ms? / f64::from(TURNS))
}

/// The counts of the counter of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct Counts {
    rows_written: u64,
    rows_read: u64,
    statements: u64,
    alarms_set: u64,
    alarms_run: u64,
}

impl Counts {
    async fn now(counter: &Client) -> Self {
        counter.get("/").send().await.expect_status(200).json()
    }

    fn since(self, before: Self) -> Self {
        Self {
            rows_written: self.rows_written - before.rows_written,
            rows_read: self.rows_read - before.rows_read,
            statements: self.statements - before.statements,
            alarms_set: self.alarms_set - before.alarms_set,
            alarms_run: self.alarms_run - before.alarms_run,
        }
    }

    /// The rows that are billed as written: setting an alarm is one.
    fn rows_written(self) -> u64 {
        self.rows_written + self.alarms_set
    }

    #[expect(clippy::cast_precision_loss, reason = "no turn writes 2^52 rows")]
    fn turn_use(self, front_cpu_ms: f64) -> TurnUse {
        TurnUse {
            rows_written: self.rows_written() as f64,
            rows_read: self.rows_read as f64,
            alarms: self.alarms_run as f64,
            front_cpu_ms,
            seconds: STREAM_SECONDS,
        }
    }
}

/// Reads the log once it no longer grows; returns `None` where there is none.
async fn disk_calls(log: Option<&Path>) -> Option<DiskCalls> {
    let log = log?;
    Some(at_rest("the disk", || DiskCalls::read(log)).await)
}

async fn entries(trace: &Path) -> IsolateWork {
    at_rest("the isolates", || IsolateWork::read(trace)).await
}

async fn at_rest<T: Copy + PartialEq>(what: &str, read: impl Fn() -> std::io::Result<T>) -> T {
    let read = || read().unwrap_or_else(|error| panic!("the log of {what}: {error}"));
    until(BOUND, &format!("{what} to be at rest"), || async {
        let before = read();
        tokio::time::sleep(AT_REST).await;
        (read() == before).then_some(before)
    })
    .await
}

#[expect(clippy::cast_precision_loss, reason = "nobody writes 2^52 bytes in a turn")]
fn each(all: Option<u64>, unit: f64) -> Option<f64> {
    Some(all? as f64 / unit / f64::from(TURNS))
}

fn index(round: u32) -> usize {
    usize::try_from(round).expect("a small number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarm_that_is_set_is_row_and_alarm_that_runs_is_request() {
        let before = Counts { rows_written: 1, rows_read: 2, statements: 3, alarms_set: 4, alarms_run: 5 };
        let after = Counts { rows_written: 11, rows_read: 22, statements: 33, alarms_set: 6, alarms_run: 7 };
        let turn = after.since(before).turn_use(1.5);
        let expected = TurnUse {
            rows_written: 12.0,
            rows_read: 20.0,
            alarms: 2.0,
            front_cpu_ms: 1.5,
            seconds: STREAM_SECONDS,
        };
        assert_eq!(turn, expected);
    }
}
