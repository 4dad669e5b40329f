//! Counts over all conversations of a user.

use shared::api::chat::{ChatStats, Role, ToolCall, UpdateConversation};

use super::{OTHER, OWNER, Store, lifecycle::undelete, open};
use crate::store::contract::samples::{START, at, conversation, delivery, id, updated};

async fn stats(store: &Store) -> ChatStats {
    let counted = store.stats(id(OWNER)).await.unwrap();
    // Counted again, it is the same.
    assert_eq!(store.stats(id(OWNER)).await.unwrap(), counted);
    counted
}

/// So many conversations with so many turns of the samples, from the first of these to the last.
fn expected(conversations: u64, turns: u64, first: i64, last: i64) -> ChatStats {
    ChatStats {
        conversations,
        messages: 2 * turns,
        user_messages: turns,
        assistant_messages: turns,
        tool_calls: 0,
        input_tokens: 11 * turns,
        output_tokens: 22 * turns,
        first_message_at: Some(at(1_000 * first)),
        last_message_at: Some(at(1_000 * last + 1)),
    }
}

pub(in crate::store::contract) async fn counts_of_nothing_are_zero(store: Store) {
    assert_eq!(stats(&store).await, ChatStats::default());
    open(&store, 10).await;
    assert_eq!(stats(&store).await, ChatStats { conversations: 1, ..ChatStats::default() });
}

pub(in crate::store::contract) async fn counts_are_those_of_what_is_there(store: Store) {
    let (first, second) = (open(&store, 10).await.id, open(&store, 11).await.id);
    store.create_conversation(id(OTHER), conversation(20, START)).await.unwrap();
    store.record_turn(delivery(id(OTHER), id(20), 20, 1)).await.unwrap().unwrap();
    for number in 1..=3 {
        let turn = delivery(id(OWNER), first, number, u64::from(2 * number - 1));
        for _ in 0..2 {
            store.record_turn(turn.clone()).await.unwrap().unwrap();
        }
    }
    store.record_turn(delivery(id(OWNER), second, 7, 1)).await.unwrap().unwrap();
    assert_eq!(stats(&store).await, expected(2, 4, 1, 7));
    let archive = UpdateConversation { archived: Some(true), ..UpdateConversation::default() };
    assert!(updated(store.update_conversation(id(OWNER), second, archive, at(50)).await.unwrap()).is_some());
    assert_eq!(stats(&store).await, expected(2, 4, 1, 7));

    // A question with an answer that calls two tools, the result of one of them, and the answer after it.
    let mut tools = delivery(id(OWNER), first, 4, 7);
    let (question, answer) = (tools.messages.first().clone(), tools.messages.answer().clone());
    let call = |n: u32| ToolCall {
        id: format!("call-{n}"),
        name: "weather".to_owned(),
        arguments: serde_json::json!({}),
        result: None,
        error: None,
        started_at: at(4_100),
        duration_ms: None,
    };
    let mut calls = answer.clone();
    (calls.id, calls.siblings, calls.tool_calls) = (id(501), vec![id(501)], vec![call(1), call(2)]);
    let mut result = answer.clone();
    (result.id, result.siblings, result.tool_calls) = (id(502), vec![id(502)], vec![call(1)]);
    (result.role, result.usage, result.parent_id, result.seq) = (Role::Tool, None, Some(calls.id), 9);
    let mut last = answer;
    (last.parent_id, last.seq, last.created_at) = (Some(result.id), 10, at(9_000));
    tools.messages = shared::api::internal::TurnMessages::new(vec![question, calls, result, last]).unwrap();
    assert_eq!(tools.check(), Ok(()));
    store.record_turn(tools).await.unwrap().unwrap();
    let with_tools = ChatStats {
        conversations: 2,
        messages: 12,
        user_messages: 5,
        assistant_messages: 6,
        tool_calls: 2,
        input_tokens: 66,
        output_tokens: 132,
        first_message_at: Some(at(1_000)),
        last_message_at: Some(at(9_000)),
    };
    assert_eq!(stats(&store).await, with_tools);

    assert!(store.delete_message(id(OWNER), first, id(40), at(9_500)).await.unwrap());
    assert_eq!(stats(&store).await, expected(2, 4, 1, 7));
    assert!(store.delete_message(id(OWNER), first, id(20), at(9_600)).await.unwrap());
    assert_eq!(stats(&store).await, expected(2, 2, 1, 7));
    assert!(store.delete_conversation(id(OWNER), second, at(9_700)).await.unwrap());
    assert_eq!(stats(&store).await, expected(1, 1, 1, 1));
    let _ = undelete(&store, OWNER, second).await.unwrap();
    assert_eq!(stats(&store).await, expected(2, 2, 1, 7));
    store.move_conversations(id(OWNER), id(OTHER), 10).await.unwrap();
    assert_eq!(stats(&store).await, ChatStats::default());
    assert_eq!(store.stats(id(OTHER)).await.unwrap(), expected(3, 3, 1, 20));
}
