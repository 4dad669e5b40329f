//! Tests of authentication, and of access to other users' resources.

use edgechat_tests::{
    client::{Phone, Reply, content, messages_path, turn_path},
    clock::now,
    test_env::TestEnv,
    wait::bounded,
};
use reqwest::Method;
use serde_json::{Value, json};
use shared::{
    api::{ErrorCode, account::Tokens},
    id::Id,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends a request to a route of the Worker's front, one of the user object and one of the origin.
async fn ask_everywhere(phone: &Phone, conversation: Id, token: &str) -> Vec<Reply> {
    let client = phone.client.with_token(token);
    let mut replies = vec![client.get("/api/v1/users/me").send().await];
    replies.push(client.post(&messages_path(conversation)).json(&content("Hello")).send().await);
    replies.push(client.get(&turn_path(conversation)).send().await);
    replies.push(client.get(&format!("{}/events", turn_path(conversation))).send().await);
    replies
}

#[tokio::test]
async fn malformed_access_token_is_refused() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let access = &phone.tokens.access_token;
    let mut changed = access.clone().into_bytes();
    let middle = access.find('.').unwrap() + 9;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    let long = format!("{access}{}", "A".repeat(9_000));
    for token in [phone.tokens.refresh_token.as_str(), &changed, &long, "x"] {
        for reply in ask_everywhere(&phone, conversation, token).await {
            reply.problem(ErrorCode::TokenInvalid);
            assert!(reply.header("www-authenticate").unwrap().contains("invalid_token"));
        }
    }
    assert_eq!(env.provider.calls(), 0);
}

#[tokio::test]
async fn request_without_token_is_refused() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let nobody = phone.client.anonymous();
    let routes = [
        (Method::GET, "/api/v1/users/me".to_owned()),
        (Method::GET, "/api/v1/usage/me".to_owned()),
        (Method::GET, "/api/v1/chat/conversations".to_owned()),
        (Method::POST, messages_path(conversation)),
        (Method::GET, messages_path(conversation)),
        (Method::GET, turn_path(conversation)),
        (Method::POST, format!("{}/cancel", turn_path(conversation))),
    ];
    for (method, path) in routes {
        for query in ["", "?access_token=", "?token="] {
            let path = if query.is_empty() {
                path.clone()
            } else {
                format!("{path}{query}{}", phone.tokens.access_token)
            };
            let reply = nobody.ask(method.clone(), &path).send().await;
            reply.problem(ErrorCode::TokenMissing);
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        }
        let basic = nobody.ask(method, &path).header("Authorization", "Basic YWRhOnNlY3JldA==");
        assert_eq!(basic.send().await.status, 401);
    }
    assert_eq!(env.provider.calls(), 0);
}

/// Every request that names a conversation or a turn.
fn attempts(conversation: Id, turn: Id) -> Vec<(Method, String, Option<Value>)> {
    let path = format!("/api/v1/chat/conversations/{conversation}");
    let turn = turn_path(turn);
    vec![
        (Method::GET, path.clone(), None),
        (Method::PATCH, path.clone(), Some(json!({ "title": "Mine now" }))),
        (Method::DELETE, path.clone(), None),
        (Method::GET, format!("{path}/messages"), None),
        (Method::POST, format!("{path}/messages"), Some(content("Hello"))),
        (Method::GET, turn.clone(), None),
        (Method::GET, format!("{turn}/events"), None),
        (Method::POST, format!("{turn}/cancel"), None),
    ]
}

async fn try_it(phone: &Phone, (method, path, body): (Method, String, Option<Value>)) -> Value {
    let ask = phone.client.ask(method, &path);
    let reply = match body {
        Some(body) => ask.json(&body).send().await,
        None => ask.send().await,
    };
    reply.problem(ErrorCode::NotFound);
    let mut body = reply.value();
    body.as_object_mut().unwrap().remove("request_id");
    body
}

#[tokio::test]
async fn foreign_conversation_is_not_found() {
    let env = TestEnv::start().await;
    let (ada, eve) = tokio::join!(env.phone(), env.phone());
    let conversation = ada.conversation().await;
    let sent = ada.send_and_persist(conversation, "For my eyes only").await;

    // An id that does not exist.
    let absent = Id::new(now(), [7; 10]);
    for (theirs, nobodys) in attempts(conversation, sent.turn_id).into_iter().zip(attempts(absent, absent)) {
        let what = format!("{} {}", theirs.0, theirs.1);
        assert_eq!(try_it(&eve, theirs).await, try_it(&eve, nobodys).await, "{what}");
    }
    assert_eq!(env.provider.calls(), 1, "a message to a foreign conversation reaches no provider");
    let messages = ada.messages(conversation).await;
    assert_eq!(messages, [sent.user_message.unwrap(), sent.assistant_message]);
    assert_eq!(eve.usage().await.totals.requests, 0);
}

