//! Tests of the word about missing consents that the user object gets.

use serde_json::json;
use shared::http::headers::MISSING_CONSENTS;

use super::{
    deliveries::{call, delivery},
    test_env::{Call, Member, TestEnv},
};

/// Stores a turn, and returns the paths whose answers have a word about consents.
async fn paths(env: &TestEnv, member: &Member) -> [String; 3] {
    let conversation = env.open(member).await;
    let turn = delivery(env, member, conversation, 0);
    assert_eq!(env.send(env.sign(call(member, &turn), "")).await.status, 200);
    let context = format!("/internal/v1/conversations/{conversation}/context");
    ["/api/v1/auth/verify".to_owned(), context, format!("/internal/v1/turns/{}", turn.turn_id)]
}

/// The words of these answers.
async fn words(env: &TestEnv, member: &Member, paths: &[String; 3]) -> [String; 3] {
    let mut words = [const { String::new() }; 3];
    for (word, path) in words.iter_mut().zip(paths) {
        let answer = env.send(env.sign(Call::get(path.as_str()).token(&member.access), "")).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.header(MISSING_CONSENTS).clone_into(word);
    }
    words
}

#[tokio::test]
async fn missing_documents_are_named_until_agreed_to() {
    let env = TestEnv::with(&[("CONSENTS_REQUIRED", "terms=2026-10-01,privacy=3")]).await;
    let ada = env.register("ada").await;
    let paths = paths(&env, &ada).await;
    for (document, version, expected) in [
        ("terms", "2025-01-01", "terms=2026-10-01,privacy=3"),
        ("terms", "2026-10-01", "privacy=3"),
        ("privacy", "3", "none"),
    ] {
        let body = json!({ "document": document, "version": version });
        let given = Call::post("/api/v1/users/me/consents").token(&ada.access).json(&body);
        assert_eq!(env.send(given).await.status, 201);
        assert_eq!(words(&env, &ada, &paths).await, [expected; 3]);
    }
}

#[tokio::test]
async fn nothing_is_missing_where_nothing_is_required() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let paths = paths(&env, &ada).await;
    assert_eq!(words(&env, &ada, &paths).await, ["none"; 3]);
}
