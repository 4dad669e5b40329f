//! Requests that are wrong in one way each, request ids, and browsers from elsewhere.

use bytes::Bytes;
use edgechat_tests::{
    client::{Phone, content, messages_path},
    wait::{BOUND, until},
    world::{WEB_ORIGIN, World},
};
use futures_util::stream;
use reqwest::{Body, Method};
use rstest::rstest;
use serde_json::json;
use shared::{
    api::{ErrorCode, body::MAX_BODY_BYTES, chat::SentMessage},
    id::Id,
};

/// Somebody with a conversation.
async fn somebody(world: &World) -> (Phone, Id) {
    let phone = world.phone().await;
    let conversation = phone.conversation().await;
    (phone, conversation)
}

/// A body the Worker reads and two that the origin reads.
fn posts(conversation: Id) -> [String; 3] {
    [messages_path(conversation), "/api/v1/chat/conversations".to_owned(), "/api/v1/auth/login".to_owned()]
}

#[rstest]
#[case::cut("{\"content\":")]
#[case::not_json("content=hello")]
#[case::two(r#"{"content":"x","email":"a@example.com","password":"x"} {}"#)]
#[case::empty("")]
#[case::half_a_surrogate(r#"{"content":"\ud800","title":"\ud800","email":"\ud800"}"#)]
#[tokio::test]
async fn a_body_that_is_no_json_is_malformed(#[case] body: &'static str) {
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
    for path in posts(conversation) {
        phone.client.post(&path).json_bytes(body).send().await.problem(ErrorCode::InvalidJson);
    }
    assert_eq!(world.provider.calls(), 0);
}

#[tokio::test]
async fn a_wrong_field_is_named() {
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
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
        let named = problem.errors.first().map(|error| error.field.as_str()).unwrap_or_default();
        assert!(named.starts_with(field), "{path} {field}: {reply:?}");
        assert!(problem.detail.contains(field), "{reply:?}");
    }
    assert_eq!(world.provider.calls(), 0);
}

#[tokio::test]
async fn body_nested_deeper_than_64_is_invalid_json() {
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
    let deep = format!("{{\"content\":\"Hello\",\"later\":{}{}}}", "[".repeat(64), "]".repeat(64));
    for path in posts(conversation) {
        phone.client.post(&path).json_bytes(deep.clone()).send().await.problem(ErrorCode::InvalidJson);
    }
    assert_eq!(world.provider.calls(), 0);
}

#[tokio::test]
async fn parts_and_whole_numbers_are_sent() {
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
    let parts = [json!({ "type": "text", "text": "Hel" }), json!({ "type": "text", "text": "lo" })];
    for field in ["parts", "content"] {
        // No difference in JSON between 100 and 100.0.
        let body = format!("{{\"{field}\":{},\"max_output_tokens\":100.0}}", json!(parts));
        let ask = phone.client.post(&messages_path(conversation)).json_bytes(body);
        let sent: SentMessage = ask.send().await.expect_status(201).json();
        assert_eq!(sent.user_message.content, "Hello");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_however_it_is_framed() {
    const TWO_MIB: usize = 2 * 1024 * 1024;
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
    let large = Bytes::from(format!("{{\"content\":\"{}\"}}", "x".repeat(TWO_MIB)));
    for path in posts(conversation) {
        let whole = phone.client.post(&path).json_bytes(large.clone()).send().await;
        whole.problem(ErrorCode::PayloadTooLarge);
        // Without a Content-Length: in chunks of 64 KiB.
        let chunks: Vec<_> = large
            .chunks(64 * 1024)
            .map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk)))
            .collect();
        let body = Body::wrap_stream(stream::iter(chunks));
        let ask = phone.client.post(&path).header("Content-Type", "application/json").body(body);
        ask.send().await.problem(ErrorCode::PayloadTooLarge);
    }
    assert_eq!(world.provider.calls(), 0);
}

