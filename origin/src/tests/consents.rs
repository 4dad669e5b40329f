//! Tests of consents: what a user agreed to, and the word about what is missing that the user object gets.

use serde_json::{Value, json};
use shared::{http::headers::MISSING_CONSENTS, time::SECOND_MS};

use super::{
    account::{CONSENTS, get, kinds},
    deliveries::{call, delivery},
    test_env::{Call, Member, TestEnv, problem},
};
use crate::clock::Clock as _;

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
async fn consents_are_listed_with_what_is_required() {
    let env = TestEnv::with(&[("CONSENTS_REQUIRED", "terms=2026-10-01,privacy=3")]).await;
    let ada = env.register("ada").await;
    let give = async |document: &str, version: &str| {
        let body = json!({"document": document, "version": version});
        env.send(Call::post(CONSENTS).token(&ada.access).json(&body)).await
    };
    let item = |document: &str, version: Value, accepted_at: Value, current: Value| {
        json!({
            "document": document,
            "version": version,
            "accepted_at": accepted_at,
            "required": !current.is_null(),
            "current_version": current,
        })
    };
    let open = item("privacy", Value::Null, Value::Null, json!("3"));
    let list = get(&env, &ada, CONSENTS).await;
    let terms = item("terms", Value::Null, Value::Null, json!("2026-10-01"));
    assert_eq!(list, json!({"items": [terms, open]}));

    env.clock.advance(SECOND_MS);
    let first = json!(env.clock.now());
    let terms = item("terms", json!("2026-10-01"), first.clone(), json!("2026-10-01"));
    let given = give("terms", "2026-10-01").await;
    assert_eq!((given.status, given.json()), (201, terms.clone()));
    env.clock.advance(SECOND_MS);
    let again = give("terms", "2026-10-01").await;
    assert_eq!((again.status, again.json()), (200, terms.clone()));
    let news = give("news", "1").await.json();
    assert_eq!(news, item("news", json!("1"), json!(env.clock.now()), Value::Null));
    assert_eq!(get(&env, &ada, CONSENTS).await, json!({"items": [terms, open, news]}));
    assert_eq!(kinds(&env, &ada).await, ["consent_given", "consent_given", "signed_up"]);

    for (document, version, field) in
        [("Terms", "1", "document"), ("terms", "", "version"), ("terms", "a b", "version")]
    {
        let refused = give(document, version).await;
        assert_eq!(refused.problem(), problem(422, "validation_failed"));
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    for version in 0..98 {
        assert_eq!(give("news", &format!("2.{version}")).await.status, 201);
    }
    assert_eq!(give("news", "3").await.problem(), problem(409, "conflict"));
    assert_eq!(give("news", "1").await.status, 200);
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
