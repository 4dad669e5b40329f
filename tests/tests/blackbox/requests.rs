//! Tests of requests that are invalid in one way each, of request ids, and of CORS.

use bytes::Bytes;
use edgechat_tests::{
    client::{Phone, Reply, content, messages_path},
    test_env::{TestEnv, WEB_ORIGIN},
    wait::{BOUND, bounded, until},
};
use futures_util::stream;
use reqwest::{Body, Method};
use rstest::rstest;
use serde_json::json;
use shared::{
    api::{ErrorCode, body::MAX_BODY_BYTES, chat::SentMessage},
    id::Id,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A user with a conversation.
async fn somebody(env: &TestEnv) -> (Phone, Id) {
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    (phone, conversation)
}

/// Paths whose body is read by the Worker (one) and by the origin (two).
fn posts(conversation: Id) -> [String; 3] {
    [messages_path(conversation), "/api/v1/chat/conversations".to_owned(), "/api/v1/auth/login".to_owned()]
}

#[rstest]
#[case::cut("{\"content\":")]
#[case::not_json("content=hello")]
#[case::two(r#"{"content":"x","email":"a@example.com","password":"x"} {}"#)]
#[case::half_a_surrogate(r#"{"content":"\ud800","title":"\ud800","email":"\ud800"}"#)]
#[tokio::test]
async fn body_without_json_is_invalid_json(#[case] body: &'static str) {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    for path in posts(conversation) {
        phone.client.post(&path).json_bytes(body).send().await.problem(ErrorCode::InvalidJson);
    }
    assert_eq!(env.provider.calls(), 0);
}

#[tokio::test]
async fn invalid_field_is_named() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let messages = messages_path(conversation);
    let cases = [
        (messages.as_str(), json!({}), "content"),
        (&messages, json!({ "content": 7 }), "content"),
        (&messages, json!({ "content": "  " }), "content"),
        (&messages, json!({ "content": "x".repeat(100_001) }), "content"),
        (&messages, json!({ "content": [{ "type": "text" }] }), "content[0].text"),
        (&messages, json!({ "content": "Hello", "parts": [{ "type": "text", "text": "Hello" }] }), "content"),
        (&messages, json!({ "parts": [{ "type": "text", "text": "Hello" }, ["text", "you"]] }), "parts[1]"),
        (&messages, json!({ "content": "Hello", "response_format": ["json"] }), "response_format"),
        (&messages, json!(["Hello"]), "body"),
        (&messages, json!({ "content": "Hello", "model": "no-such-model" }), "model"),
        (&messages, json!({ "content": "Hello", "temperature": 3 }), "temperature"),
        (&messages, json!({ "content": "Hello", "stream": "yes" }), "stream"),
        (&messages, json!({ "content": "Hello", "tools": [{ "name": "f" }] }), "tools"),
        ("/api/v1/chat/conversations", json!({ "title": 7 }), "title"),
        ("/api/v1/chat/conversations", json!(["new", null]), "body"),
        ("/api/v1/auth/register", json!(["a@example.com", "long enough"]), "body"),
        ("/api/v1/chat/conversations", json!({ "model": "no-such-model" }), "model"),
        ("/api/v1/auth/register", json!({ "email": "nobody", "password": "long enough" }), "email"),
        ("/api/v1/auth/register", json!({ "email": "a@example.com", "password": "short" }), "password"),
        ("/api/v1/auth/login", json!({ "email": "a@example.com" }), "password"),
    ];
    for (path, body, field) in cases {
        let reply = phone.client.post(path).json(&body).send().await;
        let problem = reply.problem(ErrorCode::ValidationFailed);
        let first_field = problem.errors.first().map(|error| error.field.as_str()).unwrap_or_default();
        assert!(first_field.starts_with(field), "{path} {field}: {reply:?}");
        assert!(problem.detail.contains(field), "{reply:?}");
    }
    assert_eq!(env.provider.calls(), 0);
}

#[tokio::test]
async fn body_nested_deeper_than_64_is_invalid_json() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let deep = format!("{{\"content\":\"Hello\",\"later\":{}{}}}", "[".repeat(64), "]".repeat(64));
    for path in posts(conversation) {
        phone.client.post(&path).json_bytes(deep.clone()).send().await.problem(ErrorCode::InvalidJson);
    }
    assert_eq!(env.provider.calls(), 0);
}

