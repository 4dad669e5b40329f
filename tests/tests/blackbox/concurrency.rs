//! Tests of concurrent messages, which never mix.

use edgechat_tests::{
    client::{content, text_of},
    provider::{Received, Script},
    test_env::TestEnv,
};
use shared::api::{
    ErrorCode,
    chat::{SentMessage, TurnStatus},
};

#[tokio::test]
async fn second_message_during_turn_is_refused() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) =
        tokio::join!(phone.stream(conversation, "First"), async { upcoming.arrives().await });
    call.send_text("One ").await.unwrap();
    let first = stream.expect("turn.started").await.turn_id();
    stream.delta().await;

    let refused = phone.message(conversation, &content("Second")).send().await;
    refused.problem(ErrorCode::TurnRunning);
    assert!(refused.header("retry-after").is_some());
    call.send_text("only.").await.unwrap();
    call.stop().await.unwrap();
    assert_eq!(text_of(&stream.rest().await), "only.");

    env.provider.will(Script::pieces(["Two."]));
    phone.send_and_persist(conversation, "Second").await;
    phone.persisted(first).await;
    let said: Vec<_> =
        phone.messages(conversation).await.into_iter().map(|message| message.content).collect();
    assert_eq!(said, ["First", "One only.", "Second", "Two."]);
}

#[tokio::test]
async fn simultaneous_messages_start_one_turn() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let ask = |text: &str| phone.message(conversation, &content(text)).send();
    let (first, second, ()) = tokio::join!(ask("First"), ask("Second"), async {
        // Only one call arrives; it is answered after the other message was refused, which does not wait for it.
        let mut call = upcoming.arrives().await;
        call.send_text("Hello").await.unwrap();
        call.stop().await.unwrap();
    });
    // A message that arrives after the first turn ended runs after it.
    let mut ran: Vec<SentMessage> = Vec::new();
    for reply in [&first, &second] {
        match reply.status {
            201 => ran.push(reply.json()),
            _ => drop(reply.problem(ErrorCode::TurnRunning)),
        }
    }
    assert!(!ran.is_empty());
    for sent in &ran {
        assert_eq!(sent.status, TurnStatus::Completed);
        phone.persisted(sent.turn_id).await;
    }
    let messages = phone.messages(conversation).await;
    assert_eq!(messages.len(), 2 * ran.len());
    let seqs: Vec<_> = messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=messages.len() as u64).collect::<Vec<_>>());
    for pair in messages.chunks(2) {
        assert_eq!(pair[0].turn_id, pair[1].turn_id);
        assert_eq!(pair[1].parent_id, Some(pair[0].id));
    }
}

#[tokio::test]
async fn turns_of_two_conversations_run_concurrently() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let (left, right) = (phone.conversation().await, phone.conversation().await);
    let upcoming = env.provider.hand_over();
    let (mut left_stream, mut left_call) = tokio::join!(phone.stream(left, "Left"), upcoming.arrives());
    let upcoming = env.provider.hand_over();
    let (mut right_stream, mut right_call) = tokio::join!(phone.stream(right, "Right"), upcoming.arrives());
    left_stream.expect("turn.started").await;
    right_stream.expect("turn.started").await;
    for at in 0..3 {
        let (to_left, to_right) = (format!("left{at} "), format!("right{at} "));
        right_call.send_text(&to_right).await.unwrap();
        left_call.send_text(&to_left).await.unwrap();
        assert_eq!((left_stream.delta().await, right_stream.delta().await), (to_left, to_right));
    }
    right_call.stop().await.unwrap();
    left_call.stop().await.unwrap();
    let (left_rest, right_rest) = tokio::join!(left_stream.rest(), right_stream.rest());
    for end in [left_rest.last().unwrap(), right_rest.last().unwrap()] {
        assert!(end.is_terminal(), "{end:?}");
        phone.persisted(end.turn_id()).await;
    }
    assert_eq!(phone.messages(left).await[1].content, "left0 left1 left2 ");
    assert_eq!(phone.messages(right).await[1].content, "right0 right1 right2 ");
    assert_eq!(phone.usage().await.totals.requests, 2);
}

#[tokio::test]
async fn concurrent_users_get_their_own_answers() {
    const USERS: usize = 12;
    let env = TestEnv::start().await;
    let mut turns = tokio::task::JoinSet::new();
    for user in 0..USERS {
        let client = env.client();
        turns.spawn(async move {
            let phone = client.register().await;
            let conversation = phone.conversation().await;
            phone.send_and_persist(conversation, &format!("I am user {user}")).await;
            let messages = phone.messages(conversation).await;
            assert_eq!(messages.len(), 2);
            assert_eq!(messages[0].content, format!("I am user {user}"));
            assert_eq!(phone.usage().await.totals.requests, 1);
        });
    }
    while let Some(turn) = turns.join_next().await {
        turn.unwrap();
    }
    let mut prompts: Vec<_> = env.provider.received().iter().map(Received::prompt).collect();
    prompts.sort_unstable();
    prompts.dedup();
    assert_eq!(prompts.len(), USERS);
}
