//! Tests of request heads: paths and methods, request ids, the host, `HEAD`, and the origin's address.

use edgechat_tests::{
    client::{Phone, Reply, content, messages_path},
    test_env::TestEnv,
    wait::{BOUND, bounded, until},
};
use reqwest::Method;
use rstest::rstest;
use shared::{api::ErrorCode, id::Id};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A user with a conversation.
pub(super) async fn somebody(env: &TestEnv) -> (Phone, Id) {
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    (phone, conversation)
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

/// Sends these bytes and reads the response until the Worker closes the connection.
pub(super) async fn raw(env: &TestEnv, bytes: &str) -> String {
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
