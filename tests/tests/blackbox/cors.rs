//! Tests of CORS: origins, preflights and headers.

use edgechat_tests::{
    client::{content, messages_path},
    test_env::{TestEnv, WEB_ORIGIN},
};
use reqwest::Method;

use super::requests::somebody;

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
