//! Tests of the Worker's caches of contexts and sessions. Most use a mock origin whose responses the test gives by hand, as
//! late as the case needs.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use bytes::Bytes;
use edgechat_tests::{
    client::{Client, content, messages_path, turn_path},
    clock::now,
    mock_origin,
    test_env::TestEnv,
    tokens,
    wait::bounded,
};
use http_body_util::{BodyExt, Collected, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;
use shared::{
    api::{
        ApiError, ErrorCode,
        chat::SentMessage,
        internal::{
            ConversationContext, DeliveryReceipt, Head, TURNS_PATH, TurnDelivery, context_path,
            user_event::{AddressedEvent, UserEvent},
        },
    },
    chat::context::CONTEXT_BYTES,
    http::headers::{MISSING_CONSENTS, USER_EVENTS},
    id::Id,
    provider::ContentPart,
};
use tokio::sync::{Mutex, mpsc, oneshot};

const VERIFY_PATH: &str = "/api/v1/auth/verify";

/// A mock origin whose responses the test gives. It answers by itself for its keys, and for turns it has already stored: a
/// restarted Worker may deliver one again.
struct Origin {
    url: String,
    asked: Mutex<mpsc::UnboundedReceiver<OriginRequest>>,
    receipts: Receipts,
}

/// Receipts by turn.
type Receipts = Arc<std::sync::Mutex<HashMap<Id, String>>>;

/// A request that waits for its response. Dropping it responds with a failure.
struct OriginRequest {
    what: String,
    body: Bytes,
    answer: oneshot::Sender<(u16, String)>,
}

impl OriginRequest {
    fn answer(self, value: &impl Serialize) {
        self.answer.send((200, serde_json::to_string(value).unwrap())).unwrap();
    }

    fn refuse(self, code: ErrorCode) {
        let problem = ApiError::from(code).problem("by-hand");
        self.answer_as(code.status(), &serde_json::to_string(&problem).unwrap());
    }

    fn answer_as(self, status: u16, body: &str) {
        self.answer.send((status, body.to_owned())).unwrap();
    }
}

impl Origin {
    async fn start() -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        let receipts = Receipts::default();
        let known = Arc::clone(&receipts);
        let service = service_fn(move |request| by_hand(request, sender.clone(), Arc::clone(&known)));
        Self { url: mock_origin::serve(service).await, asked: Mutex::new(asked), receipts }
    }

    /// Returns the next request, which must be this one.
    async fn asked(&self, what: &str) -> OriginRequest {
        let mut asked = self.asked.lock().await;
        let next = bounded(&format!("{what} at the origin"), asked.recv()).await.unwrap();
        assert_eq!(next.what, what);
        next
    }

    async fn takes_a_turn(&self) {
        let asked = self.asked(&format!("POST {TURNS_PATH}")).await;
        let turn: TurnDelivery = serde_json::from_slice(&asked.body).unwrap();
        let receipt = DeliveryReceipt { conversation_exists: true, last_seq: turn.messages.answer().seq };
        let receipt = serde_json::to_string(&receipt).unwrap();
        self.receipts.lock().unwrap().insert(turn.turn_id, receipt.clone());
        asked.answer_as(200, &receipt);
    }

    async fn gives_a_context(&self, conversation: Id, system: &str) {
        let asked = self.asked(&format!("GET {}", context_path(conversation))).await;
        asked.answer(&context(conversation, system));
    }
}

