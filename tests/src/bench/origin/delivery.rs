//! Deliveries of finished turns, signed as the Worker signs them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use hyper::{Method, StatusCode};
use shared::{
    api::{internal::TURNS_PATH, usage::Usage},
    auth::edge::{EdgeKeys, EdgeRequest, sha256},
    http::headers::{CLIENT_IP, SIGNATURE, X_REQUEST_ID},
    id::Id,
};

use crate::{
    bench::load::{Lane, Site, Template},
    client::Phone,
    clock::now,
    delivery::{delivery, fresh_id},
};

const ADDRESS: &str = "203.0.113.7";
const QUESTION: &str =
    "What is the weather like on the other side of the lake, and will it stay so until Sunday?";
/// The length of an answer to it.
const ANSWER_WORDS: usize = 120;
const USAGE: Usage = Usage {
    input_tokens: 24,
    output_tokens: 160,
    cached_tokens: 0,
    reasoning_tokens: 0,
    total_tokens: 184,
    estimated: false,
};

/// Turns of one conversation, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Deliveries(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    site: Site,
    keys: EdgeKeys,
    authorization: String,
    phone: Phone,
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
            phone: phone.clone(),
            conversation,
            answer: vec!["sunny"; ANSWER_WORDS].join(" "),
            next: AtomicU64::new(0),
        }))
    }

    /// Returns the lane of a connection that sends the next turn each time.
    pub(super) fn lane(&self) -> Lane {
        let deliveries = self.clone();
        Lane::made(
            move |_| deliveries.next(),
            |body| String::from_utf8_lossy(body).contains("\"conversation_exists\":true"),
        )
    }

    /// Delivers the next turns.
    ///
    /// # Panics
    /// Panics when one is refused.
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
        let Parts { phone, conversation, answer, .. } = &*self.0;
        let turn = delivery(phone, *conversation, 2 * number, (QUESTION, answer), USAGE);
        let body = serde_json::to_vec(&turn).expect("a delivery is JSON");
        let request_id = fresh_id().to_string();
        let signed = EdgeRequest {
            method: "POST",
            path_and_query: TURNS_PATH,
            body_sha256: &sha256(&body),
            request_id: &request_id,
            client_ip: ADDRESS,
        };
        let signature = self.0.keys.sign(&signed, now(), &fresh_id().to_string());
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &self.0.authorization),
            (X_REQUEST_ID, &request_id),
            (CLIENT_IP, ADDRESS),
            (SIGNATURE, &signature),
        ];
        self.0.site.request(Method::POST, TURNS_PATH, &headers, Bytes::from(body))
    }
}
