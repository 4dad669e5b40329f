//! A phone, as EdgeChat sees one: sends requests, reads replies and streams.
//!
//! - [`Client`], [`Ask`]: any request, with or without a token
//! - [`Phone`]: a signed-in user and the calls of the main job
//! - [`Reply`]: a whole response
//! - [`EventStream`], [`Event`]: a streamed response

mod phone;
mod reply;
mod signed;
mod stream;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, header};
use serde::Serialize;
use serde_json::json;
use shared::api::account::Tokens;

use crate::wait::bounded;
pub use phone::{Phone, content, messages_path, turn_path};
pub use reply::Reply;
pub use stream::{Broken, Event, EventStream, text_of};

/// The password of each user that the harness registers.
pub const PASSWORD: &str = "correct horse battery";

/// Sends requests to one address, as one user or anonymously.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    /// Creates an anonymous client of this address.
    ///
    /// # Panics
    /// Panics when no HTTP client can be created.
    pub fn new(base: String) -> Self {
        // A connection to a process that was killed must not be reused.
        Self::with_idle_connections(base, 0)
    }

    /// Creates an anonymous client of this address that keeps its connections, for many requests to a process that stays.
    ///
    /// # Panics
    /// Panics when no HTTP client can be created.
    pub fn keeping_connections(base: String) -> Self {
        const MOST: usize = 32;
        Self::with_idle_connections(base, MOST)
    }

    fn with_idle_connections(base: String, most: usize) -> Self {
        let http = http_client()
            .http1_only()
            .tcp_nodelay(true)
            .pool_max_idle_per_host(most)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("an HTTP client without TLS");
        Self { http, base, token: None }
    }

    /// Returns a client of the same address with this access token.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// Returns an anonymous client of the same address.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Builds a request with any method; `path` begins with a slash and may have a query.
    pub fn ask(&self, method: Method, path: &str) -> Ask {
        let what = format!("{method} {path}");
        let request = self.http.request(method, self.url(path));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        Ask { request, what }
    }

    /// Builds a GET request.
    pub fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    /// Builds a POST request.
    pub fn post(&self, path: &str) -> Ask {
        self.ask(Method::POST, path)
    }

    /// Registers a new user.
    ///
    /// # Panics
    /// Panics when that fails.
    pub async fn register(&self) -> Phone {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let email = format!("user{}@example.com", NEXT.fetch_add(1, Ordering::Relaxed));
        let body = json!({ "email": email, "password": PASSWORD, "display_name": "Ada" });
        let reply = self.post("/api/v1/auth/register").json(&body).send().await;
        let tokens: Tokens = reply.expect_status(201).json();
        Phone::new(self.with_token(&tokens.access_token), tokens)
    }
}

/// Returns a builder of HTTP clients that go to no proxy. The origin's `reqwest` has TLS without a provider, and so has this one.
pub fn http_client() -> reqwest::ClientBuilder {
    // Installed by the first of them.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// A request in the making.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Ask {
    request: RequestBuilder,
    what: String,
}

impl Ask {
    /// Adds a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    /// Sets the idempotency key.
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    /// Sets a JSON body.
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Self {
        Self { request: self.request.json(body), ..self }
    }

    /// Sets the bytes of a body with the media type of JSON.
    pub fn json_bytes(self, body: impl Into<Bytes>) -> Self {
        let request = self.request.header(header::CONTENT_TYPE, "application/json").body(body.into());
        Self { request, ..self }
    }

    /// Sets any body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self { request: self.request.body(body), ..self }
    }

    /// Sends the request and reads the whole response.
    ///
    /// # Panics
    /// Panics when there is no response.
    pub async fn send(self) -> Reply {
        let Self { request, what } = self;
        let reply = bounded(&what, async { Reply::read(request.send().await?, what.clone()).await });
        reply.await.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// Sends the request and reads the whole response; the connection may fail.
    ///
    /// # Errors
    /// Fails when the connection cannot be made or breaks.
    pub async fn try_send(self) -> Result<Reply, reqwest::Error> {
        let Self { request, what } = self;
        bounded(&what, async { Reply::read(request.send().await?, what.clone()).await }).await
    }

    /// Sends the request and reads the response as a stream of events.
    ///
    /// # Panics
    /// Panics when the response is no stream of events.
    pub async fn stream(self) -> EventStream {
        let what = self.what.clone();
        self.try_stream().await.unwrap_or_else(|reply| panic!("{what} does not stream: {reply:?}"))
    }

    /// Sends the request and reads the response as a stream of events, or returns the response when it is none.
    ///
    /// # Errors
    /// Fails with the reply when it is no stream of events.
    ///
    /// # Panics
    /// Panics when there is no response.
    pub async fn try_stream(self) -> Result<EventStream, Reply> {
        let Self { request, what } = self.header("Accept", "text/event-stream");
        let sent = bounded(&format!("the head of {what}"), request.send()).await;
        let response = sent.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if response.status() == 200 && media_type.is_some_and(|value| value.starts_with("text/event-stream"))
        {
            return Ok(EventStream::new(response, what));
        }
        let reply = bounded(&what, Reply::read(response, what.clone())).await;
        Err(reply.unwrap_or_else(|error| panic!("{what}: {error:?}")))
    }

    /// Sends the request and reads all events to the end of the stream: none for a 204, after which nothing follows.
    ///
    /// # Panics
    /// Panics when the response is neither.
    pub async fn events(self) -> Vec<Event> {
        let what = self.what.clone();
        match self.try_stream().await {
            Ok(stream) => stream.rest().await,
            Err(reply) if reply.status == 204 => Vec::new(),
            Err(reply) => panic!("{what} does not stream: {reply:?}"),
        }
    }
}