async fn by_hand(
    request: Request<Incoming>,
    sender: mpsc::UnboundedSender<OriginRequest>,
    receipts: Receipts,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let what = format!("{} {}", request.method(), request.uri().path());
    let events = events_of(&request);
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let turn = serde_json::from_slice::<TurnDelivery>(&body).ok();
    let receipt = turn.and_then(|turn| receipts.lock().unwrap().get(&turn.turn_id).cloned());
    let (status, text) = if what.ends_with("jwks.json") {
        (200, serde_json::to_string(&tokens::signing_key().jwk_set()).unwrap())
    } else if let Some(receipt) = receipt {
        (200, receipt)
    } else {
        let (answer, answered) = oneshot::channel();
        // After the test nothing responds.
        let _ = sender.send(OriginRequest { what, body, answer });
        answered.await.unwrap_or_else(|_| (500, String::new()))
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status.try_into().unwrap();
    response.headers_mut().insert(MISSING_CONSENTS, "none".try_into().unwrap());
    if let Some(events) = events {
        response.headers_mut().insert(USER_EVENTS, events.try_into().unwrap());
    }
    Ok(response)
}

/// The events of a request that changes a conversation.
fn events_of(request: &Request<Incoming>) -> Option<String> {
    if request.method() != Method::PATCH {
        return None;
    }
    let conversation_id = Id::parse(request.uri().path().rsplit('/').next()?)?;
    let token = request.headers().get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    let event = UserEvent::ConversationChanged { conversation_id };
    let user_id = tokens::claims(token).sub;
    let event = AddressedEvent { id: Id::new(now(), [9; 10]), user_id, at: now(), event };
    Some(serde_json::to_string(&[event]).unwrap())
}

fn context(conversation_id: Id, system: &str) -> ConversationContext {
    ConversationContext {
        conversation_id,
        model: None,
        system: Some(system.to_owned()),
        last_seq: 0,
        head: Head::default(),
        children: Vec::new(),
        messages: Vec::new(),
    }
}

/// An environment with a mock origin, a user with a token, and one of the user's conversations.
async fn env() -> (Origin, TestEnv, Client, Id) {
    let origin = Origin::start().await;
    let env = TestEnv::setup().var("ORIGIN_URL", &origin.url).start().await;
    let client = env.client().with_token(tokens::of_nobody());
    (origin, env, client, Id::new(now(), [2; 10]))
}

/// An environment whose Worker has cached the context of the conversation but no session.
async fn restarted_env() -> (Origin, TestEnv, Client, Id) {
    let (origin, mut env, client, conversation) = env().await;
    let message = client.post(&messages_path(conversation)).json(&content("One")).send();
    let origin_does = async {
        origin.gives_a_context(conversation, "Be kind").await;
        origin.takes_a_turn().await;
    };
    let (reply, ()) = tokio::join!(message, origin_does);
    let _ = reply.expect_status(201);
    env.stored_by_objects("Be kind").await;
    env.kill_workerd().await;
    env.start_workerd().await;
    (origin, env, client, conversation)
}

#[tokio::test]
async fn change_during_context_fetch_applies_to_next_message() {
    let (origin, env, client, conversation) = env().await;
    let ask = |text| client.post(&messages_path(conversation)).json(&content(text)).send();
    let path = format!("/api/v1/chat/conversations/{conversation}");
    let origin_does = async {
        let fetched = origin.asked(&format!("GET {}", context_path(conversation))).await;
        let change = client.ask(Method::PATCH, &path).json(&json!({ "system": "After" })).send();
        let changed = async { origin.asked(&format!("PATCH {path}")).await.answer(&json!({})) };
        let (reply, ()) = tokio::join!(change, changed);
        let _ = reply.expect_status(200);
        fetched.answer(&context(conversation, "Before"));
        origin.takes_a_turn().await;
    };
    let (reply, ()) = tokio::join!(ask("One"), origin_does);
    let _ = reply.expect_status(201);
    let origin_does = async {
        origin.gives_a_context(conversation, "After").await;
        origin.takes_a_turn().await;
    };
    let (reply, ()) = tokio::join!(ask("Two"), origin_does);
    let _ = reply.expect_status(201);
    // A context that did not change is not fetched again.
    let (reply, ()) = tokio::join!(ask("Three"), origin.takes_a_turn());
    let _ = reply.expect_status(201);
    let systems: Vec<_> = env.provider.received().into_iter().map(|call| call.request.system).collect();
    assert_eq!(systems, ["Before", "After", "After"].map(|system| Some(system.to_owned())));
}

#[tokio::test]
async fn context_is_dropped_only_after_not_found() {
    let (origin, env, client, conversation) = env().await;
    let ask = || client.post(&messages_path(conversation)).json(&content("Hello")).send();
    let path = format!("/api/v1/chat/conversations/{conversation}");
    // A context that changed while it was fetched is fetched again for each message.
    let origin_does = async {
        let fetched = origin.asked(&format!("GET {}", context_path(conversation))).await;
        let change = client.ask(Method::PATCH, &path).json(&json!({ "title": "After" })).send();
        let changed = async { origin.asked(&format!("PATCH {path}")).await.answer(&json!({})) };
        let (reply, ()) = tokio::join!(change, changed);
        let _ = reply.expect_status(200);
        fetched.answer(&context(conversation, "Kept"));
        origin.takes_a_turn().await;
    };
    let (reply, ()) = tokio::join!(ask(), origin_does);
    let _ = reply.expect_status(201);

    let forbidden = serde_json::to_string(&ApiError::from(ErrorCode::Forbidden).problem("r")).unwrap();
    let trouble =
        [(403, &*forbidden), (404, "<html>no such host</html>"), (401, "{}"), (502, ""), (500, "{}")];
    for (status, body) in trouble {
        let origin_does = async {
            let fetching = origin.asked(&format!("GET {}", context_path(conversation))).await;
            fetching.answer_as(status, body);
            origin.takes_a_turn().await;
        };
        let (reply, ()) = tokio::join!(ask(), origin_does);
        let _ = reply.expect_status(201);
    }
    let refused = |code| {
        let origin = &origin;
        async move { origin.asked(&format!("GET {}", context_path(conversation))).await.refuse(code) }
    };
    let (reply, ()) = tokio::join!(ask(), refused(ErrorCode::TokenInvalid));
    reply.problem(ErrorCode::TokenInvalid);
    let origin_does = async {
        refused(ErrorCode::StoreUnavailable).await;
        origin.takes_a_turn().await;
    };
    let (reply, ()) = tokio::join!(ask(), origin_does);
    let _ = reply.expect_status(201);
    let (reply, ()) = tokio::join!(ask(), refused(ErrorCode::NotFound));
    reply.problem(ErrorCode::NotFound);
    let (reply, ()) = tokio::join!(ask(), refused(ErrorCode::StoreUnavailable));
    reply.problem(ErrorCode::OriginUnavailable);
    assert_eq!(env.provider.calls(), 7);
}

#[tokio::test]
async fn session_lookup_runs_during_provider_call() {
    let (origin, env, client, conversation) = restarted_env().await;
    let upcoming = env.provider.hand_over();
    let message = client.post(&messages_path(conversation)).json(&content("Two"));
    let ending = async {
        let asked = origin.asked(&format!("GET {VERIFY_PATH}")).await;
        // The provider is called before the origin has responded, and its text is held back.
        let mut call = upcoming.arrives().await;
        call.send_text("A secret").await.unwrap();
        asked.refuse(ErrorCode::SessionEnded);
        bounded("the model's call to be cut off", call.gone()).await;
    };
    let message = message.header("Accept", "text/event-stream");
    let (reply, ()) = tokio::join!(message.send(), ending);
    reply.problem(ErrorCode::SessionEnded);
    assert!(!format!("{reply:?}").contains("secret"));
    // The result is cached: neither the origin nor the provider is called again.
    let again = client.post(&messages_path(conversation)).json(&content("Three"));
    again.send().await.problem(ErrorCode::SessionEnded);
    assert_eq!(env.provider.calls(), 2);
}

#[tokio::test]
async fn active_session_is_looked_up_once() {
    let (origin, env, client, conversation) = restarted_env().await;
    let ask = |text| client.post(&messages_path(conversation)).json(&content(text)).send();
    let origin_does = async {
        origin.asked(&format!("GET {VERIFY_PATH}")).await.answer(&json!({}));
        origin.takes_a_turn().await;
    };
    let (reply, ()) = tokio::join!(ask("Two"), origin_does);
    let turn = reply.expect_status(201).json::<SentMessage>().turn_id;
    let (reply, ()) = tokio::join!(ask("Three"), origin.takes_a_turn());
    let _ = reply.expect_status(201);
    let _ = client.get(&turn_path(turn)).send().await.expect_status(200);
    assert_eq!(env.provider.calls(), 3);
}

#[tokio::test]
async fn unresponsive_origin_delays_no_message() {
    let (origin, env, client, conversation) = restarted_env().await;
    let ask = |text| client.post(&messages_path(conversation)).json(&content(text)).send();
    let origin_does = async {
        let unanswered = origin.asked(&format!("GET {VERIFY_PATH}")).await;
        origin.takes_a_turn().await;
        unanswered
    };
    let (reply, unanswered) = tokio::join!(ask("Two"), origin_does);
    let _ = reply.expect_status(201);
    drop(unanswered);
    // The session is not looked up again for a while.
    let (reply, ()) = tokio::join!(ask("Three"), origin.takes_a_turn());
    let _ = reply.expect_status(201);
    assert_eq!(env.provider.calls(), 3);
}

#[tokio::test]
async fn image_over_budget_leaves_its_text() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "I like birds").await;
    let photo = json!({ "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image", "mime_type": "image/jpeg", "data": "A".repeat(CONTEXT_BYTES + 4) },
    ] });
    let sent = phone.message(conversation, &photo).send().await.expect_status(201).json::<SentMessage>();
    phone.persisted(sent.turn_id).await;
    // With the context cached in the user object, and fetched from the origin.
    for forgets in [false, true] {
        if forgets {
            env.kill_workerd().await;
            env.start_workerd_without_objects().await;
        }
        let question = phone.send_and_persist(conversation, "Where does it live?").await;
        let asked = env.provider.received().pop().unwrap().request.messages;
        let said: Vec<_> = asked.iter().flat_map(|message| &message.parts).collect();
        let text = |text: &str| ContentPart::Text(text.to_owned());
        let words = [text("I like birds"), text("What is this?"), text("[image]")];
        assert!(words.iter().all(|word| said.contains(&word)), "{forgets}: {said:?}");
        assert!(said.iter().all(|part| matches!(part, ContentPart::Text(_))));
        assert_eq!(said.last(), Some(&&text("Where does it live?")));
        assert!(question.assistant_message.seq >= 6);
    }
    // The stored message keeps its image.
    assert_eq!(phone.messages(conversation).await[2], sent.user_message.unwrap());
}
