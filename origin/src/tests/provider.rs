//! A provider of identities whose keys and answers the tests choose.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::IntoResponse as _,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{id_tokens, test_env::TestEnv};
use crate::server;

/// The published examples of RFC 7515 (A.2) and RFC 7517 (A.2): nothing is secret about them.
const KEYS: [(&str, &str); 2] = [
    ("first", include_str!("../../../tests/keys/rfc7515-a2.json")),
    ("second", include_str!("../../../tests/keys/rfc7517-a2.json")),
];
/// The client id that the tests configure.
pub(super) const CLIENT: &str = "com.example.app";

/// The state of a provider.
#[derive(Clone, Default)]
pub(super) struct Provider(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    /// The ids of the keys that it shows.
    shown: Vec<&'static str>,
    is_down: bool,
    fetches: usize,
    /// The answers of `token` and `revoke` in order, the last one from then on.
    answers: Vec<(u16, Value)>,
    calls: Vec<(&'static str, BTreeMap<String, String>)>,
}

impl Provider {
    /// Starts a provider that shows its first key. Returns its address without a slash at the end.
    pub(super) async fn start() -> (Self, String) {
        let provider = Self::default();
        provider.show(&["first"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let call = |path: &'static str| {
            post(async move |State(provider): State<Self>, body: String| provider.call(path, &body))
        };
        let router = Router::new()
            .route("/keys", get(async |State(provider): State<Self>| provider.keys()))
            .route("/token", call("token"))
            .route("/revoke", call("revoke"))
            .with_state(provider.clone());
        tokio::spawn(async { server::serve(listener, router, std::future::pending()).await });
        (provider, url)
    }

    pub(super) fn show(&self, shown: &[&'static str]) {
        self.0.lock().unwrap().shown = shown.to_vec();
    }

    pub(super) fn set_down(&self, is_down: bool) {
        self.0.lock().unwrap().is_down = is_down;
    }

    pub(super) fn fetches(&self) -> usize {
        self.0.lock().unwrap().fetches
    }

    pub(super) fn answer(&self, answers: &[(u16, Value)]) {
        self.0.lock().unwrap().answers = answers.to_vec();
    }

    /// The forms that were posted so far, each with its path.
    pub(super) fn calls(&self) -> Vec<(&'static str, BTreeMap<String, String>)> {
        self.0.lock().unwrap().calls.clone()
    }

    fn keys(&self) -> axum::response::Response {
        let mut script = self.0.lock().unwrap();
        script.fetches += 1;
        if script.is_down {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        let keys: Vec<_> = script.shown.iter().map(|kid| public_key(kid)).collect();
        ([(CACHE_CONTROL, "public, max-age=3600")], json!({ "keys": keys }).to_string()).into_response()
    }

    fn call(&self, path: &'static str, body: &str) -> axum::response::Response {
        let mut script = self.0.lock().unwrap();
        let form = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        script.calls.push((path, form));
        let (status, answer) = match script.answers.len() {
            0 => (200, json!({})),
            1 => script.answers[0].clone(),
            _ => script.answers.remove(0),
        };
        (StatusCode::from_u16(status).unwrap(), answer.to_string()).into_response()
    }
}

/// Returns the claims of a good token of Google for the test's client.
pub(super) fn google_claims(env: &TestEnv, subject: &str, email: Option<&str>) -> Value {
    use crate::clock::Clock as _;
    let now_s = env.clock.now().as_secs();
    json!({
        "iss": "https://accounts.google.com",
        "aud": CLIENT,
        "sub": subject,
        "email": email,
        "email_verified": email.map(|_| true),
        "name": "Ada Lovelace",
        "iat": now_s,
        "exp": now_s + 3_600,
    })
}

/// Signs claims by a key.
pub(super) fn sign(kid: &str, claims: &Value) -> String {
    sign_as(kid, &json!({ "alg": "RS256", "kid": kid, "typ": "JWT" }), claims)
}

/// Signs claims by a key under a header that may name another one.
pub(super) fn sign_as(kid: &str, header: &Value, claims: &Value) -> String {
    id_tokens::sign(private_key(kid), header, claims)
}

/// The public half of a key, as the provider shows it.
pub(super) fn public_key(kid: &str) -> Value {
    id_tokens::public_key(private_key(kid), kid)
}

fn private_key(kid: &str) -> &'static str {
    KEYS.into_iter().find(|(name, _)| *name == kid).unwrap().1
}
