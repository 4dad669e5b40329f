//! Tests of the word about missing consents that the user object gets.

use serde_json::json;
use shared::{http::headers::MISSING_CONSENTS, id::Id};

use super::test_env::{Call, Member, TestEnv};

/// The word of the two answers that have one.
async fn words(env: &TestEnv, member: &Member, conversation: Id) -> [String; 2] {
    let context = format!("/internal/v1/conversations/{conversation}/context");
    let mut words = [const { String::new() }; 2];
    for (word, path) in words.iter_mut().zip(["/api/v1/auth/verify", &context]) {
        let answer = env.send(env.sign(Call::get(path).token(&member.access), "")).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.header(MISSING_CONSENTS).clone_into(word);
    }
    words
}

#[tokio::test]
async fn missing_documents_are_named_until_agreed_to() {
    let env = TestEnv::with(&[("CONSENTS_REQUIRED", "terms=2026-10-01,privacy=3")]).await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    for (document, version, expected) in [
        ("terms", "2025-01-01", "terms=2026-10-01,privacy=3"),
        ("terms", "2026-10-01", "privacy=3"),
        ("privacy", "3", "none"),
    ] {
        let body = json!({ "document": document, "version": version });
        let given = Call::post("/api/v1/users/me/consents").token(&ada.access).json(&body);
        assert_eq!(env.send(given).await.status, 201);
        assert_eq!(words(&env, &ada, conversation).await, [expected, expected]);
    }
}

#[tokio::test]
async fn nothing_is_missing_where_nothing_is_required() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    assert_eq!(words(&env, &ada, conversation).await, ["none", "none"]);
}
