//! Events for the user object: whatever ends a session at the origin is known at the edge, which refuses its tokens and cuts its
//! streams; also when the Worker was away. The origin is gone wherever a test asks, so that nobody can have looked it up.

use edgechat_tests::{
    client::{EventStream, PASSWORD, Phone, turn_path},
    clock::now,
    provider::call::Call,
    test_env::{EDGE_KEY, TestEnv},
    wait::{BOUND, until},
};
use serde_json::json;
use shared::{
    api::{
        ErrorCode,
        account::{Plan, Tokens},
        internal::user_event::{AddressedEvent, EVENTS_PATH, EventBatch, EventReceipt, UserEvent},
    },
    auth::edge::{EdgeKeys, EdgeRequest, sha256},
    http::headers::{SIGNATURE, SIGNATURE_ERROR, USER_EVENTS, X_REQUEST_ID},
    id::Id,
};

/// A user whose phone reads a stream that goes on, and the provider's call behind it.
struct Listening {
    phone: Phone,
    turn: Id,
    stream: EventStream,
    call: Call,
}

impl Listening {
    async fn start(env: &TestEnv, phone: Phone) -> Self {
        let conversation = phone.conversation().await;
        let upcoming = env.provider.hand_over();
        let (mut stream, call) = tokio::join!(phone.stream(conversation, "Hello"), async {
            let mut call = upcoming.arrives().await;
            call.send_text("Once ").await.unwrap();
            call
        });
        let turn = stream.expect("turn.started").await.turn_id();
        assert_eq!(stream.delta().await, "Once ");
        Self { phone, turn, stream, call }
    }

    /// The stream ends before its turn does, and its token is refused without asking the origin.
    async fn expect_cut_off(mut self, env: &mut TestEnv) {
        assert_eq!(self.stream.next().await, None, "the stream is cut, without a last word");
        env.kill_origin().await;
        let refused = self.phone.client.get(&turn_path(self.turn)).send().await;
        refused.problem(ErrorCode::SessionEnded);
        // The turn is stopped with the session that began it.
        self.call.gone().await;
    }
}

async fn refresh(env: &TestEnv, refresh_token: &str) -> edgechat_tests::client::Reply {
    let body = json!({ "refresh_token": refresh_token });
    env.client().post("/api/v1/auth/refresh").json(&body).send().await
}

/// Lets a front that was restarted fetch the origin's keys, for a user that no test is about.
async fn fetch_keys(env: &TestEnv) {
    let _ = env.phone().await.client.get("/api/v1/users/me").send().await.expect_status(200);
}

#[tokio::test]
async fn logout_on_another_device_cuts_streams_and_refuses_tokens() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let other = phone.sign_in_again().await;
    let listening = Listening::start(&env, phone).await;
    let reply = other.client.post("/api/v1/auth/logout-all").send().await.expect_status(204);
    assert_eq!(reply.header(USER_EVENTS), None, "no client sees the events");
    listening.expect_cut_off(&mut env).await;
}

#[tokio::test]
async fn logout_ends_its_own_session_alone() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let other = phone.sign_in_again().await;
    let mut listening = Listening::start(&env, phone).await;
    let _ = other.client.post("/api/v1/auth/logout").send().await.expect_status(204);
    other.client.get(&turn_path(listening.turn)).send().await.problem(ErrorCode::SessionEnded);
    other.client.get("/api/v1/users/me").send().await.problem(ErrorCode::SessionEnded);
    listening.call.send_text("upon ").await.unwrap();
    assert_eq!(listening.stream.delta().await, "upon ");
    listening.call.stop().await.unwrap();
    assert_eq!(listening.stream.rest().await.last().unwrap().kind, "turn.completed");
}

#[tokio::test]
async fn changed_password_cuts_streams_of_other_sessions_alone() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let other = phone.sign_in_again().await;
    let listening = Listening::start(&env, phone).await;
    let body = json!({ "current_password": PASSWORD, "new_password": "staple battery horse" });
    let reply = other.client.post("/api/v1/auth/change-password").json(&body).send().await.expect_status(200);
    assert_eq!(reply.header(USER_EVENTS), None, "no client sees the events");
    let tokens: Tokens = reply.json();
    assert_eq!(tokens.session_id, other.tokens.session_id);
    for token in [&other.tokens.access_token, &tokens.access_token] {
        let _ = env.client().with_token(token).get("/api/v1/users/me").send().await.expect_status(200);
    }
    listening.expect_cut_off(&mut env).await;
}

/// The parent was stolen. Its descendants, of whom one streams, are refused with it; the origin is gone when they ask.
#[tokio::test]
async fn reuse_of_refresh_token_cuts_streams_and_refuses_tokens_of_descendants() {
    let mut env = TestEnv::start().await;
    let mut phone = env.phone().await;
    let first = phone.tokens.clone();
    let second: Tokens = refresh(&env, &first.refresh_token).await.expect_status(200).json();
    let third: Tokens = refresh(&env, &second.refresh_token).await.expect_status(200).json();
    phone.client = phone.client.with_token(&third.access_token);
    let listening = Listening::start(&env, phone).await;
    let reply = refresh(&env, &first.refresh_token).await;
    assert_eq!(reply.header(USER_EVENTS), None, "no client sees the events");
    reply.problem(ErrorCode::SessionEnded);
    refresh(&env, &third.refresh_token).await.problem(ErrorCode::SessionEnded);
    let turn = turn_path(listening.turn);
    listening.expect_cut_off(&mut env).await;
    for tokens in [&first, &second, &third] {
        let client = env.client().with_token(&tokens.access_token);
        client.get(&turn).send().await.problem(ErrorCode::SessionEnded);
    }
}

