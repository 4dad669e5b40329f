//! The plan of every turn: the model's script, the phone's requests, and the faults meanwhile. All of it follows from the
//! seed and the turn's number; only the moments at which processes are killed depend on the machine.

use std::time::Duration;

use hyper::StatusCode;
use shared::{
    api::usage::Usage,
    provider::{FinishReason, RefusalReason},
};

use super::rng::Rng;
use crate::provider::{Script, Step};

/// The prefix of every prompt, before the turn's number.
const PROMPT: &str = "soak turn ";
/// Pieces that are hard to frame or split.
const HARD: [&str; 8] =
    ["😀 ", "\n\n", "data: x\r\n", "\"}\\n", "ä\u{308}ö ", "\u{2028}", "event: turn.completed\n", "日本語 "];

/// The way a phone sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Reads the stream.
    Stream,
    /// Waits for the whole answer.
    Json,
    /// Gets 202 and follows the events.
    Async,
}

/// The outcome of a turn without faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Ends with the whole text of the script.
    Completed,
    /// Ends with the whole text of the script, truncated by the model.
    Stopped,
    /// The same, by the provider's filter: it is not sent again with later messages.
    Blocked,
    /// Ends with a part of the script's text; without text it has failed.
    Cut,
    /// Fails without text.
    Failed,
    /// Does not end by itself.
    Never,
}

/// One turn.
#[derive(Clone, Debug)]
pub(super) struct TurnPlan {
    /// Its number, from 1.
    pub(super) number: u32,
    /// The message.
    pub(super) prompt: String,
    /// The model's script.
    pub(super) script: Script,
    /// The whole text of the script.
    pub(super) said: String,
    /// The usage that the model reports; zero where it fails or is truncated.
    pub(super) usage: Usage,
    /// The expected outcome.
    pub(super) expected: Expected,
    /// The modes of the phones that send this message at once, with one key.
    pub(super) modes: Vec<Mode>,
    /// The connection of the first is dropped after so many events, or so many times 10 ms of waiting, one after the other.
    pub(super) drops: Vec<u64>,
    /// The turn is cancelled so many milliseconds after it is known.
    pub(super) cancel_after_ms: Option<u64>,
    /// The conversation is renamed after so many milliseconds.
    pub(super) rename_after_ms: Option<u64>,
    /// The message is sent once more after its turn.
    pub(super) repeat: Option<Mode>,
    /// The pause before the next message.
    pub(super) pause: Duration,
}

/// The number of the turn that this message belongs to.
pub(super) fn number_of(prompt: &str) -> Option<u32> {
    prompt.strip_prefix(PROMPT)?.split(':').next()?.parse().ok()
}

