//! Requests of a phone whose network and servers fail: every failure is a value.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, header};
use serde_json::Value;
use shared::sse::Decoder;
use tokio::time::timeout;

use super::report::{Counts, count};

/// The longest wait for the head of a response. The longest script takes five seconds, and the origin is down for six.
const HEAD: Duration = Duration::from_secs(40);
/// The longest silence of a stream; pings are far more frequent.
const SILENCE: Duration = Duration::from_secs(30);
const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// A signed-in user.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// The outcome of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A whole response.
    Whole(Answer),
    /// A stream of events.
    Events(Box<Events>),
    /// The connection was refused or broke.
    Lost,
    /// No response arrived in time.
    Silent,
}

/// A whole response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The body; null when it is no JSON.
    pub(super) body: Value,
    /// True when there was no body at all.
    pub(super) is_empty: bool,
}

impl Answer {
    /// The code of an error.
    pub(super) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Returns true for a transient failure of the servers, after which the same request may be sent again.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.status, 500 | 502..=504 | 429) && !self.is_of_provider()
    }

    /// Returns true when the provider failed, which ends the turn.
    pub(super) fn is_of_provider(&self) -> bool {
        self.status >= 500 && self.code().starts_with("provider_")
    }
}

impl Wire {
    pub(super) fn new(base: &str, token: &str) -> Self {
        let http = crate::client::http_client()
            .http1_only()
            .tcp_nodelay(true)
            .pool_max_idle_per_host(0)
            .build()
            .expect("an HTTP client without TLS");
        Self { http, base: base.to_owned(), token: token.to_owned() }
    }

    /// A request with the token.
    pub(super) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// A GET request.
    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.ask(Method::GET, path)
    }
}

/// Sends a request and reads the response, or the head of a stream.
pub(super) async fn send(request: RequestBuilder, counts: &Counts) -> Outcome {
    count(&counts.requests);
    let whole = async {
        let response = request.send().await.map_err(|_| ())?;
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let streams = media_type.is_some_and(|value| value.starts_with("text/event-stream"));
        if response.status() == 200 && streams {
            return Ok(Outcome::Events(Box::new(Events::new(response))));
        }
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|_| ())?;
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok::<_, ()>(Outcome::Whole(Answer { status, body, is_empty: bytes.is_empty() }))
    };
    match timeout(HEAD, Box::pin(whole)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(())) => Outcome::Lost,
        Err(_) => Outcome::Silent,
    }
}

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) data: Value,
}

/// The reason why there is no next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The stream ended.
    Clean,
    /// The connection broke.
    Broken,
    /// Nothing arrived in time, not even a ping.
    Silent,
}

/// A stream as it arrives. Dropping it drops the connection.
#[derive(Debug)]
pub(super) struct Events {
    response: Response,
    decoder: Decoder,
    pending: std::collections::VecDeque<Event>,
}

impl Events {
    fn new(response: Response) -> Self {
        Self { response, decoder: Decoder::new(MAX_EVENT_BYTES), pending: std::collections::VecDeque::new() }
    }

    /// The next event.
    pub(super) async fn next(&mut self) -> Result<Event, End> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            let piece = timeout(SILENCE, self.response.chunk()).await.map_err(|_| End::Silent)?;
            let piece = piece.map_err(|_| End::Broken)?.ok_or(End::Clean)?;
            let mut bytes = &piece[..];
            while let Ok(Some(frame)) = self.decoder.read(&mut bytes) {
                let data = serde_json::from_str(&frame.data).unwrap_or_default();
                let (id, kind) = (frame.id.into_owned(), frame.event.into_owned());
                self.pending.push_back(Event { id, kind, data });
            }
        }
    }
}
