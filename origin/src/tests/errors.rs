//! Tests of errors before and around handlers, all in the one format.

use axum::{Router, routing::get};
use serde_json::json;

use super::test_env::{Call, TestEnv, problem};

const REGISTER: &str = "/api/v1/auth/register";

#[tokio::test]
async fn unknown_path_is_404_and_wrong_method_is_405() {
    let env = TestEnv::new().await;
    for path in ["/nope", "/api/v1/nope", "/api/v1", "/internal/v1/nope", "/api/v1/auth/me/"] {
        assert_eq!(env.send(Call::get(path)).await.problem(), problem(404, "not_found"), "{path}");
    }
    let put = env.send(Call::new("PUT", "/api/v1/chat/conversations")).await;
    assert_eq!(put.problem(), problem(405, "method_not_allowed"));
    let mut allowed: Vec<_> = put.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

#[tokio::test]
async fn body_is_checked_before_it_is_parsed() {
    let env = TestEnv::new().await;
    let good = json!({"email": "ada@example.com", "password": "correct horse"}).to_string();
    for (call, expected) in [
        (Call::post(REGISTER), problem(400, "invalid_json")),
        (Call::post(REGISTER).bytes("text/plain", good.clone()), problem(415, "unsupported_media_type")),
        (
            Call::post(REGISTER).bytes("application/jsonp", good.clone()),
            problem(415, "unsupported_media_type"),
        ),
        (Call::post(REGISTER).bytes("application/json", "{\"email\":"), problem(400, "invalid_json")),
        (Call::post(REGISTER).bytes("application/json", ""), problem(400, "invalid_json")),
        (Call::post(REGISTER).bytes("application/json", "[]"), problem(422, "validation_failed")),
        (
            Call::post(REGISTER).bytes("application/json", vec![b' '; 2 * 1_048_576]),
            problem(413, "payload_too_large"),
        ),
    ] {
        assert_eq!(env.send(call).await.problem(), expected);
    }
    let with_charset = Call::post(REGISTER).bytes("Application/JSON; charset=utf-8", good);
    assert_eq!(env.send(with_charset).await.status, 201);
}

#[tokio::test]
async fn response_has_given_or_new_request_id() {
    let env = TestEnv::new().await;
    for path in ["/", "/nope", "/api/v1/auth/me", "/openapi.json"] {
        let answer = env.send(Call::get(path).header("X-Request-ID", "abc-123")).await;
        assert_eq!(answer.header("x-request-id"), "abc-123", "{path}");
        let answer = env.send(Call::get(path).header("X-Request-ID", "a b")).await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
    }
}

#[tokio::test]
async fn panic_is_internal_error_without_details() {
    async fn boom() {
        panic!("a secret of the inside");
    }
    let env = TestEnv::new().await.serving(Router::new().route("/boom", get(boom)));
    let answer = env.send(Call::get("/boom")).await;
    assert_eq!(answer.problem(), problem(500, "internal"));
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
}

#[tokio::test]
async fn timed_out_request_is_503_with_retry_after() {
    // The response of the timeout layer, which does not know the API's errors.
    let timed_out = async || axum::http::StatusCode::SERVICE_UNAVAILABLE;
    let env = TestEnv::new().await.serving(Router::new().route("/slow", get(timed_out)));
    let answer = env.send(Call::get("/slow")).await;
    assert_eq!(answer.problem(), problem(503, "overloaded"));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn overload_is_refused_at_once() {
    let env = TestEnv::new().await;
    let all = u32::try_from(crate::app::MAX_IN_FLIGHT).unwrap();
    let places = env.app.in_flight.try_acquire_many(all).unwrap();
    let refused = env.send(Call::get("/api/v1/health/ready")).await;
    assert_eq!(refused.problem(), problem(503, "overloaded"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(env.send(Call::get("/api/v1/health")).await.status, 200, "alive");
    drop(places);
    assert_eq!(env.send(Call::get("/api/v1/health/ready")).await.status, 200);
}

#[tokio::test]
async fn production_serves_signed_requests_and_health_only() {
    let env = TestEnv::with(&[("EDGECHAT_ENV", "production")]).await;
    let body = json!({"email": "ada@example.com", "password": "correct horse"});
    let call = Call::post(REGISTER).json(&body);
    assert_eq!(env.send(call.clone()).await.problem(), problem(403, "forbidden"));
    assert_eq!(env.send(env.sign(call, "203.0.113.7")).await.status, 201);
    for path in
        ["/", "/api/v1/health", "/api/v1/health/ready", "/.well-known/jwks.json", "/openapi.json", "/redoc"]
    {
        assert_eq!(env.send(Call::get(path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn health_names_each_store_and_its_backend() {
    let env = TestEnv::new().await;
    assert_eq!(env.send(Call::get("/api/v1/health")).await.json(), json!({"status": "ok"}));
    let about =
        json!({"name": "EdgeChat", "version": env!("CARGO_PKG_VERSION"), "status": "ok", "docs": "/docs"});
    assert_eq!(env.send(Call::get("/")).await.json(), about);
    for (name, field, backend) in
        [("db", "database", "sqlite"), ("mongo", "mongo", "sqlite"), ("redis", "redis", "memory")]
    {
        let answer = env.send(Call::get(format!("/api/v1/health/{name}"))).await.json();
        assert_eq!(
            (&answer["status"], &answer[field], &answer["backend"]),
            (&json!("ok"), &json!("connected"), &json!(backend))
        );
        assert!(answer["latency_ms"].is_number());
    }
    let ready = env.send(Call::get("/api/v1/health/ready")).await;
    assert_eq!(ready.status, 200);
    for port in ["accounts", "chats", "ephemeral"] {
        assert_eq!(ready.json()["checks"][port]["status"], "ok");
        assert_eq!(ready.json()["checks"][port]["error"], json!(null));
    }
    let head = env.send(Call::new("HEAD", "/api/v1/health")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}
