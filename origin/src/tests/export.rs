//! Tests of the export of an account's data.

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{
    deliveries::{call, delivery},
    test_env::{Answer, Call, Member, TestEnv, problem},
};
use crate::{auth::AuthError, store::contract::down};

const EXPORT: &str = "/api/v1/users/me/export";

async fn export(env: &TestEnv, member: &Member) -> Answer {
    env.send(Call::get(EXPORT).token(&member.access)).await
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn of_type(lines: &[Value], kind: &str) -> Vec<Value> {
    let of_type = lines.iter().filter(|line| line["type"] == kind);
    of_type
        .map(|line| {
            let mut line = line.clone();
            line.as_object_mut().unwrap().remove("type");
            line
        })
        .collect()
}

#[tokio::test]
async fn export_has_everything_and_says_that_it_is_whole() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let consent = json!({"document": "terms", "version": "1"});
    let call_of = Call::post("/api/v1/users/me/consents").token(&ada.access).json(&consent);
    assert_eq!(env.send(call_of).await.status, 201);
    let mut messages = Vec::new();
    for member in [&ada, &eve, &ada] {
        let conversation = env.open(member).await;
        for number in 0..3 {
            let mut turn = delivery(&env, member, conversation, number);
            if number == 2 {
                // Another branch.
                turn.messages.iter_mut().next().unwrap().parent_id = None;
            }
            let delivered = env.send(env.sign(call(member, &turn), "203.0.113.7")).await;
            assert_eq!(delivered.status, 200, "{:?}", delivered.body);
            if member.id == ada.id {
                messages.extend(turn.messages.into_vec().into_iter().map(|message| json!(message.id)));
            }
            env.clock.advance(10);
        }
    }
    let answer = export(&env, &ada).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-ndjson"));
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"export.jsonl\"");
    assert_eq!(answer.header("cache-control"), "no-store");
    let lines = lines(&answer);
    let get = async |path: &str| env.send(Call::get(path).token(&ada.access)).await.json();
    assert_eq!(of_type(&lines, "profile"), [get("/api/v1/users/me").await]);
    let address = json!({"kind": "email", "address": "ada@example.com", "verified": false});
    assert_eq!(of_type(&lines, "address"), [address]);
    assert_eq!(of_type(&lines, "consent")[0]["version"], "1");
    assert_eq!(json!(of_type(&lines, "session")), get("/api/v1/auth/sessions").await["items"]);
    assert_eq!(json!(of_type(&lines, "event")), get("/api/v1/users/me/events").await["items"]);
    assert_eq!(of_type(&lines, "event")[0]["kind"], "exported");
    assert_eq!(of_type(&lines, "usage")[0]["messages"], 6);
    let conversations = get("/api/v1/chat/conversations").await;
    let mut newest_first = of_type(&lines, "conversation");
    newest_first.reverse();
    assert_eq!(json!(newest_first), conversations["items"]);
    let exported: Vec<_> = of_type(&lines, "message").iter().map(|message| message["id"].clone()).collect();
    assert_eq!(exported, messages);
    let counts = json!({
        "profile": 1, "address": 1, "consent": 1, "session": 1, "event": 3, "usage": 1, "conversation": 2,
        "message": 12,
    });
    assert_eq!(lines.last(), Some(&json!({"type": "end", "counts": counts})));
    assert_eq!(lines.len(), 23);
}

#[tokio::test]
async fn sixth_export_of_a_day_is_refused() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let head = env.send(Call::new("HEAD", EXPORT).token(&ada.access)).await;
    assert_eq!((head.status, head.header("content-type")), (200, "application/x-ndjson"));
    for _ in 0..5 {
        let answer = export(&env, &ada).await;
        assert_eq!(lines(&answer).last().unwrap()["type"], "end");
    }
    let refused = export(&env, &ada).await;
    assert_eq!((refused.problem(), refused.header("retry-after")), (problem(429, "rate_limited"), "86400"));
    assert_eq!(export(&env, &eve).await.status, 200);
}

#[tokio::test]
async fn second_export_at_once_is_refused() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let claims = env.app.auth.tokens.verify(&ada.access, super::test_env::START).await.unwrap();
    let begin = async || env.app.auth.begin_export(&claims, &crate::auth::Requester::operator()).await;
    begin().await.unwrap();
    let error = begin().await.unwrap_err();
    assert!(
        matches!(&error, AuthError::RateLimited(limited) if limited.limit.policy == "exports"),
        "{error}"
    );
    assert_eq!(export(&env, &ada).await.problem(), problem(429, "rate_limited"));
    env.app.auth.end_export(ada.id).await;
    assert_eq!(export(&env, &ada).await.status, 200);
    begin().await.unwrap();
}

#[tokio::test]
async fn export_with_failing_store_ends_with_an_error() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let cut_off = env.on_stores(|stores| stores.chats = down::chats());
    let request = Call::get(EXPORT).token(&ada.access).into_request();
    let response = cut_off.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(export(&env, &ada).await.status, 200, "the next one may begin");
}