#[tokio::test]
async fn session_ended_by_command_line_expect_cut_off() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let email = phone.email().to_owned();
    let listening = Listening::start(&env, phone).await;
    let said = env.edgechat(&["sessions", "end", &email]).await;
    assert!(said.contains("1 session"), "{said}");
    // The origin that runs has let this session in just now.
    until(BOUND, "the origin to refuse the session", || async {
        (listening.phone.client.get("/api/v1/users/me").send().await.status == 401).then_some(())
    })
    .await;
    listening.expect_cut_off(&mut env).await;
}

#[tokio::test]
async fn session_that_ends_while_worker_is_away_is_refused_when_it_is_back() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let turn = phone.send_and_persist(phone.conversation().await, "Hello").await.turn_id;
    env.kill_workerd().await;
    let session = phone.tokens.session_id;
    let at_origin = env.client_of_origin().with_token(&phone.tokens.access_token);
    let _ = at_origin.post("/api/v1/auth/logout").send().await.expect_status(204);
    env.start_workerd().await;
    env.stored_by_objects(&session.to_string()).await;
    fetch_keys(&env).await;
    env.kill_origin().await;
    phone.client.get(&turn_path(turn)).send().await.problem(ErrorCode::SessionEnded);
}

#[tokio::test]
async fn conversation_changed_past_the_front_is_known_to_the_next_message() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let _ = phone.send_and_persist(conversation, "Hello").await;
    let at_origin = env.client_of_origin().with_token(&phone.tokens.access_token);
    let path = format!("/api/v1/chat/conversations/{conversation}");
    let change = json!({ "system": "Answer in verse." });
    let _ = at_origin.ask(reqwest::Method::PATCH, &path).json(&change).send().await.expect_status(200);
    until(BOUND, "a prompt with the new instructions", || async {
        let _ = phone.send_message(conversation, "And now?").await;
        let last = env.provider.received().pop().unwrap();
        (last.request.system.as_deref() == Some("Answer in verse.")).then_some(())
    })
    .await;
}

/// Posts events as the origin does, with this key.
async fn post_events(env: &TestEnv, key: &str, events: Vec<AddressedEvent>) -> edgechat_tests::client::Reply {
    let body = serde_json::to_vec(&EventBatch { events }).unwrap();
    let request_id = Id::new(now(), [1; 10]).to_string();
    let request = EdgeRequest {
        method: "POST",
        path_and_query: EVENTS_PATH,
        body_sha256: &sha256(&body),
        request_id: &request_id,
        client_ip: "",
    };
    let signature = EdgeKeys::parse(key).unwrap().sign(&request, now(), "0123456789abcdef");
    let ask = env.client().post(EVENTS_PATH).header(SIGNATURE, &signature);
    ask.header(X_REQUEST_ID, &request_id).json_bytes(body).send().await
}

fn event(phone: &Phone, event: UserEvent) -> AddressedEvent {
    let user_id = phone.tokens.user.id;
    AddressedEvent { id: Id::new(now(), [2; 10]), user_id, at: now(), event }
}

#[tokio::test]
async fn events_of_anybody_else_are_refused() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let deleted = event(&phone, UserEvent::UserDeleted);
    let unsigned = env.client().post(EVENTS_PATH).json(&json!({ "events": [deleted] }));
    unsigned.send().await.problem(ErrorCode::NotFound);
    let refused = post_events(&env, &EDGE_KEY.replace('e', "f"), vec![deleted]).await;
    assert!(refused.header(SIGNATURE_ERROR).is_some(), "{refused:?}");
    refused.problem(ErrorCode::Forbidden);
    let _ = phone.send_message(phone.conversation().await, "Hello").await;
}

#[tokio::test]
async fn event_that_is_not_known_yet_is_not_acknowledged_and_spoils_no_other() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let mut known = event(&phone, UserEvent::PlanChanged { plan: Plan::Basic });
    known.id = Id::new(now(), [3; 10]);
    let reply = post_events(&env, EDGE_KEY, vec![event(&phone, UserEvent::Unknown), known]).await;
    let receipt: EventReceipt = reply.expect_status(200).json();
    assert_eq!(receipt.acknowledged, [known.id]);
}

#[tokio::test]
async fn changed_plan_counts_before_the_next_token() {
    let env = TestEnv::setup().var("BASIC_TIER_DAILY_LIMIT", "1").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let _ = phone.send_message(conversation, "Hello").await;
    let message = phone.message(conversation, &json!({ "content": "Again" }));
    message.send().await.problem(ErrorCode::DailyLimitReached);
    let email = phone.email().to_owned();
    let said = env.edgechat(&["users", "set-plan", &email, "pro"]).await;
    assert!(said.contains("pro"), "{said}");
    until(BOUND, "the new plan to count", || async {
        let message = phone.message(conversation, &json!({ "content": "Again" }));
        (message.send().await.status == 201).then_some(())
    })
    .await;
}

#[tokio::test]
async fn deleted_account_stops_its_turns_and_leaves_nothing() {
    let mut env = TestEnv::start().await;
    let listening = Listening::start(&env, env.phone().await).await;
    let Listening { phone, turn, mut stream, mut call } = listening;
    let deleted = event(&phone, UserEvent::UserDeleted);
    let receipt: EventReceipt = post_events(&env, EDGE_KEY, vec![deleted]).await.expect_status(200).json();
    assert_eq!(receipt.acknowledged, [deleted.id]);
    call.gone().await;
    assert_eq!(stream.next().await, None);
    env.kill_workerd().await;
    env.start_workerd().await;
    fetch_keys(&env).await;
    env.kill_origin().await;
    phone.client.get(&turn_path(turn)).send().await.problem(ErrorCode::SessionEnded);
}
