//! Tests of conversations that are deleted and brought back, of messages that are deleted, and of counts over both.

use edgechat_tests::{
    client::{Phone, messages_path, turn_path},
    provider::script::Script,
    test_env::TestEnv,
    wait::{BOUND, until},
};
use reqwest::Method;
use serde_json::json;
use shared::{
    api::{
        ErrorCode,
        chat::{ChatStats, Conversation, TurnStatus},
        page::Page,
        sync::SyncPage,
    },
    id::Id,
    provider::ContentPart,
};

const LIST: &str = "/api/v1/chat/conversations";

fn path(conversation: Id) -> String {
    format!("{LIST}/{conversation}")
}

async fn listed(phone: &Phone, query: &str) -> Vec<Id> {
    let page: Page<Conversation> =
        phone.client.get(&format!("{LIST}{query}")).send().await.expect_status(200).json();
    page.items.into_iter().map(|conversation| conversation.id).collect()
}

async fn undelete(phone: &Phone, conversation: Id) -> Conversation {
    phone.client.post(&format!("{}/undelete", path(conversation))).send().await.expect_status(200).json()
}

async fn delete_message(phone: &Phone, conversation: Id, message: Id) {
    let path = format!("{}/{message}", messages_path(conversation));
    let _ = phone.client.ask(Method::DELETE, &path).send().await.expect_status(204);
}

async fn stats(phone: &Phone) -> ChatStats {
    phone.client.get("/api/v1/chat/stats").send().await.expect_status(200).json()
}

async fn words(phone: &Phone, conversation: Id) -> Vec<String> {
    phone.messages(conversation).await.into_iter().map(|message| message.content).collect()
}

/// The texts of the model's last prompt.
fn last_prompt(env: &TestEnv) -> Vec<String> {
    let last = env.provider.received().pop().unwrap();
    let parts = last.request.messages.into_iter().flat_map(|message| message.parts);
    let text = |part| match part {
        ContentPart::Text(text) => text,
        ContentPart::InlineImage { .. } => "[image]".to_owned(),
    };
    parts.map(text).collect()
}

#[tokio::test]
async fn conversation_brought_back_goes_on_where_it_was() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let (conversation, other) = (phone.conversation().await, phone.conversation().await);
    env.provider.will(Script::pieces(["First."]));
    let first = phone.send_and_persist(conversation, "One").await;
    let before = stats(&phone).await;
    assert_eq!((before.conversations, before.messages), (2, 2));
    let _ = phone.client.ask(Method::DELETE, &path(conversation)).send().await.expect_status(204);
    assert_eq!(listed(&phone, "").await, [other]);
    assert_eq!(listed(&phone, "?deleted=true").await, [conversation]);
    let refused = phone.message(conversation, &json!({ "content": "Two" })).send().await;
    refused.problem(ErrorCode::NotFound);
    phone.client.get(&turn_path(first.turn_id)).send().await.problem(ErrorCode::NotFound);
    assert_eq!(stats(&phone).await.messages, 0);
    let sync: SyncPage = phone.client.get("/api/v1/sync").send().await.expect_status(200).json();
    let deleted: Vec<_> = sync.items.iter().filter(|item| item.deleted).map(|item| item.id).collect();
    assert_eq!(deleted, [conversation]);

    assert_eq!(undelete(&phone, conversation).await.deleted_at, None);
    let next = format!("/api/v1/sync?cursor={}", sync.next_cursor);
    let sync: SyncPage = phone.client.get(&next).send().await.expect_status(200).json();
    assert_eq!(
        sync.items.iter().map(|item| (item.id, item.deleted)).collect::<Vec<_>>(),
        [(conversation, false)]
    );
    assert_eq!(stats(&phone).await, before);
    env.provider.will(Script::pieces(["Second."]));
    let second = phone.send_and_persist(conversation, "Two").await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Two"]);
    assert_eq!(second.user_message.unwrap().parent_id, Some(first.assistant_message.id));
    assert_eq!(words(&phone, conversation).await, ["One", "First.", "Two", "Second."]);
}

#[tokio::test]
async fn turn_stopped_by_deletion_is_there_when_the_conversation_comes_back() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
    call.send_text("Once ").await.unwrap();
    assert_eq!(stream.expect("turn.started").await.id, 1);
    assert_eq!(stream.delta().await, "Once ");
    let _ = phone.client.ask(Method::DELETE, &path(conversation)).send().await.expect_status(204);
    let messages = until(BOUND, "the stopped turn is stored", || async {
        let _ = undelete(&phone, conversation).await;
        Some(phone.messages(conversation).await).filter(|messages| messages.len() == 2)
    })
    .await;
    assert_eq!((messages[1].status, messages[1].content.as_str()), (TurnStatus::Cancelled, "Once "));
}

#[tokio::test]
async fn model_gets_no_deleted_message() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let send = async |env: &TestEnv, text: &str, answer: &str| {
        env.provider.will(Script::pieces([answer]));
        phone.send_and_persist(conversation, text).await
    };
    let first = send(&env, "One", "First.").await;
    let second = send(&env, "Two", "Second.").await;
    delete_message(&phone, conversation, second.user_message.unwrap().id).await;
    assert_eq!(words(&phone, conversation).await, ["One", "First."]);
    let third = send(&env, "Three", "Third.").await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Three"]);
    let question = third.user_message.unwrap();
    assert_eq!((question.parent_id, question.seq), (Some(first.assistant_message.id), 5));
    // Also with the context fetched from the origin.
    env.kill_workerd().await;
    env.start_workerd_without_objects().await;
    send(&env, "Four", "Fourth.").await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Three", "Third.", "Four"]);
    assert_eq!((stats(&phone).await.messages, phone.usage().await.totals.messages), (6, 4));
}

#[tokio::test]
async fn answer_below_deleted_message_is_dropped_and_counted() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::pieces(["First."]));
    let first = phone.send_and_persist(conversation, "One").await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Two"), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    delete_message(&phone, conversation, first.assistant_message.id).await;
    call.send_text("Second.").await.unwrap();
    call.stop().await.unwrap();
    assert_eq!(stream.rest().await.last().unwrap().kind, "turn.completed");
    phone.persisted(turn).await;
    assert_eq!(words(&phone, conversation).await, ["One"]);
    assert_eq!(phone.usage().await.totals.messages, 2);
    env.provider.will(Script::pieces(["Third."]));
    phone.send_and_persist(conversation, "Three").await;
    assert_eq!(words(&phone, conversation).await, ["One", "Three", "Third."]);
    // The model never sees what was dropped.
    assert_eq!(last_prompt(&env), ["One", "Three"]);
}