#[tokio::test]
async fn content_parts_and_whole_numbers_are_accepted() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let parts = [json!({ "type": "text", "text": "Hel" }), json!({ "type": "text", "text": "lo" })];
    for field in ["parts", "content"] {
        // In JSON, 100 and 100.0 are equal.
        let body = format!("{{\"{field}\":{},\"max_output_tokens\":100.0}}", json!(parts));
        let ask = phone.client.post(&messages_path(conversation)).json_bytes(body);
        let sent: SentMessage = ask.send().await.expect_status(201).json();
        assert_eq!(sent.user_message.unwrap().content, "Hello");
    }
}

#[tokio::test]
async fn too_large_body_is_refused_in_both_framings() {
    const TWO_MIB: usize = 2 * 1024 * 1024;
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let large = Bytes::from(format!("{{\"content\":\"{}\"}}", "x".repeat(TWO_MIB)));
    for path in posts(conversation) {
        let whole = phone.client.post(&path).json_bytes(large.clone()).send().await;
        let detail = whole.problem(ErrorCode::PayloadTooLarge).detail;
        let limit = if path.contains("/auth/") { "16 KiB" } else { "1024 KiB" };
        assert!(detail.contains(limit), "{detail}");
        // Without a Content-Length: in chunks of 64 KiB.
        let chunks: Vec<_> = large
            .chunks(64 * 1024)
            .map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk)))
            .collect();
        let body = Body::wrap_stream(stream::iter(chunks));
        let ask = phone.client.post(&path).header("Content-Type", "application/json").body(body);
        ask.send().await.problem(ErrorCode::PayloadTooLarge);
    }
    assert_eq!(env.provider.calls(), 0);
}

/// A client that is refused for another reason than its body gets the response while it still sends.
#[tokio::test]
async fn large_body_without_token_is_401() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let large = Bytes::from(format!("{{\"content\":\"{}\"}}", "x".repeat(MAX_BODY_BYTES)));
    for _ in 0..8 {
        let path = messages_path(conversation);
        let refused = phone.client.anonymous().post(&path).json_bytes(large.clone()).send().await;
        refused.problem(ErrorCode::TokenMissing);
    }
}

#[tokio::test]
async fn body_below_limit_is_accepted() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let image = "A".repeat(MAX_BODY_BYTES - 1_024);
    let body = json!({ "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image", "mime_type": "image/png", "data": image },
    ]});
    let sent: SentMessage = phone.message(conversation, &body).send().await.expect_status(201).json();
    assert!(env.provider.received()[0].body.len() > image.len());
    // A message that the Worker accepts can be delivered.
    assert!(phone.persisted(sent.turn_id).await.persisted);
    assert_eq!(phone.messages(conversation).await[0].parts, sent.user_message.unwrap().parts);
}

#[tokio::test]
async fn body_of_other_media_type_is_refused() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    for path in posts(conversation) {
        let ask =
            phone.client.post(&path).header("Content-Type", "text/plain").body("{\"content\":\"Hello\"}");
        ask.send().await.problem(ErrorCode::UnsupportedMediaType);
    }
    let ask = phone.message(conversation, &content("Hello")).header("Accept", "text/html");
    ask.send().await.problem(ErrorCode::NotAcceptable);
    assert_eq!(env.provider.calls(), 0);
}

#[tokio::test]
async fn unknown_path_is_404_and_wrong_method_is_405() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let unknown =
        ["/api/v1/nothing", "/api/v2/health", "/nothing", "/api/v1/chat/turns", "/api/v1/auth/nothing"];
    for path in unknown {
        phone.client.get(path).send().await.problem(ErrorCode::NotFound);
    }
    let conversation = format!("/api/v1/chat/conversations/{conversation}");
    let turn = "/api/v1/chat/turns/019aa5d2-8c00-7000-8000-3f6d2b1c9e77";
    let wrong = [
        ("DELETE", format!("{conversation}/messages"), "GET HEAD POST"),
        ("PUT", conversation.clone(), "DELETE GET HEAD PATCH"),
        ("PUT", "/api/v1/chat/conversations".to_owned(), "GET HEAD POST"),
        ("DELETE", turn.to_owned(), "GET HEAD"),
        ("POST", format!("{turn}/events"), "GET HEAD"),
        ("GET", format!("{turn}/cancel"), "POST"),
        ("GET", "/api/v1/auth/register".to_owned(), "POST"),
        ("POST", "/api/v1/usage/me".to_owned(), "GET HEAD"),
    ];
    let unknown = wrong.iter().flat_map(|(_, path, allowed)| {
        ["PROPFIND", "MKCOL", "REPORT"].map(|method| (method, path.clone(), *allowed))
    });
    for (method, path, allowed) in unknown.chain(wrong.clone()) {
        let reply = phone.client.ask(method.parse().unwrap(), &path).send().await;
        reply.problem(ErrorCode::MethodNotAllowed);
        let mut listed: Vec<_> = reply.header("allow").unwrap().split(',').map(str::trim).collect();
        listed.sort_unstable();
        assert_eq!(listed.join(" "), allowed, "{reply:?}");
    }
    phone.client.ask("PROPFIND".parse().unwrap(), "/nothing").send().await.problem(ErrorCode::NotFound);
}

