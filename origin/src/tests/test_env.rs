//! A router on fresh stores, a clock that tests set, and short forms of requests.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, header::AUTHORIZATION, header::CONTENT_TYPE},
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use shared::{
    auth::edge::{EdgeKeys, EdgeRequest, sha256},
    http::headers::{CLIENT_IP, SIGNATURE, X_REQUEST_ID},
    id::Id,
    time::Timestamp,
};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{
    app::App,
    clock::{Clock, TestClock},
    config::Config,
    http::signature::Peer,
    random::SystemRandom,
    routes,
    store::Stores,
};

pub(super) const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);
pub(super) const JWT_SECRET: &str = "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c";
const EDGE_KEY: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";

pub(super) struct TestEnv {
    pub(super) app: App,
    pub(super) clock: Arc<TestClock>,
    pub(super) keys: EdgeKeys,
    router: Router,
    /// The folder of the stores, removed with the last environment on it.
    folder: Arc<TempDir>,
}

impl TestEnv {
    pub(super) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Creates an environment with these variables besides the secrets.
    pub(super) async fn with(vars: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}/edgechat.db", folder.path().display());
        let base = [
            ("JWT_SECRET", JWT_SECRET),
            ("EDGE_KEYS", EDGE_KEY),
            ("DATABASE_URL", database.as_str()),
            ("SIGN_UP_DAILY_LIMIT", "0"),
        ];
        let config = Config::read(&base.iter().chain(vars).copied().collect()).unwrap();
        let stores = Stores::open(&config.stores).await.unwrap();
        let clock = Arc::new(TestClock::at(START));
        Self::of(config, stores, clock, Arc::new(folder))
    }

    /// Creates another process on the same stores except those that are replaced.
    pub(super) fn on_stores(&self, change: impl FnOnce(&mut Stores)) -> Self {
        let mut stores = self.app.stores.clone();
        change(&mut stores);
        Self::of(self.app.config.clone(), stores, Arc::clone(&self.clock), Arc::clone(&self.folder))
    }

    /// Creates another process on the same stores, with this `JWT_SECRET`.
    pub(super) fn with_secrets(&self, jwt_secret: &str) -> Self {
        self.configured(&[("JWT_SECRET", jwt_secret)])
    }

    /// Creates another process on the same stores, with these variables besides the secrets.
    pub(super) fn configured(&self, vars: &[(&str, &str)]) -> Self {
        let base = [("JWT_SECRET", JWT_SECRET), ("EDGE_KEYS", EDGE_KEY)];
        let config = Config::read(&base.iter().chain(vars).copied().collect()).unwrap();
        Self::of(config, self.app.stores.clone(), Arc::clone(&self.clock), Arc::clone(&self.folder))
    }

    fn of(config: Config, stores: Stores, clock: Arc<TestClock>, folder: Arc<TempDir>) -> Self {
        let app =
            App::new(config, stores, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemRandom)).unwrap();
        let router = routes::router(app.clone()).unwrap();
        Self { app, clock, keys: EdgeKeys::parse(EDGE_KEY).unwrap(), router, folder }
    }

    /// Returns the same environment with other routes.
    pub(super) fn serving(self, routes: Router<App>) -> Self {
        let router = routes::layered(self.app.clone(), Router::new(), routes);
        Self { router, ..self }
    }

    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(super) async fn send(&self, call: Call) -> Answer {
        let response = self.router.clone().oneshot(call.into_request()).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Signs a call as the Worker does.
    pub(super) fn sign(&self, call: Call, client_ip: &str) -> Call {
        let request_id = self.app.random.id(self.clock.now()).to_string();
        let request = EdgeRequest {
            method: call.method,
            path_and_query: &call.path,
            body_sha256: &sha256(&call.body),
            request_id: &request_id,
            client_ip,
        };
        let nonce = self.app.random.id(self.clock.now()).to_string();
        let signature = self.keys.sign(&request, self.clock.now(), &nonce);
        call.header(X_REQUEST_ID, &request_id).header(CLIENT_IP, client_ip).header(SIGNATURE, &signature)
    }

    /// Registers a user and returns its id and tokens.
    pub(super) async fn register(&self, name: &str) -> Member {
        let body = json!({"email": format!("{name}@example.com"), "password": "correct horse"});
        let answer = self.send(Call::post("/api/v1/auth/register").json(&body)).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        Member::of(&answer.json())
    }

    /// Runs the jobs that are due, and returns the messages that were sent, the newest first, but for those that come with
    /// registrations.
    pub(super) async fn mailbox(&self) -> Vec<Value> {
        self.app.job_runner().run_due().await;
        let answer = self.send(Call::get("/dev/mailbox")).await;
        assert_eq!(answer.status, 200);
        let messages = answer.json()["items"].as_array().unwrap().clone();
        messages.into_iter().filter(|mail| mail["purpose"] != "verify" || !mail["code"].is_null()).collect()
    }

    /// Opens a conversation.
    pub(super) async fn open(&self, member: &Member) -> Id {
        let answer =
            self.send(Call::post("/api/v1/chat/conversations").token(&member.access).json(&json!({}))).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        Id::parse(answer.json()["id"].as_str().unwrap()).unwrap()
    }
}

/// A signed-in user.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: Id,
    pub(super) session: Id,
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Member {
    pub(super) fn of(tokens: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            id: Id::parse(tokens["user"]["id"].as_str().unwrap()).unwrap(),
            session: Id::parse(tokens["session_id"].as_str().unwrap()).unwrap(),
            access: text(&tokens["access_token"]),
            refresh: text(&tokens["refresh_token"]),
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    pub(super) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    pub(super) fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn token(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    pub(super) fn bytes(mut self, media_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(CONTENT_TYPE.as_str(), media_type)
    }

    pub(super) fn into_request(self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let peer = Peer(SocketAddr::from(([127, 0, 0, 1], 4_711)));
        request.extension(peer).body(Body::from(self.body)).unwrap()
    }
}

/// A response.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns status and code of a problem, after asserting the fields that all problems have.
    pub(super) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{:?}", self.body);
        let body = self.json();
        assert_eq!(body["status"], self.status);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert_eq!(body["type"], "about:blank");
        for field in ["title", "detail"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        }
        if self.status == 401 {
            assert!(self.header("www-authenticate").starts_with("Bearer"), "{:?}", self.headers);
        }
        (self.status, body["code"].as_str().unwrap().to_owned())
    }

    /// Returns the body of a problem without the request id, to compare two requests.
    pub(super) fn problem_body(&self) -> Value {
        self.problem();
        let mut body = self.json();
        body.as_object_mut().unwrap().remove("request_id");
        body
    }
}

/// Builds status and code as returned by [`Answer::problem`].
pub(super) fn problem(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
