//! Tests of the origin's internal routes, called directly: a delivery counts once, and only with the Worker's signature and
//! the user's own token.

use std::time::Duration;

use edgechat_tests::{
    client::{Client, Phone, Reply, messages_path},
    clock::now,
    delivery::{self, fresh_id},
    provider::call::USAGE,
    test_env::{EDGE_KEY, TestEnv},
    tokens,
};
use futures_util::{StreamExt as _, stream};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use shared::{
    api::{
        ErrorCode,
        chat::{SentMessage, TurnStatus},
        internal::{
            ConversationContext, DeliveryReceipt, StoredTurn, TURNS_PATH, TurnDelivery, context_path,
            turn_path,
        },
    },
    auth::{
        claims::{Claims, LEEWAY_S},
        edge::{EdgeKeys, EdgeRequest, sha256},
    },
    http::headers::{CLIENT_IP, SIGNATURE, X_REQUEST_ID},
    id::Id,
    time::{SECOND_MS, Timestamp},
};

const REQUEST_ID: &str = "by-hand";
/// The lifetime of a token made here, in seconds.
const TOKEN_S: i64 = 900;

/// One request of a Worker, before it is sent.
struct Signed<'a> {
    method: Method,
    path: &'a str,
    body: Vec<u8>,
    key: &'a str,
    nonce: String,
    created: Timestamp,
}

