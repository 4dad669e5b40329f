//! Long answers and large turns.

use rstest::rstest;
use serde_json::{Value, json};

use super::{NOW, question, spec, started_turn};
use crate::{
    api::{
        ErrorCode, body,
        chat::{FinishReason, SendMessage, TurnStatus},
    },
    auth::claims::MAX_TOKEN_BYTES,
    chat::turn::{TurnOutcome, TurnSpec, TurnState},
    http::accept::MAX_IDEMPOTENCY_KEY_CHARS,
    provider::{ModelEvent, StreamEnd, completion::MAX_ANSWER_BYTES},
};

#[rstest]
#[case::streamed(1_024)]
#[case::whole(MAX_ANSWER_BYTES + 1)]
fn answer_over_limit_is_cut(#[case] piece: usize) {
    let mut turn = started_turn();
    for _ in 0..=MAX_ANSWER_BYTES / piece {
        turn.apply(ModelEvent::TextDelta("x".repeat(piece)));
    }
    assert!(turn.is_too_long());
    turn.end(TurnOutcome::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
    let view = turn.view();
    assert_eq!((view.status, view.text.len()), (TurnStatus::Incomplete, MAX_ANSWER_BYTES));
    assert_eq!(view.error.unwrap().code, ErrorCode::ProviderError.into());
}

#[test]
fn longest_answer_is_whole() {
    let mut turn = started_turn();
    turn.apply(ModelEvent::TextDelta("x".repeat(MAX_ANSWER_BYTES)));
    assert!(!turn.is_too_long());
    turn.end(TurnOutcome::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
    assert_eq!(turn.view().status, TurnStatus::Completed);
}

/// The most bytes of a string and a table row of SQLite, by Cloudflare's documentation of Durable Objects.
const MOST_BYTES: usize = 2_000_000;
/// A row's other columns: the access token, the idempotency key (one byte a character), ids and numbers.
const OTHER_COLUMNS: usize = MAX_TOKEN_BYTES + MAX_IDEMPOTENCY_KEY_CHARS + 256;

/// The largest answer to this, and the bytes of every row that is stored of the turn.
fn large_turn(content: &Value, said: &str, streamed: bool) -> (TurnState, Vec<usize>) {
    let body = serde_json::to_vec(&json!({ "content": content })).unwrap();
    let message: SendMessage = body::parse(&body).unwrap();
    let parts = message.to_parts();
    let mut turn = TurnState::begin(TurnSpec { input: question(parts), ..spec() });
    if streamed {
        while !turn.is_too_long() {
            turn.apply(ModelEvent::TextDelta(said.repeat(20)));
        }
    } else {
        turn.apply(ModelEvent::TextDelta(said.repeat(1024 * 1024 / said.len() + 1)));
    }
    turn.end(TurnOutcome::Answered(StreamEnd::Completed(FinishReason::Stop)), NOW);
    let mut sizes = vec![serde_json::to_string(turn.record()).unwrap().len() + OTHER_COLUMNS];
    while let Some(segment) = turn.log().unsaved() {
        sizes.push(segment.frames.len() + 256);
        turn.mark_saved(segment.last_id);
    }
    (turn, sizes)
}

#[rstest]
fn largest_turn_fits_in_storage(
    #[values("one text", "all texts", "picture and text")] asked: &str,
    #[values("x", "\n", "\u{1}", "é", "😀", "\"some words, \\ and so on\"\n")] said: &str,
    #[values(true, false)] streamed: bool,
) {
    let content = match asked {
        "one text" => json!("\u{1}".repeat(100_000)),
        "all texts" => {
            let part = json!({ "type": "text", "text": "\u{1}".repeat(100_000 / 16) });
            json!(vec![part; 16])
        }
        _ => json!([
            { "type": "text", "text": "\u{1}".repeat(100_000) },
            { "type": "image", "mime_type": "image/png", "data": "A".repeat((body::MAX_BODY_BYTES - 600_200) / 4 * 4) },
        ]),
    };
    let (turn, sizes) = large_turn(&content, said, streamed);
    assert!(sizes.iter().all(|size| *size < MOST_BYTES), "{sizes:?}");
    assert_eq!(turn.view().status, TurnStatus::Incomplete);
}