#[tokio::test]
async fn foreign_running_turn_is_not_found() {
    let env = TestEnv::start().await;
    let (ada, eve) = tokio::join!(env.phone(), env.phone());
    let conversation = ada.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(ada.stream(conversation, "Hello"), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    for attempt in attempts(conversation, turn) {
        try_it(&eve, attempt).await;
    }
    call.send_text("Undisturbed.").await.unwrap();
    call.stop().await.unwrap();
    assert_eq!(stream.rest().await.last().unwrap().kind, "turn.completed");
}

#[tokio::test]
async fn malformed_id_is_not_found() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    for path in ["/api/v1/chat/conversations/42", "/api/v1/chat/turns/42", "/api/v1/chat/turns/42/events"] {
        phone.client.get(path).send().await.problem(ErrorCode::NotFound);
    }
    let message = phone.client.post("/api/v1/chat/conversations/..%2f..%2f/messages").json(&content("Hello"));
    message.send().await.problem(ErrorCode::NotFound);
}

/// Returns the status of a request whose path is sent without normalization.
async fn status_of(env: &TestEnv, path: &str, token: &str) -> u16 {
    let address = env.client().url("");
    let address = address.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    bounded("an answer", connection.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("{path}: {answer}")).parse().unwrap()
}

#[tokio::test]
async fn internal_path_in_any_spelling_is_refused() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let inside = format!("v1/conversations/{conversation}/context");
    let begins = [
        "/internal/",
        "//internal/",
        "/./internal/",
        "/api/../internal/",
        "/api/%2e%2e/internal/",
        "/%69nternal/",
        "/%2finternal/",
        "/INTERNAL/",
        "/internal%2f",
        "/api/v1/../../internal/",
        "/\\internal/",
        "/;/internal/",
        "/api/v1/..%2f..%2finternal/",
    ];
    for begin in begins {
        let status = status_of(&env, &format!("{begin}{inside}"), &phone.tokens.access_token).await;
        assert!([400, 404].contains(&status), "{begin}: {status}");
    }
    let outside = format!("/api/v1/chat/conversations/{conversation}");
    assert_eq!(status_of(&env, &outside, &phone.tokens.access_token).await, 200, "the public path is served");
}

#[tokio::test]
async fn internal_routes_are_refused_to_clients() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let paths = [
        format!("/internal/v1/conversations/{conversation}/context"),
        format!("/internal/v1/turns/{conversation}"),
        "/internal/v1/turns".to_owned(),
    ];
    for path in &paths {
        phone.client.get(path).send().await.problem(ErrorCode::NotFound);
        phone.client.post(path).json(&json!({})).send().await.problem(ErrorCode::NotFound);
        let direct = env.client_of_origin().with_token(&phone.tokens.access_token);
        direct.get(path).send().await.problem(ErrorCode::Forbidden);
        direct.post(path).json(&json!({})).send().await.problem(ErrorCode::Forbidden);
    }
}

#[tokio::test]
async fn ended_session_is_refused_on_every_route() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let sent = phone.send_and_persist(conversation, "For my eyes only").await;

    // Reuse of a refresh token after its successor was used ends the session.
    let refresh = async |token: &str| {
        let body = json!({ "refresh_token": token });
        phone.client.anonymous().post("/api/v1/auth/refresh").json(&body).send().await
    };
    let second: Tokens = refresh(&phone.tokens.refresh_token).await.expect_status(200).json();
    let _ = refresh(&second.refresh_token).await.expect_status(200);
    assert_eq!(refresh(&phone.tokens.refresh_token).await.status, 401);

    // The user object has the conversation and the turn; after the restart it checks the session with the origin again.
    env.kill_workerd().await;
    env.start_workerd().await;
    let turn = turn_path(sent.turn_id);
    let requests = [
        phone.client.get("/api/v1/users/me"),
        phone.message(conversation, &content("Still here?")),
        phone.client.get(&turn),
        phone.client.get(&format!("{turn}/events")),
        phone.client.post(&format!("{turn}/cancel")),
        phone.client.get(&messages_path(conversation)),
    ];
    for request in requests {
        let reply = request.send().await;
        reply.problem(ErrorCode::SessionEnded);
        assert!(!format!("{reply:?}").contains("eyes only"), "{reply:?}");
    }
    let events = phone.client.get(&format!("{turn}/events")).header("Accept", "text/event-stream");
    events.send().await.problem(ErrorCode::SessionEnded);
}