impl<'a> Signed<'a> {
    fn new(method: Method, path: &'a str, body: &impl serde::Serialize) -> Self {
        let body = if method == Method::GET { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        Self { method, path, body, key: EDGE_KEY, nonce: fresh_id().to_string(), created: now() }
    }

    fn delivery(delivery: &TurnDelivery) -> Self {
        Self::new(Method::POST, TURNS_PATH, delivery)
    }

    fn signature(&self) -> String {
        let request = EdgeRequest {
            method: self.method.as_str(),
            path_and_query: self.path,
            body_sha256: &sha256(&self.body),
            request_id: REQUEST_ID,
            client_ip: "",
        };
        EdgeKeys::parse(self.key).unwrap().sign(&request, self.created, &self.nonce)
    }

    async fn send(&self, origin: &Client) -> Reply {
        let ask = origin.ask(self.method.clone(), self.path).header(X_REQUEST_ID, REQUEST_ID);
        let ask = ask.header(CLIENT_IP, "").header(SIGNATURE, &self.signature());
        ask.json_bytes(self.body.clone()).send().await
    }
}

/// A completed turn as the Worker delivers it.
fn delivery(phone: &Phone, conversation: Id, last_seq: u64) -> TurnDelivery {
    delivery::delivery(phone, conversation, last_seq, ("Hello", "Hi"), USAGE)
}

/// A token of this user's session, issued at another time.
fn token_of(phone: &Phone, issued: Timestamp) -> String {
    let from_s = issued.as_secs();
    let claims = tokens::claims_of(phone);
    tokens::signing_key().sign(&Claims { iat: from_s, nbf: from_s, exp: from_s + TOKEN_S, ..claims })
}

/// Delivers a turn to the origin as the Worker does.
pub(super) async fn deliver(env: &TestEnv, phone: &Phone, delivery: &TurnDelivery) {
    let origin = env.client_of_origin().with_token(&phone.tokens.access_token);
    let _ = Signed::delivery(delivery).send(&origin).await.expect_status(200);
}

/// A user who sends to the origin directly, with a conversation.
async fn somebody(env: &TestEnv) -> (Phone, Id, Client) {
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let origin = env.client_of_origin().with_token(&phone.tokens.access_token);
    (phone, conversation, origin)
}

#[tokio::test]
async fn repeated_delivery_counts_once() {
    let env = TestEnv::start().await;
    let (phone, conversation, origin) = somebody(&env).await;
    let delivery = delivery(&phone, conversation, 0);
    let bodies = [Signed::delivery(&delivery), Signed::delivery(&delivery), Signed::delivery(&delivery)];
    let (first, second, third) =
        tokio::join!(bodies[0].send(&origin), bodies[1].send(&origin), bodies[2].send(&origin));
    for reply in [first, second, third] {
        let receipt: DeliveryReceipt = reply.expect_status(200).json();
        assert_eq!(receipt, DeliveryReceipt { conversation_exists: true, last_seq: 2 });
    }
    let expected = delivery.messages.clone().into_vec();
    assert_eq!(phone.messages(conversation).await, expected);
    let totals = phone.usage().await.totals;
    assert_eq!((totals.requests, totals.messages, totals.output_tokens), (1, 1, USAGE.output_tokens));

    let path = context_path(conversation);
    let context = Signed::new(Method::GET, &path, &()).send(&origin).await.expect_status(200);
    let context: ConversationContext = context.json();
    assert_eq!((context.conversation_id, context.last_seq), (conversation, 2));
    assert_eq!(context.messages, expected);
    let path = turn_path(delivery.turn_id);
    let stored: StoredTurn =
        Signed::new(Method::GET, &path, &()).send(&origin).await.expect_status(200).json();
    assert_eq!((stored.last_event_id, stored.messages), (5, delivery.messages));
}

#[tokio::test]
async fn delivery_without_worker_signature_is_refused() {
    let env = TestEnv::start().await;
    let (phone, conversation, origin) = somebody(&env).await;
    let delivery = delivery(&phone, conversation, 0);
    let good = || Signed::delivery(&delivery);
    let wrong = [
        Signed { key: "another-key-that-is-long-enough-to-be-one", ..good() },
        Signed { created: now().plus_millis(-60_000), ..good() },
        Signed { created: now().plus_millis(60_000), ..good() },
    ];
    for signed in wrong {
        signed.send(&origin).await.problem(ErrorCode::Forbidden);
    }
    // Signed for another body, another path, another method.
    let signature = good().signature();
    let mut changed = delivery.clone();
    changed.usage.output_tokens += 1;
    let swapped = origin.post(TURNS_PATH).header(X_REQUEST_ID, REQUEST_ID).header(CLIENT_IP, "");
    swapped.header(SIGNATURE, &signature).json(&changed).send().await.problem(ErrorCode::Forbidden);
    let path = context_path(conversation);
    let other_path = origin.get(&path).header(X_REQUEST_ID, REQUEST_ID).header(CLIENT_IP, "");
    other_path.header(SIGNATURE, &signature).send().await.problem(ErrorCode::Forbidden);
    // A public route refuses a wrong signature as well.
    let login = origin.post("/api/v1/auth/login").header(SIGNATURE, &signature).json(&json!({}));
    login.send().await.problem(ErrorCode::Forbidden);
    // The same signature is accepted once.
    let once = good();
    let _ = once.send(&origin).await.expect_status(200);
    once.send(&origin).await.problem(ErrorCode::Forbidden);
    assert_eq!(phone.usage().await.totals.requests, 1);
}

#[tokio::test]
async fn delivery_for_another_user_stores_nothing() {
    let env = TestEnv::start().await;
    let (ada, conversation, _) = somebody(&env).await;
    let (eve, _, as_eve) = somebody(&env).await;

    // For Ada with Eve's token; for Eve into Ada's conversation; without a token.
    let in_adas_name = Signed::delivery(&delivery(&ada, conversation, 0)).send(&as_eve).await;
    assert!([403, 404].contains(&in_adas_name.status), "{in_adas_name:?}");
    let into_adas = Signed::delivery(&delivery(&eve, conversation, 0)).send(&as_eve).await;
    assert!([200, 403, 404].contains(&into_adas.status), "{into_adas:?}");
    if into_adas.status == 200 {
        assert!(
            !into_adas.json::<DeliveryReceipt>().conversation_exists,
            "to Eve, Ada's conversation does not exist"
        );
    }
    let without = Signed::delivery(&delivery(&ada, conversation, 0)).send(&env.client_of_origin()).await;
    without.problem(ErrorCode::TokenMissing);
    let paths = [context_path(conversation), turn_path(conversation)];
    for path in &paths {
        Signed::new(Method::GET, path, &()).send(&as_eve).await.problem(ErrorCode::NotFound);
    }
    assert_eq!(ada.messages(conversation).await, []);
    assert_eq!(ada.usage().await.totals.requests, 0);
}

#[tokio::test]
async fn late_delivery_is_checked_at_turn_time() {
    let env = TestEnv::start().await;
    let (phone, conversation, origin) = somebody(&env).await;
    let hours_ago = |hours: i64| now().plus_millis(-hours * 3_600_000);
    let token_of = |at: Timestamp| token_of(&phone, at);
    let turn_of = |at: Timestamp, last_seq: u64| {
        let new = delivery(&phone, conversation, last_seq);
        TurnDelivery { created_at: at, finished_at: at, ..new }
    };

    let long_expired = origin.with_token(token_of(hours_ago(20)));
    let late = Signed::delivery(&turn_of(hours_ago(20), 0)).send(&long_expired).await;
    let _ = late.expect_status(200);
    let after_the_token = Signed::delivery(&turn_of(hours_ago(10), 2)).send(&long_expired).await;
    assert_eq!(after_the_token.status, 401, "{after_the_token:?}");
    // Reads need a token that is valid now.
    let path = context_path(conversation);
    Signed::new(Method::GET, &path, &()).send(&long_expired).await.problem(ErrorCode::TokenExpired);

    let months_ago = origin.with_token(token_of(hours_ago(24 * 60)));
    let too_late = Signed::delivery(&turn_of(hours_ago(24 * 60), 2)).send(&months_ago).await;
    assert!((400..500).contains(&too_late.status), "{too_late:?}");
    assert_eq!(phone.messages(conversation).await.len(), 2);
}

#[tokio::test]
async fn turn_of_upload_longer_than_token_is_delivered() {
    const STILL_VALID_S: i64 = 8;
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    // From here on the Worker has cached the conversation and needs nothing from the origin before it answers.
    phone.persisted(phone.send_message(conversation, "Hello").await.turn_id).await;

    let refused_from = now().plus_millis(STILL_VALID_S * SECOND_MS);
    let ends = refused_from.plus_millis(-LEEWAY_S * SECOND_MS);
    let client = phone.client.with_token(token_of(&phone, ends.plus_millis(-TOKEN_S * SECOND_MS)));
    let rest_of_the_body = async move {
        let wait_ms = refused_from.plus_millis(SECOND_MS).millis_since(now());
        tokio::time::sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))).await;
        Ok::<_, std::io::Error>(r#""How are you?"}"#)
    };
    let body = stream::once(async { Ok(r#"{"content": "#) }).chain(stream::once(rest_of_the_body));
    let ask = client.post(&messages_path(conversation)).header("Content-Type", "application/json");
    let sent: SentMessage = ask.body(Body::wrap_stream(body)).send().await.expect_status(201).json();
    client.get("/api/v1/auth/me").send().await.problem(ErrorCode::TokenExpired);
    assert!(phone.persisted(sent.turn_id).await.persisted);
    assert_eq!(phone.messages(conversation).await.len(), 4);
}

#[tokio::test]
async fn delivery_to_deleted_conversation_counts_without_storing() {
    let env = TestEnv::start().await;
    let (phone, conversation, origin) = somebody(&env).await;
    let path = format!("/api/v1/chat/conversations/{conversation}");
    let _ = phone.client.ask(Method::DELETE, &path).send().await.expect_status(204);
    let delivery = delivery(&phone, conversation, 0);
    for _ in 0..2 {
        let reply = Signed::delivery(&delivery).send(&origin).await.expect_status(200);
        assert!(!reply.json::<DeliveryReceipt>().conversation_exists);
    }
    assert_eq!(phone.usage().await.totals.requests, 1);
    let messages = phone.client.get(&format!("{path}/messages")).send().await;
    messages.problem(ErrorCode::NotFound);
}

#[tokio::test]
async fn production_origin_refuses_requests_without_signature() {
    let env = TestEnv::setup().var("EDGECHAT_ENV", "production").start().await;
    let direct = env.client_of_origin();
    let login = json!({ "email": "ada@example.com", "password": "correct horse battery" });
    direct.post("/api/v1/auth/login").json(&login).send().await.problem(ErrorCode::Forbidden);
    direct.get("/api/v1/users/me").send().await.problem(ErrorCode::Forbidden);
    for path in ["/api/v1/health", "/api/v1/health/ready", "/.well-known/jwks.json", "/"] {
        let reply: Value = direct.get(path).send().await.expect_status(200).value();
        assert!(reply.is_object());
    }
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    assert_eq!(phone.send_message(conversation, "Hello").await.status, TurnStatus::Completed);
}
