//! Tests of conversations and messages that are deleted and come back, and of counts over all of them.

use serde_json::{Value, json};
use shared::{
    api::page::Order,
    http::headers::USER_EVENTS,
    id::Id,
    time::{DAY_MS, Timestamp},
};

use super::{
    deliveries::{call, delivery, message_id},
    test_env::{Answer, Call, Member, TestEnv, problem},
};
use crate::{
    clock::Clock as _,
    store::chats::{MessagesPage, Scope},
};

const LIST: &str = "/api/v1/chat/conversations";

async fn get(env: &TestEnv, member: &Member, path: impl Into<String>) -> Answer {
    env.send(Call::get(path).token(&member.access)).await
}

async fn list(env: &TestEnv, member: &Member, query: &str) -> Value {
    let answer = get(env, member, format!("{LIST}{query}")).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.json()["items"].clone()
}

async fn delete(env: &TestEnv, member: &Member, path: &str) -> Answer {
    env.send(Call::new("DELETE", path).token(&member.access)).await
}

async fn undelete(env: &TestEnv, member: &Member, conversation: Id) -> Answer {
    env.send(Call::post(format!("{LIST}/{conversation}/undelete")).token(&member.access)).await
}

async fn deliver(env: &TestEnv, member: &Member, conversation: Id, number: u64) -> Value {
    let turn = delivery(env, member, conversation, number);
    let answer = env.send(env.sign(call(member, &turn), "203.0.113.7")).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.json()
}

/// Ada, whose session has ended.
async fn sign_in_again(env: &TestEnv) -> Member {
    let body = json!({"email": "ada@example.com", "password": "correct horse"});
    let answer = env.send(Call::post("/api/v1/auth/login").json(&body)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    Member::of(&answer.json())
}

/// The kinds of the events that an answer hands to the Worker.
fn events(answer: &Answer) -> Vec<String> {
    let events: Vec<Value> = serde_json::from_str(answer.header(USER_EVENTS)).unwrap();
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn deleted_conversation_comes_back_within_thirty_days() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let (first, second) = (env.open(&ada).await, env.open(&ada).await);
    deliver(&env, &ada, first, 0).await;
    let one = format!("{LIST}/{first}");
    let before = get(&env, &ada, &one).await.json();
    assert_eq!(list(&env, &ada, "").await.as_array().unwrap().len(), 2);
    env.clock.advance(1_000);
    let call = Call::new("DELETE", &one).token(&ada.access);
    let deleted = env.send(env.sign(call, "203.0.113.7")).await;
    assert_eq!((deleted.status, events(&deleted)), (204, vec!["conversation_deleted".to_owned()]));
    assert_eq!(delete(&env, &ada, &one).await.problem(), problem(404, "not_found"));

    let mut gone = before.clone();
    gone["deleted_at"] = json!(env.clock.now());
    assert_eq!(list(&env, &ada, "?deleted=true").await, json!([gone]));
    for query in ["", "?deleted=false", "?pinned=false", "?archived=false&pinned=false"] {
        assert_eq!(list(&env, &ada, query).await[0]["id"], json!(second), "{query}");
        assert_eq!(list(&env, &ada, query).await.as_array().unwrap().len(), 1, "{query}");
    }
    assert_eq!(get(&env, &ada, format!("{one}/messages")).await.problem(), problem(404, "not_found"));
    assert_eq!(undelete(&env, &eve, first).await.problem(), problem(404, "not_found"));
    assert_eq!(list(&env, &eve, "?deleted=true").await, json!([]));

    env.clock.advance(30 * DAY_MS - 1);
    let ada = sign_in_again(&env).await;
    let call = Call::post(format!("{one}/undelete")).token(&ada.access);
    let back = env.send(env.sign(call, "203.0.113.7")).await;
    assert_eq!((back.status, events(&back)), (200, vec!["conversation_changed".to_owned()]));
    assert_eq!((&back.json()["deleted_at"], &back.json()["message_count"]), (&Value::Null, &json!(2)));
    assert_eq!(undelete(&env, &ada, first).await.json(), back.json());
    assert_eq!(list(&env, &ada, "").await.as_array().unwrap().len(), 2);

    assert_eq!(delete(&env, &ada, &one).await.status, 204);
    env.clock.advance(30 * DAY_MS);
    let ada = sign_in_again(&env).await;
    assert_eq!(undelete(&env, &ada, first).await.problem(), problem(404, "not_found"));
    assert_eq!(list(&env, &ada, "?deleted=true").await, json!([]));
}

#[tokio::test]
async fn contents_of_deleted_conversation_are_removed_a_day_after_the_last_chance() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    for number in 0..60 {
        deliver(&env, &ada, conversation, number).await;
    }
    assert_eq!(delete(&env, &ada, &format!("{LIST}/{conversation}")).await.status, 204);
    let left = async || {
        let page = MessagesPage { scope: Scope::Kept, order: Order::Asc, after: None, limit: 1_000 };
        let found = env.app.stores.chats.messages(ada.id, conversation, page).await.unwrap();
        found.map(|found| found.items.len())
    };
    let runner = env.app.job_runner();
    env.clock.advance(31 * DAY_MS - 1);
    runner.run_due().await;
    assert_eq!(left().await, Some(120));
    // The job runs every hour.
    env.clock.advance(DAY_MS);
    runner.run_due().await;
    assert_eq!(left().await, None);
    let changes = env.app.stores.chats.changes(ada.id, 0, 10, env.clock.now()).await.unwrap();
    assert_eq!(changes.iter().map(|change| &change.conversation).collect::<Vec<_>>(), [&None]);
}