impl TurnPlan {
    /// The plan of the turn with this number.
    pub(super) fn new(seed: u64, number: u32) -> Self {
        let mut rng = Rng::new(seed, u64::from(number));
        let kind = rng.weighted(&[
            (40, Kind::Short),
            (14, Kind::Long),
            (8, Kind::Slow),
            (3, Kind::Large),
            (5, Kind::Length),
            (3, Kind::Filter),
            (4, Kind::NoFinish),
            (4, Kind::Break),
            (3, Kind::ErrorWithin),
            (8, Kind::NoWord),
            (3, Kind::Refused),
            (3, Kind::Hang),
        ]);
        let usage = Usage {
            input_tokens: rng.between(1, 500),
            output_tokens: rng.between(1, 500),
            ..Usage::default()
        };
        let usage = Usage { total_tokens: usage.input_tokens + usage.output_tokens, ..usage };
        let Answer { steps, said, expected } = answer(kind, number, usage, &mut rng);
        let script = match kind {
            Kind::NoWord => no_word(&mut rng),
            _ => Script::Steps(steps),
        };
        let hangs = expected == Expected::Never;
        let mode = |rng: &mut Rng| rng.weighted(&[(5, Mode::Stream), (3, Mode::Json), (2, Mode::Async)]);
        let mut modes = vec![if hangs { Mode::Stream } else { mode(&mut rng) }];
        if rng.percent(15) {
            for _ in 0..rng.between(1, 3) {
                modes.push(mode(&mut rng));
            }
        }
        let drops = rng.weighted(&[(60, 0), (20, 1), (12, 2), (8, 4)]);
        let drops = (0..drops).map(|_| rng.between(0, 30)).collect();
        Self {
            number,
            prompt: format!("{PROMPT}{number}: {}", sentence(&mut rng)),
            script,
            said,
            usage: if matches!(expected, Expected::Completed | Expected::Stopped | Expected::Blocked) {
                usage
            } else {
                Usage::default()
            },
            expected,
            modes,
            drops,
            cancel_after_ms: (hangs || rng.percent(8)).then(|| rng.between(0, 1_500)),
            rename_after_ms: rng.percent(20).then(|| rng.between(0, 800)),
            repeat: rng.percent(15).then(|| mode(&mut rng)),
            pause: Duration::from_millis(rng.weighted(&[(60, 0), (30, 200), (10, 1_500)])),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Short,
    Long,
    Slow,
    Large,
    Length,
    Filter,
    NoFinish,
    Break,
    ErrorWithin,
    NoWord,
    Refused,
    Hang,
}

struct Answer {
    steps: Vec<Step>,
    said: String,
    expected: Expected,
}

fn answer(kind: Kind, number: u32, usage: Usage, rng: &mut Rng) -> Answer {
    let finish = |reason| Step::Finish(reason, usage);
    let (pieces, pause_ms, bytes, end, expected) = match kind {
        Kind::Short => (rng.between(1, 8), 20, 0, Some(finish(FinishReason::Stop)), Expected::Completed),
        Kind::Long => (rng.between(80, 250), 8, 0, Some(finish(FinishReason::Stop)), Expected::Completed),
        Kind::Slow => (rng.between(6, 12), 400, 0, Some(finish(FinishReason::Stop)), Expected::Completed),
        Kind::Large => (rng.between(3, 8), 20, 5_000, Some(finish(FinishReason::Stop)), Expected::Completed),
        Kind::Length => (rng.between(1, 20), 30, 0, Some(finish(FinishReason::Length)), Expected::Stopped),
        Kind::Filter => {
            (rng.between(1, 20), 30, 0, Some(finish(FinishReason::ContentFilter)), Expected::Blocked)
        }
        Kind::NoFinish => (rng.between(1, 20), 30, 0, None, Expected::Cut),
        Kind::Break => (rng.between(1, 20), 30, 0, Some(Step::Cut), Expected::Cut),
        Kind::ErrorWithin => {
            (rng.between(1, 20), 30, 0, Some(Step::Error(StatusCode::SERVICE_UNAVAILABLE)), Expected::Cut)
        }
        Kind::NoWord => (0, 0, 0, None, Expected::Failed),
        Kind::Refused => (0, 0, 0, Some(Step::Refuse(RefusalReason::Safety)), Expected::Failed),
        Kind::Hang => (rng.between(0, 5), 30, 0, Some(Step::Hang), Expected::Never),
    };
    let (mut steps, mut said) = (Vec::new(), String::new());
    for at in 0..pieces {
        if rng.percent(70) {
            steps.push(Step::Wait(Duration::from_millis(rng.between(0, pause_ms))));
        }
        let mut piece = format!("a{number}.{at} ");
        if rng.percent(10) {
            piece.push_str(rng.weighted(&HARD.map(|text| (1, text))));
        }
        while piece.len() < bytes {
            piece.push_str("some more words of a large answer ");
        }
        said.push_str(&piece);
        steps.push(Step::Text(piece));
    }
    steps.extend(end);
    Answer { steps, said, expected }
}

/// A failure before the first word.
fn no_word(rng: &mut Rng) -> Script {
    match rng.between(1, 5) {
        1 => Script::error(StatusCode::INTERNAL_SERVER_ERROR),
        2 => Script::error(StatusCode::SERVICE_UNAVAILABLE),
        3 => Script::busy("1"),
        4 => Script::NoReply,
        _ => Script::empty(),
    }
}

fn sentence(rng: &mut Rng) -> String {
    (0..rng.between(1, 12))
        .map(|_| rng.weighted(&[(6, "word "), (2, "größer "), (1, "😀 "), (1, "\"q\" ")]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_follows_from_seed_and_number() {
        for number in 1..200 {
            let plan = TurnPlan::new(5, number);
            assert_eq!(number_of(&plan.prompt), Some(number));
            assert_eq!(format!("{plan:?}"), format!("{:?}", TurnPlan::new(5, number)));
            assert!(
                !plan.modes.is_empty()
                    && (plan.expected != Expected::Never || plan.cancel_after_ms.is_some())
            );
        }
        assert_ne!(TurnPlan::new(5, 1).prompt, TurnPlan::new(6, 1).prompt);
    }
}