#[tokio::test]
async fn unexpected_body_is_ignored() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    for path in ["/api/v1/users/me".to_owned(), messages_path(conversation)] {
        let _ = phone.client.get(&path).json(&content("Hello")).send().await.expect_status(200);
        phone
            .client
            .anonymous()
            .get(&path)
            .json(&content("Hello"))
            .send()
            .await
            .problem(ErrorCode::TokenMissing);
    }
}

#[tokio::test]
async fn response_has_request_id() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let turn = format!("/api/v1/chat/turns/{conversation}");
    let paths = ["/api/v1/users/me", "/api/v1/nothing", "/api/v1/health", &turn, "/openapi.json"];
    for path in paths {
        let own = phone.client.get(path).header("X-Request-ID", "Ada-42").send().await;
        assert_eq!(own.header("x-request-id"), Some("Ada-42"), "{own:?}");
        for unfit in ["", "with space", "semi;colon", &"x".repeat(65)] {
            let given = phone.client.get(path).header("X-Request-ID", unfit).send().await;
            let id = given.header("x-request-id").unwrap();
            assert!(Id::parse(id).is_some() && id.as_bytes()[14] == b'7', "{given:?}");
        }
    }
    until(BOUND, "the request in the origin's log", || async {
        env.origin_log().lines().iter().any(|line| line.contains("Ada-42")).then_some(())
    })
    .await;
    let ids: Vec<_> = [phone.client.get("/").send().await, phone.client.get("/").send().await]
        .iter()
        .map(|reply| reply.header("x-request-id").unwrap().to_owned())
        .collect();
    assert_ne!(ids[0], ids[1]);
    let stream =
        phone.message(conversation, &content("Hello")).header("X-Request-ID", "Ada-43").stream().await;
    assert_eq!(stream.header("x-request-id"), Some("Ada-43"));
    stream.rest().await;
}

#[tokio::test]
async fn cors_origin_in_list_is_allowed() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let messages = messages_path(conversation);
    for path in [messages.as_str(), "/api/v1/users/me", "/api/v1/auth/login"] {
        let ask = env.client().ask(Method::OPTIONS, path);
        let ask = ask.header("Origin", WEB_ORIGIN).header("Access-Control-Request-Method", "POST");
        let preflight =
            ask.header("Access-Control-Request-Headers", "authorization,content-type,idempotency-key");
        let preflight = preflight.send().await.expect_status(204);
        assert_eq!(preflight.header("access-control-allow-origin"), Some(WEB_ORIGIN));
        assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
        let allowed = preflight.header("access-control-allow-headers").unwrap().to_lowercase();
        let names = [
            "authorization",
            "content-type",
            "idempotency-key",
            "last-event-id",
            "x-request-id",
            "x-requested-with",
            "cache-control",
            "traceparent",
            "tracestate",
            "baggage",
            "sentry-trace",
        ];
        for name in names {
            assert!(allowed.contains(name), "{name} is not in {allowed}");
        }
        assert!(preflight.body.is_empty());
    }
    for path in ["/api/v1/users/me", "/api/v1/nothing", &messages] {
        let reply = phone.client.get(path).header("Origin", WEB_ORIGIN).send().await;
        assert_eq!(reply.header("access-control-allow-origin"), Some(WEB_ORIGIN), "{reply:?}");
        let exposed = reply.header("access-control-expose-headers").unwrap().to_lowercase();
        for name in ["x-request-id", "retry-after", "ratelimit", "location"] {
            assert!(exposed.contains(name), "{name} is not in {exposed}");
        }
        assert!(reply.header("vary").unwrap().to_lowercase().contains("origin"));
    }
    let stream = phone.message(conversation, &content("Hello")).header("Origin", WEB_ORIGIN).stream().await;
    assert_eq!(stream.header("access-control-allow-origin"), Some(WEB_ORIGIN));
    stream.rest().await;
}

