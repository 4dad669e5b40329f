//! Tests of access tokens: those that are valid and those that are refused.

use serde_json::json;
use shared::auth::{
    cases::{boundary_cases, token_cases},
    native::Verifier,
};

use super::test_env::{Call, START, TestEnv, problem};
use crate::clock::Clock as _;

const ME: &str = "/api/v1/auth/me";

#[tokio::test]
async fn token_table_has_expected_verdicts() {
    let env = TestEnv::new().await;
    let member = env.register("ada").await;
    let claims = env.app.auth.tokens.verify(&member.access, START).await.unwrap();
    let key = env.app.config.signing_keys.signing();
    let [cases, boundaries] = [token_cases(key, &claims, START), boundary_cases(key, &claims, START)];
    for case in cases.into_iter().chain(boundaries) {
        let answer = env.send(Call::get(ME).token(&case.token)).await;
        match case.expected {
            Ok(()) => assert_eq!(answer.status, 200, "{}: {:?}", case.name, answer.body),
            Err(code) => assert_eq!(answer.problem(), problem(401, code.as_str()), "{}", case.name),
        }
    }
}

#[tokio::test]
async fn missing_token_and_refresh_token_are_refused() {
    let env = TestEnv::new().await;
    let member = env.register("ada").await;
    let none = env.send(Call::get(ME)).await;
    assert_eq!(none.problem(), problem(401, "token_missing"));
    assert_eq!(none.header("www-authenticate"), "Bearer");
    let refresh = env.send(Call::get(ME).token(&member.refresh)).await;
    assert_eq!(refresh.problem(), problem(401, "token_invalid"));
    assert!(refresh.header("www-authenticate").contains("error=\"invalid_token\""));
}

#[tokio::test]
async fn access_token_expires_at_its_time() {
    let env = TestEnv::with(&[("ACCESS_TOKEN_EXPIRE_MINUTES", "2")]).await;
    let member = env.register("ada").await;
    let verified = env.send(Call::get("/api/v1/auth/verify").token(&member.access)).await;
    let expected = json!({
        "valid": true, "user_id": member.id, "session_id": member.session, "plan": "basic",
        "expires_at": "2026-11-21T09:32:00.000Z",
    });
    assert_eq!((verified.status, verified.json()), (200, expected));
    env.clock.advance(149_000);
    assert_eq!(env.send(Call::get(ME).token(&member.access)).await.status, 200);
    env.clock.advance(2_000);
    let late = env.send(Call::get(ME).token(&member.access)).await;
    assert_eq!(late.problem(), problem(401, "token_expired"));
}

#[tokio::test]
async fn published_keys_verify_tokens() {
    let env = TestEnv::new().await;
    let member = env.register("ada").await;
    let keys = env.send(Call::get("/.well-known/jwks.json")).await;
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    let verifier = Verifier::new(serde_json::from_slice(&keys.body).unwrap());
    assert_eq!(verifier.verify(&member.access, env.clock.now()).unwrap().sub, member.id);
}
