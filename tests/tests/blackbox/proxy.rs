//! Tests of requests that the Worker forwards to the origin, against a mock origin that records every byte.

use std::{
    convert::Infallible,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use edgechat_tests::{
    clock::now,
    mock_origin,
    test_env::{EDGE_KEY, TestEnv},
    tokens,
    wait::{BOUND, bounded, until},
};
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    http::request::Parts,
    service::service_fn,
};
use reqwest::{Body, Method};
use shared::{
    api::ErrorCode,
    auth::edge::{EdgeKeys, RequestHead, sha256},
    http::headers::{CLIENT_IP, SIGNATURE, SIGNATURE_ERROR, X_REQUEST_ID},
};
use tokio::sync::{Mutex, Notify, mpsc};

const STREAMED: &str = "/api/v1/users/me/export";
/// A route that accepts large bodies.
const LARGE: &str = "/api/v1/users/me/import";
/// A route whose signatures the origin refuses.
const REFUSED: &str = "/api/v1/users/me/refused";
/// The reason of that refusal.
const SKEWED: &str = "the Worker's clock is -31 s from the origin's, more than 30 s";

/// A mock origin that responds to everything with 200, records requests, and streams [`STREAMED`] in two pieces, the second
/// when the test releases it.
struct Origin {
    url: String,
    requests: Mutex<mpsc::UnboundedReceiver<(Parts, Bytes)>>,
    rest: Arc<Notify>,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

impl Origin {
    async fn start() -> Self {
        let (sender, requests) = mpsc::unbounded_channel();
        let rest = Arc::new(Notify::new());
        let let_go = Arc::clone(&rest);
        let service = service_fn(move |request| answer(request, sender.clone(), Arc::clone(&let_go)));
        let url = mock_origin::serve(service).await;
        Self { url, requests: Mutex::new(requests), rest }
    }