#[tokio::test]
async fn preflight_allows_configured_headers() {
    let env = TestEnv::setup().var("CORS_ALLOWED_HEADERS", "X-App-Version, X-Ours").start().await;
    let ask = env.client().ask(Method::OPTIONS, "/api/v1/users/me").header("Origin", WEB_ORIGIN);
    let preflight = ask.header("Access-Control-Request-Method", "GET").send().await.expect_status(204);
    let allowed = preflight.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("traceparent") && allowed.ends_with("X-App-Version, X-Ours"), "{allowed}");
}

/// Sends these bytes and reads the response until the Worker closes the connection.
async fn raw(env: &TestEnv, bytes: &str) -> String {
    let url = env.client().url("");
    let exchange = async {
        let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
        connection.write_all(bytes.as_bytes()).await.unwrap();
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let length = connection.read(&mut piece).await.unwrap_or_default();
            answer.extend_from_slice(&piece[..length]);
            let text = String::from_utf8_lossy(&answer).into_owned();
            if length == 0 || text.ends_with('}') || text.contains("0\r\n\r\n") {
                return text;
            }
        }
    };
    bounded("the answer", exchange).await
}

#[tokio::test]
async fn request_without_body_needs_no_media_type() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    // With and without the `Content-Length: 0` that most HTTP libraries send.
    let framings = [
        "Content-Length: 0\r\n",
        "",
        "Content-Length: 0\r\nContent-Type: application/x-www-form-urlencoded\r\n",
    ];
    for framing in framings {
        let upcoming = env.provider.hand_over();
        let (mut stream, _call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
        let turn = stream.expect("turn.started").await.turn_id();
        let token = &phone.tokens.access_token;
        let head = |path: &str| {
            format!(
                "POST {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{framing}\r\n"
            )
        };
        let cancelled = raw(&env, &head(&format!("/api/v1/chat/turns/{turn}/cancel"))).await;
        assert!(cancelled.starts_with("HTTP/1.1 202 "), "{cancelled}");
        assert_eq!(stream.rest().await.last().unwrap().kind, "turn.cancelled");
        let created = raw(&env, &head("/api/v1/chat/conversations")).await;
        assert!(created.starts_with("HTTP/1.1 201 "), "{created}");
        let sent = raw(&env, &head(&messages_path(conversation))).await;
        assert!(sent.starts_with("HTTP/1.1 400 ") && sent.contains("invalid_json"), "{sent}");
    }
    let _ = phone.client.post("/api/v1/chat/conversations").json_bytes("").send().await.expect_status(201);
    for path in [messages_path(conversation), "/api/v1/auth/login".to_owned()] {
        phone.client.post(&path).json_bytes("").send().await.problem(ErrorCode::InvalidJson);
    }
}

#[tokio::test]
async fn malformed_host_is_400() {
    let env = TestEnv::start().await;
    for host in ["a b", "[", "a:b:c", "%%", ""] {
        let answer =
            raw(&env, &format!("GET /api/v1/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
                .await;
        assert!(answer.starts_with("HTTP/1.1 400 ") || host.is_empty(), "{host:?}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 500 "), "{host:?}: {answer}");
    }
}

#[tokio::test]
async fn stalled_body_is_400() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let paths = ["/api/v1/auth/login".to_owned(), messages_path(conversation)];
    let stalled = paths.iter().map(|path| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: 16000\r\n\r\n{{\"content\":",
            phone.tokens.access_token
        );
        let env = &env;
        async move { raw(env, &head).await }
    });
    for answer in futures_util::future::join_all(stalled).await {
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("in time"), "{answer}");
    }
}