#[tokio::test]
async fn answer_delivered_to_deleted_conversation_is_there_when_it_comes_back() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    deliver(&env, &ada, conversation, 0).await;
    assert_eq!(delete(&env, &ada, &format!("{LIST}/{conversation}")).await.status, 204);
    let receipt = deliver(&env, &ada, conversation, 1).await;
    assert_eq!(receipt, json!({"conversation_exists": false, "last_seq": 0}));
    assert_eq!(undelete(&env, &ada, conversation).await.json()["message_count"], 4);
    let messages = get(&env, &ada, format!("{LIST}/{conversation}/messages")).await.json();
    assert_eq!(messages["items"][3]["content"], "answer 1");
}

#[tokio::test]
async fn deleted_message_is_gone_from_every_view() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let conversation = env.open(&ada).await;
    for number in 0..3 {
        deliver(&env, &ada, conversation, number).await;
    }
    let one = format!("{LIST}/{conversation}");
    let message = |seq| format!("{one}/messages/{}", message_id(conversation, seq));
    assert_eq!(list(&env, &ada, "").await[0]["last_message_preview"], "answer 2");
    assert_eq!(delete(&env, &eve, &message(3)).await.problem(), problem(404, "not_found"));
    let nobodys = format!("{one}/messages/{}", env.app.random.id(env.clock.now()));
    for path in
        [nobodys, format!("{one}/messages/none"), message(3).replace(&conversation.to_string(), "none")]
    {
        assert_eq!(delete(&env, &ada, &path).await.problem(), problem(404, "not_found"), "{path}");
    }

    let call = Call::new("DELETE", message(3)).token(&ada.access);
    let deleted = env.send(env.sign(call, "203.0.113.7")).await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    assert_eq!(events(&deleted), ["conversation_changed"]);
    assert_eq!(delete(&env, &ada, &message(3)).await.problem(), problem(404, "not_found"));
    let listed = list(&env, &ada, "").await[0].clone();
    assert_eq!(
        (&listed["head_id"], &listed["last_message_preview"]),
        (&json!(message_id(conversation, 2)), &json!("answer 0"))
    );
    assert_eq!(listed["messages_deleted_at"], json!(env.clock.now()));
    for query in ["", "?after_seq=0"] {
        let messages = get(&env, &ada, format!("{one}/messages{query}")).await.json();
        let words: Vec<_> =
            messages["items"].as_array().unwrap().iter().map(|m| m["content"].clone()).collect();
        assert_eq!(words, ["question 0", "answer 0"]);
    }
    // The turn that began below it is counted, and stored nowhere.
    assert_eq!(deliver(&env, &ada, conversation, 3).await["conversation_exists"], false);
    let usage = get(&env, &ada, "/api/v1/usage/me").await.json();
    assert_eq!(usage["totals"]["messages"], 4);
    let stats = get(&env, &ada, "/api/v1/chat/stats").await.json();
    let expected = json!({
        "conversations": 1, "messages": 2, "user_messages": 1, "assistant_messages": 1, "tool_calls": 0,
        "input_tokens": 11, "output_tokens": 22, "first_message_at": env.clock.now(), "last_message_at": env.clock.now(),
    });
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn deleted_conversations_are_no_filter_of_others() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    for _ in 0..3 {
        let conversation = env.open(&ada).await;
        env.clock.advance(10);
        assert_eq!(delete(&env, &ada, &format!("{LIST}/{conversation}")).await.status, 204);
    }
    for (query, field) in [
        ("?deleted=true&archived=true", "archived"),
        ("?deleted=true&pinned=false", "pinned"),
        ("?deleted=1", "deleted"),
        ("?pinned=yes", "pinned"),
    ] {
        let answer = get(&env, &ada, format!("{LIST}{query}")).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"), "{query}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{query}");
    }
    let page = get(&env, &ada, format!("{LIST}?deleted=true&limit=2")).await.json();
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let rest = get(&env, &ada, format!("{LIST}?deleted=true&limit=2&cursor={cursor}")).await.json();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    let at = |item: &Value| serde_json::from_value::<Timestamp>(item["deleted_at"].clone()).unwrap();
    let times: Vec<_> = page["items"].as_array().unwrap().iter().chain([&rest["items"][0]]).map(at).collect();
    assert!(times.is_sorted_by(|one, other| one > other), "{times:?}");
    for query in ["", "?pinned=true"] {
        let separator = if query.is_empty() { '?' } else { '&' };
        let answer = get(&env, &ada, format!("{LIST}{query}{separator}cursor={cursor}")).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"), "{query}");
    }
}

#[tokio::test]
async fn export_has_deleted_conversations_with_their_messages() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let (live, gone) = (env.open(&ada).await, env.open(&ada).await);
    for conversation in [live, gone] {
        deliver(&env, &ada, conversation, 0).await;
    }
    assert_eq!(delete(&env, &ada, &format!("{LIST}/{gone}")).await.status, 204);
    let answer = get(&env, &ada, "/api/v1/users/me/export").await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str, field: &str| -> Vec<Value> {
        lines.iter().filter(|line| line["type"] == kind).map(|line| line[field].clone()).collect()
    };
    assert_eq!(of("conversation", "id"), [json!(live), json!(gone)]);
    assert_eq!(of("conversation", "deleted_at"), [Value::Null, json!(env.clock.now())]);
    assert_eq!(of("message", "conversation_id"), [json!(live), json!(live), json!(gone), json!(gone)]);
}
