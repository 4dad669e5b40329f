//! Tests of branches: a message after an earlier parent begins a branch, and the model gets the branch that is shown.

use edgechat_tests::{
    client::{Phone, content, messages_path},
    provider::script::Script,
    test_env::TestEnv,
};
use reqwest::Method;
use serde_json::json;
use shared::{
    api::{
        ErrorCode,
        chat::{Conversation, Message, SentMessage, TurnStatus},
        page::Page,
    },
    chat::place::CONTINUE,
    id::Id,
    provider::ContentPart,
};

fn path(conversation: Id) -> String {
    format!("/api/v1/chat/conversations/{conversation}")
}

/// Sets the conversation's head to this message.
async fn choose(phone: &Phone, conversation: Id, message: Id) -> Conversation {
    let choice = phone.client.ask(Method::PATCH, &path(conversation)).json(&json!({ "head_id": message }));
    choice.send().await.expect_status(200).json()
}

async fn conversation_of(phone: &Phone, conversation: Id) -> Conversation {
    phone.client.get(&path(conversation)).send().await.expect_status(200).json()
}

async fn arrived(phone: &Phone, conversation: Id) -> Vec<Message> {
    let path = format!("{}?after_seq=0&limit=100", messages_path(conversation));
    phone.client.get(&path).send().await.expect_status(200).json::<Page<Message>>().items
}

fn words(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.content.as_str()).collect()
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
async fn message_after_earlier_parent_sends_only_its_branch() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let send = async |env: &TestEnv, text: &str, answer: &str| {
        env.provider.will(Script::pieces([answer]));
        phone.send_and_persist(conversation, text).await
    };
    let first = send(&env, "One", "First.").await;
    let second = send(&env, "Two", "Second.").await;
    assert_eq!(conversation_of(&phone, conversation).await.head_id, Some(second.assistant_message.id));

    assert_eq!(
        choose(&phone, conversation, first.assistant_message.id).await.head_id,
        Some(first.assistant_message.id)
    );
    assert_eq!(words(&phone.messages(conversation).await), ["One", "First."]);
    let other = send(&env, "Three", "Third.").await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Three"]);
    let question = other.user_message.unwrap();
    assert_eq!((question.parent_id, question.seq), (Some(first.assistant_message.id), 5));
    assert_eq!(question.siblings, [second.user_message.as_ref().unwrap().id, question.id]);
    let shown = phone.messages(conversation).await;
    assert_eq!(words(&shown), ["One", "First.", "Three", "Third."]);
    assert_eq!((&shown[2], &shown[3]), (&question, &other.assistant_message));
    assert_eq!(
        words(&arrived(&phone, conversation).await),
        ["One", "First.", "Two", "Second.", "Three", "Third."]
    );

    // Back on the first branch, with the context cached and fetched from the origin.
    choose(&phone, conversation, second.assistant_message.id).await;
    for (text, answer, forgets) in [("Four", "Fourth.", false), ("Five", "Fifth.", true)] {
        if forgets {
            env.kill_workerd().await;
            env.start_workerd_without_objects().await;
        }
        let sent = send(&env, text, answer).await;
        assert_eq!(sent.status, TurnStatus::Completed);
        assert_eq!(conversation_of(&phone, conversation).await.head_id, Some(sent.assistant_message.id));
    }
    assert_eq!(last_prompt(&env), ["One", "First.", "Two", "Second.", "Four", "Fourth.", "Five"]);
    let shown = phone.messages(conversation).await;
    assert_eq!(words(&shown), ["One", "First.", "Two", "Second.", "Four", "Fourth.", "Five", "Fifth."]);
    assert_eq!(shown[2].siblings, question.siblings);
    assert_eq!(conversation_of(&phone, conversation).await.message_count, 10);
}

