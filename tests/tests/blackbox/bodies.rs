//! Tests of request bodies: invalid JSON and fields, sizes, media types and framings.

use bytes::Bytes;
use edgechat_tests::{
    client::{content, messages_path},
    test_env::TestEnv,
};
use futures_util::stream;
use reqwest::Body;
use rstest::rstest;
use serde_json::json;
use shared::{
    api::{ErrorCode, body::MAX_BODY_BYTES, chat::SentMessage},
    id::Id,
};

use super::requests::{raw, somebody};

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