#[tokio::test]
async fn body_without_token_is_limited_to_16_kib() {
    let env = TestEnv::start().await;
    let (phone, _) = somebody(&env).await;
    let body = Bytes::from(format!("{{\"title\":\"{}\"}}", "x".repeat(17 * 1024)));
    let path = "/api/v1/chat/conversations";
    for client in [env.client(), phone.client.anonymous()] {
        let refused = client.post(path).json_bytes(body.clone()).send().await;
        let detail = refused.problem(ErrorCode::PayloadTooLarge).detail;
        assert!(detail.contains("16 KiB"), "{detail}");
    }
    phone.client.post(path).json_bytes(body).send().await.problem(ErrorCode::ValidationFailed);
}

#[tokio::test]
async fn compressed_body_is_refused() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    for path in posts(conversation) {
        let ask =
            phone.client.post(&path).header("Content-Encoding", "gzip").json_bytes(&b"\x1f\x8b\x08"[..]);
        let reply = ask.send().await;
        let detail = reply.problem(ErrorCode::UnsupportedMediaType).detail;
        assert!(detail.contains("Content-Encoding"), "{detail}");
        assert_eq!(reply.header("accept-encoding"), Some("identity"));
    }
    let _ = phone
        .message(conversation, &content("Hello"))
        .header("Content-Encoding", "identity")
        .send()
        .await
        .expect_status(201);
}

#[tokio::test]
async fn head_response_equals_get_without_body() {
    let env = TestEnv::start().await;
    let (phone, conversation) = somebody(&env).await;
    let upcoming = env.provider.hand_over();
    let (mut stream, call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
    let running = stream.expect("turn.started").await.turn_id();
    let turn = format!("/api/v1/chat/turns/{running}");
    let events = phone.client.ask(Method::HEAD, &format!("{turn}/events")).send().await.expect_status(200);
    assert_eq!(events.header("content-type"), Some("text/event-stream; charset=utf-8"), "{events:?}");
    assert!(events.body.is_empty());
    call.stop().await.unwrap();
    stream.rest().await;
    phone.persisted(running).await;
    let paths = [
        turn.as_str(),
        "/api/v1/users/me",
        "/api/v1/health",
        "/api/v1/chat/conversations",
        &messages_path(conversation),
        "/openapi.json",
        "/",
        "/api/v1/nothing",
        "/api/v1/chat/turns/019aa5d2-8c00-7000-8000-3f6d2b1c9e77",
    ];
    for path in paths {
        let get = phone.client.get(path).header("X-Request-ID", "same").send().await;
        let head = phone.client.ask(Method::HEAD, path).header("X-Request-ID", "same").send().await;
        assert!(head.body.is_empty() && !get.body.is_empty(), "{head:?}");
        assert_eq!(head.status, get.status, "{path}");
        // Headers that frame the body may differ, since there is none.
        let headers = |reply: &Reply| {
            let mut headers = reply.headers.clone();
            for name in ["content-length", "transfer-encoding", "date"] {
                headers.remove(name);
            }
            headers
        };
        assert_eq!(headers(&head), headers(&get), "{path}");
    }
}

#[rstest]
#[case::empty_host("development", "http://")]
#[case::public_without_tls("production", "http://203.0.113.7:8080")]
#[tokio::test]
async fn invalid_origin_url_is_refused(#[case] environment: &str, #[case] url: &str) {
    let env = TestEnv::setup().var("EDGECHAT_ENV", environment).var("ORIGIN_URL", url).start().await;
    env.client().get("/api/v1/health").send().await.problem(ErrorCode::Internal);
    until(BOUND, "the variable in the log", || async {
        env.edge_log().lines().iter().any(|line| line.contains("ORIGIN_URL is")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn cors_wildcard_allows_no_credentials() {
    let env = TestEnv::setup().var("CORS_ORIGINS", "*").start().await;
    let reply = env.client().get("/api/v1/health").header("Origin", "https://anyone.example").send().await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn cors_origin_outside_list_is_not_allowed() {
    let env = TestEnv::start().await;
    let (phone, _) = somebody(&env).await;
    for origin in ["https://evil.example", "https://app.example.com.evil.example", "null"] {
        let ask = env.client().ask(Method::OPTIONS, "/api/v1/users/me");
        let preflight =
            ask.header("Origin", origin).header("Access-Control-Request-Method", "GET").send().await;
        let plain = phone.client.get("/api/v1/users/me").header("Origin", origin).send().await;
        for reply in [preflight, plain] {
            assert_eq!(reply.header("access-control-allow-origin"), None, "{reply:?}");
            assert_eq!(reply.header("access-control-allow-credentials"), None);
        }
    }
}