#[tokio::test]
async fn head_set_during_turn_is_kept() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::pieces(["First."]));
    let first = phone.send_and_persist(conversation, "One").await;
    env.provider.will(Script::pieces(["Second."]));
    phone.send_and_persist(conversation, "Two").await;

    let upcoming = env.provider.hand_over();
    let asked = phone.message(conversation, &content("Three"));
    let meanwhile = async {
        let mut call = upcoming.arrives().await;
        call.send_text("Third.").await.unwrap();
        choose(&phone, conversation, first.assistant_message.id).await;
        call.stop().await.unwrap();
    };
    let (reply, ()) = tokio::join!(asked.send(), meanwhile);
    let third = reply.expect_status(201).json::<shared::api::chat::SentMessage>();
    assert_eq!(third.assistant_message.content, "Third.");
    phone.persisted(third.turn_id).await;
    // Nothing is lost, and the branch that the user chose is shown.
    assert_eq!(words(&phone.messages(conversation).await), ["One", "First."]);
    assert_eq!(
        words(&arrived(&phone, conversation).await),
        ["One", "First.", "Two", "Second.", "Three", "Third."]
    );
    env.provider.will(Script::pieces(["Fourth."]));
    phone.send_and_persist(conversation, "Four").await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Four"]);
    assert_eq!(words(&phone.messages(conversation).await), ["One", "First.", "Four", "Fourth."]);
    // The other branch is shown when the user chooses it.
    choose(&phone, conversation, third.assistant_message.id).await;
    assert_eq!(
        words(&phone.messages(conversation).await),
        ["One", "First.", "Two", "Second.", "Three", "Third."]
    );
}

#[tokio::test]
async fn branch_continues_during_origin_outage() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::pieces(["First."]));
    let first = phone.send_and_persist(conversation, "One").await;
    env.provider.will(Script::pieces(["Second."]));
    phone.send_and_persist(conversation, "Two").await;
    choose(&phone, conversation, first.assistant_message.id).await;
    env.provider.will(Script::pieces(["Third."]));
    phone.send_and_persist(conversation, "Three").await;

    env.kill_origin().await;
    let mut turns = Vec::new();
    for (text, answer) in [("Four", "Fourth."), ("Five", "Fifth.")] {
        env.provider.will(Script::pieces([answer]));
        let sent = phone.send_message(conversation, text).await;
        assert!(!sent.persisted);
        turns.push(sent.turn_id);
    }
    assert_eq!(last_prompt(&env), ["One", "First.", "Three", "Third.", "Four", "Fourth.", "Five"]);
    env.start_origin().await;
    for turn in turns {
        phone.persisted(turn).await;
    }
    let shown = phone.messages(conversation).await;
    assert_eq!(words(&shown), ["One", "First.", "Three", "Third.", "Four", "Fourth.", "Five", "Fifth."]);
    assert_eq!(conversation_of(&phone, conversation).await.head_id, shown.last().map(|last| last.id));
}

#[tokio::test]
async fn head_outside_conversation_is_refused() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let (here, other) = (phone.conversation().await, phone.conversation().await);
    let sent = phone.send_and_persist(other, "Hello").await;
    for wrong in [sent.assistant_message.id, other] {
        let choice = phone.client.ask(Method::PATCH, &path(here)).json(&json!({ "head_id": wrong }));
        let problem = choice.send().await.problem(ErrorCode::ValidationFailed);
        assert_eq!(problem.errors[0].field, "head_id");
    }
    let others = env.phone().await;
    let choice =
        others.client.ask(Method::PATCH, &path(other)).json(&json!({ "head_id": sent.assistant_message.id }));
    choice.send().await.problem(ErrorCode::NotFound);
    assert_eq!(conversation_of(&phone, here).await.head_id, None);
}

fn message_path(conversation: Id, message: Id) -> String {
    format!("{}/{message}", messages_path(conversation))
}

async fn regenerate(phone: &Phone, conversation: Id, message: Id) -> SentMessage {
    let path = format!("{}/regenerate", message_path(conversation, message));
    phone.client.post(&path).send().await.expect_status(201).json()
}

async fn edit(phone: &Phone, conversation: Id, message: Id, text: &str) -> SentMessage {
    let edit = phone.client.ask(Method::PUT, &message_path(conversation, message)).json(&content(text));
    edit.send().await.expect_status(201).json()
}