    /// Returns the next request that is not for the keys.
    async fn asked(&self) -> (Parts, Bytes) {
        let mut requests = self.requests.lock().await;
        loop {
            let request = bounded("a request at the origin", requests.recv()).await.unwrap();
            if !request.0.uri.path().ends_with("jwks.json") {
                return request;
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    sender: mpsc::UnboundedSender<(Parts, Bytes)>,
    rest: Arc<Notify>,
) -> Result<Answer, hyper::Error> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = body.collect().await?.to_bytes();
    sender.send((parts, body)).unwrap();
    let whole = |text: String| Full::new(Bytes::from(text)).boxed();
    let body = match path.as_str() {
        "/.well-known/jwks.json" => whole(serde_json::to_string(&tokens::signing_key().jwk_set()).unwrap()),
        STREAMED => {
            let pieces = stream::unfold(0, move |piece| {
                let rest = Arc::clone(&rest);
                async move {
                    match piece {
                        0 => Some((Ok(Frame::data(Bytes::from_static(b"first "))), 1)),
                        1 => {
                            rest.notified().await;
                            Some((Ok(Frame::data(Bytes::from_static(b"second"))), 2))
                        }
                        _ => None,
                    }
                }
            });
            StreamBody::new(Box::pin(pieces)).boxed()
        }
        _ => whole("{}".to_owned()),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response.headers_mut().insert("x-from-the-origin", "yes".parse().unwrap());
    if path == REFUSED {
        *response.status_mut() = StatusCode::FORBIDDEN;
        response.headers_mut().insert(SIGNATURE_ERROR, SKEWED.parse().unwrap());
    }
    Ok(response)
}

async fn env() -> (Origin, TestEnv) {
    let origin = Origin::start().await;
    let env = TestEnv::setup().var("ORIGIN_URL", &origin.url).start().await;
    (origin, env)
}

#[tokio::test]
async fn origin_response_is_streamed() {
    let (origin, env) = env().await;
    let url = env.client().url(STREAMED);
    let http = edgechat_tests::client::http_client().build().unwrap();
    // Public routes and the origin's own pages need no token; what the path means is the origin's business.
    let mut response =
        bounded("the head of the answer", http.get(url).bearer_auth(token()).send()).await.unwrap();
    assert_eq!(response.status(), 200);
    let first = bounded("the first piece", response.chunk()).await.unwrap().unwrap();
    assert_eq!(&first[..], b"first ");
    origin.rest.notify_one();
    let second = bounded("the second piece", response.chunk()).await.unwrap().unwrap();
    assert_eq!(&second[..], b"second");
    assert_eq!(bounded("the end", response.chunk()).await.unwrap(), None);
}

#[tokio::test]
async fn proxied_request_arrives_unchanged_and_signed() {
    let (origin, env) = env().await;
    let path = "/api/v1/auth/login?a=1&b=%20x";
    let ask = env.client().with_token(token()).ask(Method::POST, path);
    let ask = ask.header("CF-Connecting-IP", "203.0.113.7").header("X-Request-ID", "Ada-42");
    let reply = ask.json_bytes(r#"{"email":"ada@example.com","password":"x"}"#).send().await;
    assert_eq!((reply.status, reply.header("x-from-the-origin")), (200, Some("yes")));

    let (parts, body) = origin.asked().await;
    assert_eq!((parts.method.as_str(), parts.uri.to_string().as_str()), ("POST", path));
    assert_eq!(&body[..], br#"{"email":"ada@example.com","password":"x"}"#);
    let header = |name: &str| parts.headers.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("authorization"), format!("Bearer {}", token()));
    assert_eq!(header("content-type"), "application/json");
    assert_eq!((header(X_REQUEST_ID), header(CLIENT_IP)), ("Ada-42", "203.0.113.7"));
    assert_eq!(reply.header("x-request-id"), Some("Ada-42"));

    let head =
        RequestHead { method: "POST", path_and_query: path, request_id: "Ada-42", client_ip: "203.0.113.7" };
    let keys = EdgeKeys::parse(EDGE_KEY).unwrap();
    let signed = keys.verify(&head, header(SIGNATURE), now()).unwrap();
    assert_eq!(signed.body_sha256, sha256(&body));
}

#[tokio::test]
async fn client_address_headers_are_dropped() {
    let (origin, env) = env().await;
    let ask = env.client().get("/api/v1/auth/login").header("CF-Connecting-IP", "203.0.113.7");
    let said = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Forwarded",
        "X-Real-IP",
        "True-Client-IP",
        "X-EdgeChat-Client-IP",
        "X-EdgeChat-Signature",
        "X-EdgeChat-User",
        "CF-Ray",
        "CF-IPCountry",
        "X-Original-URL",
        "Remote-User",
    ];
    let ask = said.iter().fold(ask, |ask, name| ask.header(name, "198.51.100.66"));
    let _ = ask.send().await.expect_status(200);
    let (parts, _) = origin.asked().await;
    for (name, value) in &parts.headers {
        assert_ne!(value.as_bytes(), b"198.51.100.66", "{name} came through");
    }
    assert_eq!(parts.headers[CLIENT_IP], "203.0.113.7");
    assert_eq!(parts.headers.get_all(SIGNATURE).iter().count(), 1);
    assert!(parts.headers.keys().all(|name| !name.as_str().starts_with("cf-")));
}

#[tokio::test]
async fn large_body_passes_in_both_framings() {
    let (origin, env) = env().await;
    let body = Bytes::from(vec![b'x'; 900 * 1024]);
    let client = env.client().with_token(token());
    let whole = client.post(LARGE).json_bytes(body.clone());
    let pieces: Vec<_> =
        body.chunks(10_000).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    let chunked = client.post(LARGE).header("Content-Type", "application/json");
    let chunked = chunked.body(Body::wrap_stream(stream::iter(pieces)));
    for ask in [whole, chunked] {
        let _ = ask.send().await.expect_status(200);
        let (parts, received) = origin.asked().await;
        assert!(received == body, "{} bytes arrived", received.len());
        let signature = parts.headers[SIGNATURE].to_str().unwrap();
        let request_id = parts.headers[X_REQUEST_ID].to_str().unwrap();
        let client_ip = parts.headers.get(CLIENT_IP).map_or("", |ip| ip.to_str().unwrap());
        let head = RequestHead { method: "POST", path_and_query: LARGE, request_id, client_ip };
        let signed = EdgeKeys::parse(EDGE_KEY).unwrap().verify(&head, signature, now()).unwrap();
        assert_eq!(signed.body_sha256, sha256(&body));
    }
}

#[tokio::test]
async fn stalled_response_is_aborted() {
    let (origin, env) = env().await;
    let http = edgechat_tests::client::http_client().build().unwrap();
    let url = env.client().url(STREAMED);
    let mut response =
        bounded("the head of the answer", http.get(url).bearer_auth(token()).send()).await.unwrap();
    let first = bounded("the first piece", response.chunk()).await.unwrap().unwrap();
    assert_eq!(&first[..], b"first ");
    // The second piece is never sent.
    assert!(bounded("the end", response.chunk()).await.is_err());
    drop(origin);
}

#[tokio::test]
async fn refused_signature_is_503() {
    let (_origin, env) = env().await;
    let ask = env.client().with_token(token()).get(REFUSED);
    let reply = ask.send().await;
    let problem = reply.problem(ErrorCode::OriginUnavailable);
    assert!(!problem.detail.contains("clock"), "{reply:?}");
    assert!(reply.header("retry-after").is_some() && reply.header(SIGNATURE_ERROR).is_none(), "{reply:?}");
    let why = format!("the origin refused the signature: {SKEWED}");
    until(BOUND, "the reason in the Worker's log", || async {
        env.edge_log().lines().iter().any(|line| line.contains(&why)).then_some(())
    })
    .await;
}

/// A token of a user who need not exist: this origin does not check.
fn token() -> &'static str {
    static TOKEN: LazyLock<String> = LazyLock::new(tokens::of_nobody);
    &TOKEN
}