#[tokio::test]
async fn a_body_just_below_the_limit_is_read() {
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
    let image = "A".repeat(MAX_BODY_BYTES - 1_024);
    let body = json!({ "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image", "mime_type": "image/png", "data": image },
    ]});
    let sent: SentMessage = phone.message(conversation, &body).send().await.expect_status(201).json();
    assert!(world.provider.received()[0].body.len() > image.len());
    // What a client may send, the Worker may deliver.
    assert!(phone.persisted(sent.turn_id).await.persisted);
    assert_eq!(phone.messages(conversation).await[0].parts, sent.user_message.parts);
}

#[tokio::test]
async fn a_body_of_another_media_type_is_refused() {
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
    for path in posts(conversation) {
        let ask =
            phone.client.post(&path).header("Content-Type", "text/plain").body("{\"content\":\"Hello\"}");
        ask.send().await.problem(ErrorCode::UnsupportedMediaType);
    }
    let ask = phone.message(conversation, &content("Hello")).header("Accept", "text/html");
    ask.send().await.problem(ErrorCode::NotAcceptable);
    assert_eq!(world.provider.calls(), 0);
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_told_apart() {
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
    let unknown =
        ["/api/v1/nothing", "/api/v2/health", "/nothing", "/api/v1/chat/turns", "/api/v1/auth/nothing"];
    for path in unknown {
        phone.client.get(path).send().await.problem(ErrorCode::NotFound);
    }
    let conversation = format!("/api/v1/chat/conversations/{conversation}");
    let turn = "/api/v1/chat/turns/019aa5d2-8c00-7000-8000-3f6d2b1c9e77";
    let wrong = [
        (Method::DELETE, format!("{conversation}/messages")),
        (Method::PUT, conversation),
        (Method::DELETE, turn.to_owned()),
        (Method::GET, format!("{turn}/cancel")),
        (Method::GET, "/api/v1/auth/register".to_owned()),
        (Method::POST, "/api/v1/usage/me".to_owned()),
    ];
    for (method, path) in wrong {
        let reply = phone.client.ask(method, &path).send().await;
        reply.problem(ErrorCode::MethodNotAllowed);
        assert!(reply.header("allow").is_some_and(|allow| !allow.is_empty()), "{reply:?}");
    }
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_changes_nothing() {
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
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
async fn every_answer_carries_a_request_id() {
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
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
        world.origin_log().lines().iter().any(|line| line.contains("Ada-42")).then_some(())
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
async fn a_browser_of_the_right_origin_may_read_answers() {
    let world = World::start().await;
    let (phone, conversation) = somebody(&world).await;
    let messages = messages_path(conversation);
    for path in [messages.as_str(), "/api/v1/users/me", "/api/v1/auth/login"] {
        let ask = world.client().ask(Method::OPTIONS, path);
        let ask = ask.header("Origin", WEB_ORIGIN).header("Access-Control-Request-Method", "POST");
        let preflight =
            ask.header("Access-Control-Request-Headers", "authorization,content-type,idempotency-key");
        let preflight = preflight.send().await.expect_status(204);
        assert_eq!(preflight.header("access-control-allow-origin"), Some(WEB_ORIGIN));
        assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
        let allowed = preflight.header("access-control-allow-headers").unwrap().to_lowercase();
        for name in ["authorization", "content-type", "idempotency-key", "last-event-id", "x-request-id"] {
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
async fn where_every_origin_may_read_none_sends_cookies() {
    let world = World::setup().var("CORS_ORIGINS", "*").start().await;
    let reply = world.client().get("/api/v1/health").header("Origin", "https://anyone.example").send().await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn a_browser_of_another_origin_may_not() {
    let world = World::start().await;
    let (phone, _) = somebody(&world).await;
    for origin in ["https://evil.example", "https://app.example.com.evil.example", "null"] {
        let ask = world.client().ask(Method::OPTIONS, "/api/v1/users/me");
        let preflight =
            ask.header("Origin", origin).header("Access-Control-Request-Method", "GET").send().await;
        let plain = phone.client.get("/api/v1/users/me").header("Origin", origin).send().await;
        for reply in [preflight, plain] {
            assert_eq!(reply.header("access-control-allow-origin"), None, "{reply:?}");
            assert_eq!(reply.header("access-control-allow-credentials"), None);
        }
    }
}