#[tokio::test]
async fn regenerated_and_edited_messages_are_branches() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::pieces(["First."]));
    let first = phone.send_and_persist(conversation, "One").await;
    env.provider.will(Script::pieces(["Second."]));
    let second = phone.send_and_persist(conversation, "Two").await;

    env.provider.will(Script::pieces(["Other."]));
    let again = regenerate(&phone, conversation, second.assistant_message.id).await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Two"]);
    let answers = vec![second.assistant_message.id, again.assistant_message.id];
    assert_eq!((again.user_message, again.assistant_message.siblings), (None, answers.clone()));
    phone.persisted(again.turn_id).await;
    let shown = phone.messages(conversation).await;
    assert_eq!(words(&shown), ["One", "First.", "Two", "Other."]);
    assert_eq!(shown[3].siblings, answers);
    env.provider.will(Script::pieces(["Third."]));
    phone.send_and_persist(conversation, "Three").await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Two", "Other.", "Three"]);

    let question = first.user_message.unwrap();
    env.provider.will(Script::pieces(["New."]));
    let edited = edit(&phone, conversation, question.id, "Uno").await;
    assert_eq!(last_prompt(&env), ["Uno"]);
    phone.persisted(edited.turn_id).await;
    let shown = phone.messages(conversation).await;
    assert_eq!((words(&shown), shown[0].siblings.len()), (vec!["Uno", "New."], 2));

    // A message of a branch that is hidden, with the origin's path to it; then the cached context is right.
    env.provider.will(Script::pieces(["Thrice."]));
    let hidden = regenerate(&phone, conversation, second.assistant_message.id).await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Two"]);
    phone.persisted(hidden.turn_id).await;
    env.kill_origin().await;
    env.provider.will(Script::pieces(["Fourth."]));
    let last = phone.send_message(conversation, "Four").await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Two", "Thrice.", "Four"]);
    // The answer that was just given, which the origin does not have.
    env.provider.will(Script::pieces(["Fifth."]));
    let again = regenerate(&phone, conversation, last.assistant_message.id).await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Two", "Thrice.", "Four"]);
    env.kill_workerd().await;
    env.start_origin().await;
    env.start_workerd().await;
    phone.persisted(again.turn_id).await;
    let shown = phone.messages(conversation).await;
    assert_eq!(words(&shown), ["One", "First.", "Two", "Thrice.", "Four", "Fifth."]);
    env.provider.will(Script::pieces(["Sixth."]));
    phone.send_and_persist(conversation, "Five").await;
    assert_eq!(last_prompt(&env), ["One", "First.", "Two", "Thrice.", "Four", "Fifth.", "Five"]);
}

#[tokio::test]
async fn stopped_answer_is_continued() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "One"), upcoming.arrives());
    call.send_text("Once upon ").await.unwrap();
    let started = stream.expect("turn.started").await;
    assert_eq!(stream.delta().await, "Once upon ");
    let _ = phone.cancel(started.turn_id()).send().await.expect_status(202);
    let turn = phone.persisted(started.turn_id()).await;
    let path = format!("{}/continue", message_path(conversation, turn.assistant_message_id));
    env.provider.will(Script::pieces(["a time."]));
    let rest: SentMessage = phone.client.post(&path).key("rest").send().await.expect_status(201).json();
    assert_eq!(rest.assistant_message.parent_id, Some(turn.assistant_message_id));
    assert_eq!(last_prompt(&env), ["One", "Once upon ", CONTINUE]);
    let same: SentMessage = phone.client.post(&path).key("rest").send().await.expect_status(201).json();
    assert_eq!(same.turn_id, rest.turn_id);
    phone.persisted(rest.turn_id).await;
    assert_eq!(words(&phone.messages(conversation).await), ["One", "Once upon ", "a time."]);
    // It is whole now, and answered anew as a whole.
    let ended = format!("{}/continue", message_path(conversation, rest.assistant_message.id));
    phone.client.post(&ended).send().await.problem(ErrorCode::Conflict);
    env.provider.will(Script::pieces(["Whole."]));
    let whole = regenerate(&phone, conversation, rest.assistant_message.id).await;
    assert_eq!(last_prompt(&env), ["One"]);
    phone.persisted(whole.turn_id).await;
    assert_eq!(words(&phone.messages(conversation).await), ["One", "Whole."]);
}

#[tokio::test]
async fn message_of_another_conversation_is_not_found() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let (here, there) = (phone.conversation().await, phone.conversation().await);
    let sent = phone.send_and_persist(there, "Hello").await;
    phone.send_and_persist(here, "Hello").await;
    for wrong in [sent.assistant_message.id, there] {
        let path = message_path(here, wrong);
        phone.client.post(&format!("{path}/regenerate")).send().await.problem(ErrorCode::NotFound);
        phone.client.post(&format!("{path}/continue")).send().await.problem(ErrorCode::NotFound);
        phone.client.ask(Method::PUT, &path).json(&content("Hi")).send().await.problem(ErrorCode::NotFound);
    }
    let answer = message_path(there, sent.assistant_message.id);
    phone.client.ask(Method::PUT, &answer).json(&content("Hi")).send().await.problem(ErrorCode::Conflict);
    phone
        .client
        .post(&format!("{answer}/regenerate"))
        .json(&json!({ "model": "none" }))
        .send()
        .await
        .problem(ErrorCode::ValidationFailed);
}
