//! Tests of the user object on its platform: it leaves nothing running, buffers little for slow readers, and survives refusals.

use edgechat_tests::{
    client::{Client, EventStream, Phone, content, text_of, turn_path},
    provider::{Call, Script},
    test_env::{TestEnv, Watch},
    wait::{BOUND, bounded_by, until},
};
use http_body_util::BodyExt;
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use shared::{
    api::{ErrorCode, chat::TurnStatus},
    id::Id,
    provider::completion::MAX_ANSWER_BYTES,
};
use tokio::net::TcpSocket;

async fn env() -> (TestEnv, Client) {
    let mut env = TestEnv::setup().measured().start().await;
    env.restart_workerd_watched(&Watch::Probe).await;
    let probe = Client::new(env.wrapper_url());
    (env, probe)
}

async fn probe(client: &Client, query: &str) -> Value {
    client.get(&format!("/{query}")).send().await.expect_status(200).json()
}

/// Starts a turn whose provider waits for the test.
async fn started(env: &TestEnv, phone: &Phone, conversation: Id, text: &str) -> (Id, EventStream, Call) {
    let upcoming = env.provider.hand_over();
    let (mut stream, call) = tokio::join!(phone.stream(conversation, text), upcoming.arrives());
    (stream.expect("turn.started").await.turn_id(), stream, call)
}

#[tokio::test]
async fn idle_object_leaves_nothing_running() {
    let (env, client) = env().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (turn, mut stream, mut call) = started(&env, &phone, conversation, "Hello").await;
    let reader = phone.events(turn).stream().await;
    call.send_text("Hi").await.unwrap();
    assert_eq!(stream.delta().await, "Hi");
    let state = probe(&client, "").await;
    assert_eq!((&state["intervals"], &state["reads"]), (&1.into(), &1.into()), "{state}");
    call.stop().await.unwrap();
    stream.rest().await;
    assert_eq!(text_of(&reader.rest().await), "Hi");
    // The same after a cancelled turn and after one whose provider fails.
    let (turn, stream, _call) = started(&env, &phone, conversation, "And then?").await;
    let _ = phone.cancel(turn).send().await.expect_status(202);
    stream.rest().await;
    env.provider.will(Script::empty());
    phone.message(conversation, &content("Once more")).send().await;
    until(BOUND, "an object that leaves nothing running", || async {
        let state = probe(&client, "").await;
        ["timers", "intervals", "calls", "reads"].iter().all(|what| state[what] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn slow_reader_has_one_chunk_in_its_queue() {
    const KIBIBYTES: usize = MAX_ANSWER_BYTES / 1_024;
    let (env, client) = env().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::pieces((0..KIBIBYTES).map(|_| "x".repeat(1_024))));
    let mut stream = phone.stream(conversation, "Say a lot").await;
    let turn = stream.expect("turn.started").await.turn_id();
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
    let slow = sender.send_request(ask.body(String::new()).unwrap()).await.unwrap();
    let whole = text_of(&stream.rest().await);
    assert_eq!(phone.persisted(turn).await.status, TurnStatus::Completed);
    let state = probe(&client, "").await;
    assert!(state["most_queued"].as_i64().unwrap() <= 1, "{state}");
    // The response arrives whole once it is read.
    let answer = bounded_by(BOUND, "a slow answer", slow.into_body().collect()).await.unwrap();
    let answer = String::from_utf8(answer.to_bytes().into()).unwrap();
    let words = answer.lines().filter_map(|line| line.strip_prefix("data: ")).filter_map(|data| {
        let data: Value = serde_json::from_str(data).ok()?;
        data["text"].as_str().map(str::to_owned)
    });
    let words: String = words.collect();
    assert!(words == whole, "{} bytes are not the {} bytes", words.len(), whole.len());
    assert!(answer.contains("event: turn.completed"));
}

#[tokio::test]
async fn refused_storage_write_is_503_and_outbox_survives() {
    const REFUSAL: &str = "Exceeded%20allowed%20rows%20written%20in%20Durable%20Objects%20free%20tier.";
    let (env, client) = env().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (turn, stream, mut call) = started(&env, &phone, conversation, "Hello").await;
    probe(&client, &format!("?refuse={REFUSAL}")).await;
    // The running turn completes and is delivered.
    call.send_text("Hi").await.unwrap();
    call.stop().await.unwrap();
    let events = stream.rest().await;
    assert_eq!((text_of(&events), &*events.last().unwrap().kind), ("Hi".to_owned(), "turn.completed"));
    assert!(phone.persisted(turn).await.persisted);
    // A new one is refused, and the client sees nothing of the platform's message.
    let refused = phone.message(conversation, &content("And then?")).key("again").send().await;
    let problem = refused.problem(ErrorCode::Overloaded);
    assert!(refused.header("retry-after").is_some(), "{problem:?}");
    assert!(!refused.text().contains("rows"), "{}", refused.text());
    probe(&client, "?refuse=").await;
    env.provider.will(Script::pieces(["The end."]));
    let sent = phone.message(conversation, &content("And then?")).key("again").send().await;
    let _ = sent.expect_status(201);
    let said: Vec<_> =
        phone.messages(conversation).await.into_iter().map(|message| message.content).collect();
    assert_eq!(said, ["Hello", "Hi", "And then?", "The end."]);
}

#[tokio::test]
async fn client_forged_handover_is_replaced() {
    let env = TestEnv::start().await;
    let (ada, eve) = (env.phone().await, env.phone().await);
    let conversation = ada.conversation().await;
    env.provider.will(Script::pieces(["A secret."]));
    let turn = ada.send_and_persist(conversation, "Hush").await.turn_id;
    let handover = |phone: &Phone| {
        let tokens = &phone.tokens;
        json!({
            "identity": {
                "user_id": tokens.user.id, "session_id": tokens.user.id, "plan": tokens.user.plan, "client_ip": "",
                "token": tokens.access_token, "verified_at": "2026-11-01T00:00:00.000Z",
            },
            "request_id": "made-up", "dress": "X-Made-Up\nyes",
        })
        .to_string()
    };
    for name in ["X-EdgeChat-Handover", "x-edgechat-handover"] {
        let ask = eve.client.get(&turn_path(turn)).header(name, &handover(&ada));
        let reply = ask.send().await;
        reply.problem(ErrorCode::NotFound);
        assert!(reply.header("x-made-up").is_none());
        assert_ne!(reply.header("x-request-id"), Some("made-up"));
        let twice =
            eve.client.get(&turn_path(turn)).header(name, &handover(&ada)).header(name, &handover(&ada));
        twice.send().await.problem(ErrorCode::NotFound);
        // The user's own turns stay accessible.
        let own = ada.client.get(&turn_path(turn)).header(name, &handover(&eve)).send().await;
        assert_eq!(own.expect_status(200).value()["id"], turn.to_string());
    }
}
