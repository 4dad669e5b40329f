//! Tests of bounds on what waits: for a reader that takes nothing, and for an origin that is away.

use bytes::Bytes;
use edgechat_tests::{
    client::{Client, EventStream, Phone, content, text_of, turn_path},
    test_env::TestEnv,
    wait::{BOUND, bounded, until},
};
use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use shared::{
    api::{
        ErrorCode,
        chat::{SentMessage, TurnStatus},
    },
    id::Id,
    provider::{ModelEvent, gemini},
    sse::Decoder,
};
use tokio::net::TcpSocket;

/// Readers that may follow one turn.
const MAX_READERS: usize = 16;
/// Bytes of an event at most.
const MAX_EVENT_BYTES: usize = 1_024 * 1_024;
/// Words of a long answer, each an event: together more bytes than the system keeps for a connection, which may be 4 MiB.
const WORDS: usize = 110_000;
/// Words that the provider sends at once.
const WORDS_AT_ONCE: usize = 1_000;

/// Opens a stream of a turn's events on a connection that takes next to nothing until it is read.
async fn unread_stream(phone: &Phone, turn: Id) -> Response<Incoming> {
    let url = phone.client.url("");
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let socket = TcpSocket::new_v4().unwrap();
    // Too small for the runtime to pass the whole response to the system.
    socket.set_recv_buffer_size(4_096).unwrap();
    let connection = socket.connect(address.parse().unwrap()).await.unwrap();
    let (mut sender, driver) = http1::handshake(TokioIo::new(connection)).await.unwrap();
    tokio::spawn(driver);
    let ask = Request::get(format!("{}/events", turn_path(turn)))
        .header("host", address)
        .header("authorization", format!("Bearer {}", phone.tokens.access_token));
    bounded("the head of a stream", sender.send_request(ask.body(String::new()).unwrap())).await.unwrap()
}

/// Reads what arrives of a stream until it ends or breaks: its text, its last id, and whether it broke.
async fn read_rest(mut stream: Response<Incoming>) -> (String, u64, bool) {
    let (mut decoder, mut text, mut last_id) = (Decoder::new(MAX_EVENT_BYTES), String::new(), 0);
    while let Some(frame) = bounded("the rest of a stream", stream.body_mut().frame()).await {
        let Ok(frame) = frame else { return (text, last_id, true) };
        let bytes: Bytes = frame.into_data().unwrap_or_default();
        let mut bytes = &bytes[..];
        while let Some(event) = decoder.read(&mut bytes).unwrap() {
            last_id = event.id.parse().unwrap();
            if event.event == "message.delta" {
                let data: Value = serde_json::from_str(&event.data).unwrap();
                text.push_str(data["text"].as_str().unwrap());
            }
        }
    }
    (text, last_id, false)
}

/// Chunks of one letter each.
fn words() -> Bytes {
    let identity = gemini::Identity { model_version: "m", response_id: "r" };
    let mut chunks = Vec::new();
    for _ in 0..WORDS_AT_ONCE {
        gemini::encode_chunk(&mut chunks, identity, &[ModelEvent::TextDelta("x".to_owned())]);
    }
    chunks.into()
}

#[tokio::test]
async fn stalled_reader_is_dropped_and_resumes() {
    let env = TestEnv::setup().var("STREAM_STALL_MS", "2000").var("STREAM_FLUSH_MS", "0").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Say a lot"), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    // The first reader reads all the time.
    let reader = tokio::spawn(stream.rest());
    let stalled = unread_stream(&phone, turn).await;
    for _ in 0..WORDS / WORDS_AT_ONCE {
        call.raw(words()).await.unwrap();
    }
    // All other places are taken by readers for whom nothing is left, and the one of the stalled reader becomes free.
    let last = phone.turn_when(turn, "all words", |turn| turn.text.len() == WORDS);
    let last = last.await.last_event_id;
    let mut others: Vec<EventStream> = Vec::new();
    while others.len() < MAX_READERS - 1 {
        let next = until(BOUND, "a place for one more reader", || async {
            phone.events_after(turn, last).try_stream().await.ok()
        });
        others.push(next.await);
    }
    let (text, last_id, is_broken) = read_rest(stalled).await;
    assert!(is_broken, "the connection was closed as if the stream had ended");
    call.send_text("The end.").await.unwrap();
    call.stop().await.unwrap();
    let whole = text_of(&reader.await.unwrap());
    assert!(text.len() < whole.len() && whole.starts_with(&text), "{} of {}", text.len(), whole.len());
    let rest = phone.events_after(turn, last_id).stream().await.rest().await;
    assert!(text + &text_of(&rest) == whole, "the stalled reader has every byte once");
    for other in others {
        assert_eq!(other.rest().await.last().unwrap().kind, "turn.completed");
    }
}

#[tokio::test]
async fn full_outbox_refuses_messages_until_the_origin_is_back() {
    const MAX_TURNS: usize = 3;
    let mut env = TestEnv::setup().var("OUTBOX_MAX_TURNS", MAX_TURNS.to_string()).start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "Hello").await;
    env.kill_origin().await;
    let ask = |client: &Client, key: &str| {
        let path = edgechat_tests::client::messages_path(conversation);
        client.post(&path).json(&content("More")).key(key).send()
    };
    let mut sent = Vec::new();
    for at in 0..MAX_TURNS {
        let answer: SentMessage =
            ask(&phone.client, &format!("message-{at}")).await.expect_status(201).json();
        assert_eq!((answer.status, answer.persisted), (TurnStatus::Completed, false));
        sent.push(answer.turn_id);
    }
    let refused = ask(&phone.client, "message-too-many").await;
    refused.problem(ErrorCode::OriginUnavailable);
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(env.provider.calls(), MAX_TURNS + 1, "no model is asked for what cannot be kept");
    // What was taken on is answered all the same.
    let again: SentMessage = ask(&phone.client, "message-0").await.expect_status(201).json();
    assert_eq!(again.turn_id, sent[0]);

    env.start_origin().await;
    for turn in sent {
        phone.persisted(turn).await;
    }
    let answer: SentMessage = ask(&phone.client, "message-too-many").await.expect_status(201).json();
    phone.persisted(answer.turn_id).await;
    assert_eq!(phone.usage().await.totals.requests, u64::try_from(MAX_TURNS).unwrap() + 2);
    assert_eq!(phone.messages(conversation).await.len(), 2 * (MAX_TURNS + 2));
}
