//! Tests of lists read after a write, which show it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use edgechat_tests::{client::Phone, test_env::TestEnv};
use reqwest::Method;
use serde_json::json;
use shared::{
    api::{chat::Conversation, page::Page},
    id::Id,
};

use super::{Store, world_with};

const USERS: usize = 3;
const READERS: usize = 3;
const WRITES: u64 = 60;
const KILLS: usize = 10;

/// The number in the title of the conversation in the list.
async fn listed(phone: &Phone, conversation: Id) -> Option<u64> {
    let reply = phone.client.get("/api/v1/chat/conversations").send().await.expect_status(200);
    let page: Page<Conversation> = reply.json();
    let found = page.items.into_iter().find(|listed| listed.id == conversation)?;
    found.title.and_then(|title| title.parse().ok())
}

/// Runs one user: a writer counts upwards in a title, and readers never see less than was acknowledged before their request.
/// In the end the conversation is deleted, and no list has it.
async fn counts(phone: Phone) {
    let body = json!({ "title": "0" });
    let made = phone.client.post("/api/v1/chat/conversations").json(&body).send().await.expect_status(201);
    let conversation = made.json::<Conversation>().id;
    let (acknowledged, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..READERS {
        let (phone, acknowledged, done) = (phone.clone(), Arc::clone(&acknowledged), Arc::clone(&done));
        readers.spawn(async move {
            while !done.load(Ordering::SeqCst) {
                let at_least = acknowledged.load(Ordering::SeqCst);
                let seen = listed(&phone, conversation).await.expect("the conversation is in the list");
                assert!(seen >= at_least, "{seen} is listed after {at_least} was acknowledged");
            }
        });
    }
    let path = format!("/api/v1/chat/conversations/{conversation}");
    for number in 1..=WRITES {
        let body = json!({ "title": number.to_string() });
        let _ = phone.client.ask(Method::PATCH, &path).json(&body).send().await.expect_status(200);
        acknowledged.store(number, Ordering::SeqCst);
        assert_eq!(listed(&phone, conversation).await, Some(number));
    }
    done.store(true, Ordering::SeqCst);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
    let _ = phone.client.ask(Method::DELETE, &path).send().await.expect_status(204);
    assert_eq!(listed(&phone, conversation).await, None);
}

async fn users(env: &TestEnv) -> tokio::task::JoinSet<()> {
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..USERS {
        users.spawn(counts(env.phone().await));
    }
    users
}

#[tokio::test]
async fn list_after_write_shows_it() {
    let (env, _redis) = world_with(Store::Redis).await;
    let mut users = users(&env).await;
    while let Some(user) = users.join_next().await {
        user.unwrap();
    }
}

#[tokio::test]
async fn list_after_write_shows_it_while_redis_dies() {
    let (env, mut redis) = world_with(Store::Redis).await;
    let mut users = users(&env).await;
    for kill in 0..KILLS {
        if kill % 2 == 0 {
            redis.kill().await;
            env.phone().await.conversation().await;
            redis.start().await;
        } else {
            redis.suspend().await;
            env.phone().await.conversation().await;
            redis.resume().await;
        }
    }
    while let Some(user) = users.join_next().await {
        user.unwrap();
    }
}

#[tokio::test]
async fn turn_moves_conversation_to_top_of_list() {
    let (env, _redis) = world_with(Store::Redis).await;
    let phone = env.phone().await;
    let (one, other) = (phone.conversation().await, phone.conversation().await);
    for (turn, conversation) in [one, other, one, one, other].into_iter().enumerate() {
        let sent = phone.send_and_persist(conversation, &format!("turn {turn}")).await;
        let reply = phone.client.get("/api/v1/chat/conversations").send().await.expect_status(200);
        let page: Page<Conversation> = reply.json();
        assert_eq!(page.items[0].id, conversation);
        assert_eq!(
            page.items[0].last_message_preview.as_deref(),
            Some(sent.assistant_message.content.as_str())
        );
        assert_eq!(page.items[0].message_count, sent.assistant_message.seq);
    }
}
