//! Tests of streamed text, which arrives as the provider sends it and whole, however the network splits it.

use bytes::Bytes;
use edgechat_tests::{
    client::text_of,
    provider::{Script, Step, call::USAGE, script::paced},
    test_env::TestEnv,
};
use proptest::{
    collection::vec,
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::json;
use shared::provider::{FinishReason, ModelEvent, gemini};

const TEXT: &str = "Grüße, 世界! 👩‍👩‍👧 “quoted” \\ \u{2028} data: no\n\nid: 7\r\n";

/// The bytes of a whole answer with [`TEXT`] in three chunks.
fn answer() -> Vec<u8> {
    let identity = gemini::Identity { model_version: "m", response_id: "r" };
    let middle = TEXT.char_indices().nth(9).unwrap().0;
    let (first, second) = TEXT.split_at(middle);
    let mut bytes = Vec::new();
    for text in [first, second] {
        gemini::encode_chunk(&mut bytes, identity, &[ModelEvent::TextDelta(text.to_owned())]);
    }
    gemini::encode_chunk(
        &mut bytes,
        identity,
        &[ModelEvent::Usage(USAGE), ModelEvent::Finish(FinishReason::Stop)],
    );
    bytes
}

/// A script that sends these pieces byte for byte.
fn verbatim<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Script {
    Script::Steps(pieces.into_iter().map(|piece| Step::Raw(Bytes::copy_from_slice(piece))).collect())
}

#[tokio::test]
async fn first_word_arrives_before_provider_finishes() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Hello"), async {
        let mut call = upcoming.arrives().await;
        call.send_text("Once ").await.unwrap();
        call
    });
    stream.expect("turn.started").await;
    assert_eq!(stream.delta().await, "Once ");
    // Each further word is sent after the previous one was received.
    for word in ["upon ", "a ", "time "] {
        call.send_text(word).await.unwrap();
        assert_eq!(stream.delta().await, word);
    }
    call.stop().await.unwrap();
    stream.expect("message.completed").await;
    stream.expect("turn.completed").await;
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn turn_started_arrives_before_provider_answers() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let mut stream = phone.stream(conversation, "Hello").await;
    stream.expect("turn.started").await;
    let mut call = upcoming.arrives().await;
    call.send_text("Hello").await.unwrap();
    call.stop().await.unwrap();
    let rest = stream.rest().await;
    assert_eq!(rest.last().unwrap().kind, "turn.completed");
}

#[tokio::test]
async fn stream_flag_in_body_selects_media_type() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    for (stream, media_type) in [(true, "text/event-stream"), (false, "application/json")] {
        let ask = phone.message(conversation, &json!({ "content": "Hello", "stream": stream }));
        let reply = ask.send().await;
        assert!(reply.header("content-type").unwrap().starts_with(media_type), "{reply:?}");
    }
    let calls = env.provider.received();
    assert_eq!((calls[0].stream, calls[1].stream), (true, false));
}

#[tokio::test]
async fn character_split_across_chunks_arrives_whole() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(verbatim(answer().chunks(1)));
    let events = phone.stream_and_persist(conversation, "Byte by byte").await;
    assert_eq!(text_of(&events), TEXT);
    assert_eq!(events.last().unwrap().kind, "turn.completed");
    assert_eq!(phone.messages(conversation).await[1].content, TEXT);
}

#[tokio::test]
async fn answer_split_anywhere_has_same_text() {
    const CASES: usize = 16;
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let answer = answer();
    let mut random = TestRunner::deterministic();
    for _ in 0..CASES {
        let lengths = vec(1..60_usize, 1..40).new_tree(&mut random).unwrap().current();
        let (mut rest, mut pieces) = (answer.as_slice(), Vec::new());
        for length in &lengths {
            let (piece, more) = rest.split_at(rest.len().min(*length));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        pieces.retain(|piece| !piece.is_empty());
        env.provider.will(verbatim(pieces));
        let events = phone.stream(conversation, "Again").await.rest().await;
        assert_eq!(text_of(&events), TEXT, "cut at {lengths:?}");
        assert_eq!(events.last().unwrap().kind, "turn.completed", "cut at {lengths:?}");
    }
}

#[tokio::test]
async fn long_answer_arrives_whole() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let words: Vec<_> = (0..2_000).map(|word| format!("word{word} ")).collect();
    env.provider.will(Script::pieces(words.clone()));
    let events = phone.stream_and_persist(conversation, "Go on").await;
    assert_eq!(text_of(&events), words.concat());
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(phone.messages(conversation).await[1].content, words.concat());
}

#[tokio::test]
async fn chunk_of_100_kb_arrives_whole() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let text = "0123456789".repeat(10_000);
    env.provider.will(Script::pieces([text.clone()]));
    assert_eq!(phone.send_message(conversation, "All at once").await.assistant_message.content, text);
}

#[tokio::test]
async fn answer_of_several_seconds_is_one_answer() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let words: Vec<_> = (0..25).map(|word| format!("word{word} ")).collect();
    // Longer than the checkpoint interval, so that some checkpoints fall into the answer.
    env.provider.will(paced(words.clone(), std::time::Duration::from_millis(100)));
    let events = phone.stream_and_persist(conversation, "Slowly").await;
    assert_eq!(text_of(&events), words.concat());
    assert_eq!(phone.messages(conversation).await[1].content, words.concat());
}

/// The deltas of an answer of forty words that the provider sends without pause.
async fn deltas_of_forty_words(flush_ms: &str) -> Vec<String> {
    let env = TestEnv::setup().var("STREAM_FLUSH_MS", flush_ms).start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let words: Vec<_> = (0..40).map(|n| format!("word{n} ")).collect();
    env.provider.will(Script::pieces(words.clone()));
    let events = phone.stream(conversation, "Hello").await.rest().await;
    assert_eq!(text_of(&events), words.concat());
    let deltas = events.iter().filter(|event| event.kind == "message.delta");
    deltas.map(|event| event.data["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn words_within_flush_interval_are_one_event() {
    let deltas = deltas_of_forty_words("1000").await;
    assert!(deltas.len() < 20, "{deltas:?}");
}

#[tokio::test]
async fn words_without_flush_interval_are_separate_events() {
    assert_eq!(deltas_of_forty_words("0").await.len(), 40);
}
