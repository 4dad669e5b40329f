//! 1, 16 and 64 users whose answers arrive at a model's pace: the latency that each of them sees.

use std::time::Duration;

use hyper::StatusCode;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Effort, PACED, Pair};
use crate::bench::{
    figures::percentile_ms,
    load::{Connection, Lane, Site},
    provider::WORD,
    report::{Section, Target},
    saturation::{Loads, Observed},
    stage::{Side, Stage},
};

const USERS: [usize; 3] = [1, 16, 64];
/// The factor by which a round of one user is longer: it has few words.
const LONGER_ALONE: u32 = 3;
/// The number of users that the design has a target for.
const JUDGED: usize = 16;
/// The time that a later word may wait longer than at the baseline: `STREAM_FLUSH_MS`, as it is by default.
const FLUSH_MS: f64 = 33.0;

pub(super) async fn measure(stage: &Stage, effort: Effort) -> Section {
    stage.provider.set_pace(PACED);
    let mut section = Section::new("Users whose answers come at a model's pace", Side::Baseline.name());
    for users in USERS {
        compare(stage, effort, users, &mut section).await;
    }
    section
}

async fn compare(stage: &Stage, effort: Effort, users: usize, section: &mut Section) {
    let sides = [Side::Baseline, Side::Worker];
    let (what, length) = match users {
        1 => ("1 user".to_owned(), effort.length * LONGER_ALONE),
        _ => (format!("{users} users"), effort.length),
    };
    let (mut first_50, mut first_99) = (Pair::default(), Pair::default());
    let (mut later_99, mut cpu) = (Pair::default(), Pair::default());
    let mut loads = sides.map(|side| Loads::new(format!("{what} at a model's pace"), side.name()));
    for round in effort.numbered(&format!("{what} at a model's pace")) {
        let mut observations = Vec::with_capacity(sides.len());
        for side in sides {
            let messages = stage.messages(side, users).await;
            let site = stage.site(side);
            let work = listen(&site, &messages, length);
            observations.push(stage.watched_side(side).observe(work).await);
        }
        if round == 0 {
            continue;
        }
        if let [baseline, worker] = observations.as_slice() {
            for (pair, share) in [(&mut first_50, 0.5), (&mut first_99, 0.99)] {
                pair.push(Some(first_word_ms(baseline, share)), Some(first_word_ms(worker, share)));
            }
            later_99.push(Some(later_word_ms(baseline)), Some(later_word_ms(worker)));
            cpu.push(each(baseline), each(worker));
        }
        for (loads, observed) in loads.iter_mut().zip(observations) {
            loads.push(observed.load);
        }
    }
    let (of_first, of_later) = if users == JUDGED {
        (Target::MoreByAtMost(2.0), Target::MoreByAtMost(FLUSH_MS))
    } else {
        (Target::None, Target::None)
    };
    section.rows.extend([
        first_50.row(format!("{what}, to the first word, p50"), "ms", of_first),
        first_99.row(format!("{what}, to the first word, p99"), "ms", Target::None),
        later_99.row(format!("{what}, wait of a later word, p99"), "ms", of_later),
        cpu.row(format!("{what}, processor a turn"), "ms", Target::None),
    ]);
    section.loads.extend(loads);
}

/// The times at which the words of one answer arrived.
struct TimedAnswer {
    asked: Instant,
    words: Vec<Instant>,
}

/// Reads one answer after the other on each lane, for at least this long. The lanes begin spread over the time of one
/// answer: users are not synchronized.
async fn listen(site: &Site, lanes: &[Lane], length: Duration) -> Vec<TimedAnswer> {
    let lane_count = u32::try_from(lanes.len().max(1)).expect("a number of lanes");
    let apart = PACED.due(PACED.chunks) / lane_count;
    let began = Instant::now();
    let mut listeners = JoinSet::new();
    for (at, lane) in (0..).zip(lanes) {
        let (site, lane) = (site.clone(), lane.clone());
        listeners.spawn(async move {
            let mut connection = site.connect().await;
            sleep_until(began + apart * at).await;
            let mut answers = Vec::new();
            while answers.is_empty() || began.elapsed() < length {
                answers.push(read_answer(&mut connection, &lane, answers.len()).await);
            }
            answers
        });
    }
    let mut answers = Vec::new();
    while let Some(listener) = listeners.join_next().await {
        answers.extend(listener.expect("a listener that failed has panicked already"));
    }
    answers
}

async fn read_answer(connection: &mut Connection, lane: &Lane, number: usize) -> TimedAnswer {
    let mut answer = connection.ask(lane.request(number)).await;
    let (mut body, mut words) = (Vec::new(), Vec::with_capacity(PACED.chunks));
    while let Some(bytes) = answer.next().await {
        // A word may begin in one read and end in the next.
        let unseen = body.len().saturating_sub(WORD.len() - 1);
        body.extend_from_slice(&bytes);
        let new = body.get(unseen..).unwrap_or_default();
        let count = new.windows(WORD.len()).filter(|window| *window == WORD.as_bytes()).count();
        // The whole answer is repeated in the last event.
        let count = count.min(PACED.chunks - words.len());
        words.extend(std::iter::repeat_n(Instant::now(), count));
    }
    let is_right = answer.status == StatusCode::OK && words.len() == PACED.chunks && lane.is_right(&body);
    assert!(is_right, "{}, not the paced answer: {}", answer.status, String::from_utf8_lossy(&body));
    TimedAnswer { asked: answer.asked, words }
}

fn first_word_ms(observed: &Observed<Vec<TimedAnswer>>, share: f64) -> f64 {
    percentile_ms(observed.output.iter().filter_map(|one| Some(*one.words.first()? - one.asked)), share)
}

/// Returns the delay of a word after the first, from the model's sending to its arrival, p99.
fn later_word_ms(observed: &Observed<Vec<TimedAnswer>>) -> f64 {
    let waits = observed.output.iter().flat_map(|one| {
        let words = one.words.iter().enumerate().skip(1);
        words.map(|(at, word)| (*word - one.asked).saturating_sub(PACED.due(at)))
    });
    percentile_ms(waits, 0.99)
}

#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 answers are counted")]
fn each(observed: &Observed<Vec<TimedAnswer>>) -> Option<f64> {
    Some(observed.cpu_ms? / observed.output.len() as f64)
}
