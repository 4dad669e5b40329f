//! Many users whose answers come at a model's pace: what each of them sees.

use std::time::Duration;

use hyper::StatusCode;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Effort, Pair};
use crate::bench::{
    figures::percentile_ms,
    load::{Connection, Lane, Site},
    provider::{BETWEEN_PIECES, FIRST_PIECE, PIECES},
    report::{Row, Target},
    stage::{Stage, USERS},
};

/// What begins a piece of the provider's answer, and of the Worker's.
const PIECE_OF_PROVIDER: &str = "data: {";
const PIECE_OF_WORKER: &str = "event: message.delta";

pub(super) async fn measure(stage: &Stage, effort: Effort) -> Vec<Row> {
    stage.provider.set_paced(true);
    let (floor, worker) = (stage.floor(), stage.worker());
    let (mut first_50, mut first_99) = (Pair::default(), Pair::default());
    let (mut jitter, mut cpu) = (Pair::default(), Pair::default());
    let calls = stage.calls(USERS);
    for round in effort.numbered("64 paced users") {
        let messages = stage.messages(USERS).await;
        let plain = listen(&floor, &calls, PIECE_OF_PROVIDER, effort.length);
        let (plain, plain_cpu_ms) = stage.floor_process().cost_of(plain).await;
        let whole = listen(&worker, &messages, PIECE_OF_WORKER, effort.length);
        let (whole, whole_cpu_ms) = stage.worker_process().cost_of(whole).await;
        if round == 0 {
            continue;
        }
        for (pair, share) in [(&mut first_50, 0.5), (&mut first_99, 0.99)] {
            pair.push(Some(first_piece_ms(&plain, share)), Some(first_piece_ms(&whole, share)));
        }
        jitter.push(Some(jitter_ms(&plain)), Some(jitter_ms(&whole)));
        cpu.push(each(&plain, plain_cpu_ms), each(&whole, whole_cpu_ms));
    }
    stage.provider.set_paced(false);
    vec![
        first_50.row("64 paced users, to the first token, p50", "ms", Target::MoreByAtMost(2.0)),
        first_99.row("64 paced users, to the first token, p99", "ms", Target::None),
        jitter.row("64 paced users, between tokens off 20 ms, p99", "ms", Target::None),
        cpu.row("64 paced users, processor a stream", "ms", Target::None),
    ]
}

/// When the pieces of one answer came.
struct Heard {
    asked: Instant,
    pieces: Vec<Instant>,
}

/// Every lane hears one answer after the other, for at least this long. They begin spread over the time of one answer:
/// people do not ask in step.
async fn listen(site: &Site, lanes: &[Lane], piece: &'static str, length: Duration) -> Vec<Heard> {
    let pieces = u32::try_from(PIECES).expect("a number of pieces");
    let lane_count = u32::try_from(lanes.len().max(1)).expect("a number of lanes");
    let apart = (FIRST_PIECE + BETWEEN_PIECES * pieces) / lane_count;
    let began = Instant::now();
    let mut listeners = JoinSet::new();
    for (at, lane) in (0..).zip(lanes) {
        let (site, lane) = (site.clone(), lane.clone());
        listeners.spawn(async move {
            let mut connection = site.connect().await;
            sleep_until(began + apart * at).await;
            let mut heard = Vec::new();
            while heard.is_empty() || began.elapsed() < length {
                heard.push(hear(&mut connection, &lane, heard.len(), piece).await);
            }
            heard
        });
    }
    let mut heard = Vec::new();
    while let Some(listener) = listeners.join_next().await {
        heard.extend(listener.expect("a listener that says what went wrong has said it"));
    }
    heard
}

async fn hear(connection: &mut Connection, lane: &Lane, number: usize, piece: &str) -> Heard {
    let mut answer = connection.ask(lane.request(number)).await;
    let (mut body, mut pieces) = (Vec::new(), Vec::with_capacity(PIECES));
    while let Some(bytes) = answer.next().await {
        // A piece may begin in one read and end in the next.
        let unseen = body.len().saturating_sub(piece.len() - 1);
        body.extend_from_slice(&bytes);
        let new = body.get(unseen..).unwrap_or_default();
        let count = new.windows(piece.len()).filter(|window| *window == piece.as_bytes()).count();
        pieces.extend(std::iter::repeat_n(Instant::now(), count));
    }
    let is_right = answer.status == StatusCode::OK && pieces.len() == PIECES && lane.is_right(&body);
    assert!(is_right, "{}, not the paced answer: {}", answer.status, String::from_utf8_lossy(&body));
    Heard { asked: answer.asked, pieces }
}

fn first_piece_ms(heard: &[Heard], share: f64) -> f64 {
    percentile_ms(heard.iter().filter_map(|one| Some(*one.pieces.first()? - one.asked)), share)
}

fn jitter_ms(heard: &[Heard]) -> f64 {
    let gaps = heard.iter().flat_map(|one| one.pieces.iter().zip(one.pieces.iter().skip(1)));
    percentile_ms(gaps.map(|(before, after)| (*after - *before).abs_diff(BETWEEN_PIECES)), 0.99)
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52 answers")]
fn each(heard: &[Heard], cpu_ms: Option<f64>) -> Option<f64> {
    Some(cpu_ms? / heard.len() as f64)
}
