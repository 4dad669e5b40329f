//! Finished turns, signed as the Worker signs them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use hyper::{Method, StatusCode};
use shared::{
    api::{
        chat::{FinishReason, Message, Part, Role, TurnStatus},
        internal::{TURNS_PATH, TurnDelivery},
        usage::Usage,
    },
    auth::edge::{EdgeKeys, EdgeRequest, sha256},
    http::headers::{CLIENT_IP, SIGNATURE, X_REQUEST_ID},
    id::Id,
    time::Timestamp,
};

use crate::{
    bench::load::{Lane, Site, Template},
    client::Phone,
    clock::now,
};

const ADDRESS: &str = "203.0.113.7";
const QUESTION: &str =
    "What is the weather like on the other side of the lake, and will it stay so until Sunday?";
/// About as long as an answer to it.
const ANSWER_WORDS: usize = 120;

/// Turns of one conversation, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Deliveries(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    site: Site,
    keys: EdgeKeys,
    authorization: String,
    user_id: Id,
    conversation: Id,
    answer: String,
    next: AtomicU64,
}

impl Deliveries {
    /// Turns of this conversation, from its beginning.
    pub(super) fn to(site: Site, keys: EdgeKeys, phone: &Phone, conversation: Id) -> Self {
        Self(Arc::new(Parts {
            site,
            keys,
            authorization: format!("Bearer {}", phone.tokens.access_token),
            user_id: phone.tokens.user.id,
            conversation,
            answer: vec!["sunny"; ANSWER_WORDS].join(" "),
            next: AtomicU64::new(0),
        }))
    }

    /// What a connection sends: each time the next turn.
    pub(super) fn lane(&self) -> Lane {
        let deliveries = self.clone();
        Lane::made(
            move |_| deliveries.next(),
            |body| String::from_utf8_lossy(body).contains("\"conversation_exists\":true"),
        )
    }

    /// Delivers the next so many turns.
    ///
    /// # Panics
    /// When one is refused.
    pub(super) async fn send(&self, turns: u64) {
        let mut connection = self.0.site.connect().await;
        for _ in 0..turns {
            let mut answer = connection.ask(self.next()).await;
            let body = answer.read().await;
            assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        }
    }

    fn next(&self) -> Template {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let body = serde_json::to_vec(&self.turn(number)).expect("a delivery is JSON");
        let request_id = new_id(now()).to_string();
        let signed = EdgeRequest {
            method: "POST",
            path_and_query: TURNS_PATH,
            body_sha256: &sha256(&body),
            request_id: &request_id,
            client_ip: ADDRESS,
        };
        let signature = self.0.keys.sign(&signed, now(), &new_id(now()).to_string());
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &self.0.authorization),
            (X_REQUEST_ID, &request_id),
            (CLIENT_IP, ADDRESS),
            (SIGNATURE, &signature),
        ];
        self.0.site.request(Method::POST, TURNS_PATH, &headers, Bytes::from(body))
    }

    fn turn(&self, number: u64) -> TurnDelivery {
        let at = now();
        let turn_id = new_id(at);
        let usage = Usage { input_tokens: 24, output_tokens: 160, total_tokens: 184, ..Usage::default() };
        let question = self.message(turn_id, Role::User, 2 * number + 1, QUESTION, at);
        let mut answer = self.message(turn_id, Role::Assistant, 2 * number + 2, &self.0.answer, at);
        answer.parent_id = Some(question.id);
        answer.finish_reason = Some(FinishReason::Stop);
        answer.usage = Some(usage);
        TurnDelivery {
            turn_id,
            user_id: self.0.user_id,
            conversation_id: self.0.conversation,
            status: TurnStatus::Completed,
            model: "fast".to_owned(),
            error: None,
            user_message: question,
            assistant_message: answer,
            usage,
            last_event_id: 120,
            created_at: at,
            finished_at: at,
        }
    }

    fn message(&self, turn_id: Id, role: Role, seq: u64, content: &str, at: Timestamp) -> Message {
        Message {
            id: new_id(at),
            conversation_id: self.0.conversation,
            turn_id,
            parent_id: None,
            seq,
            role,
            content: content.to_owned(),
            parts: vec![Part::Text { text: content.to_owned() }],
            status: TurnStatus::Completed,
            finish_reason: None,
            model: Some("fast".to_owned()),
            usage: None,
            tool_calls: Vec::new(),
            created_at: at,
            updated_at: at,
        }
    }
}

/// An id that no other is like.
fn new_id(at: Timestamp) -> Id {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let [a, b, c, d, e, f, g, h] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Id::new(at, [0, 0, a, b, c, d, e, f, g, h])
}
