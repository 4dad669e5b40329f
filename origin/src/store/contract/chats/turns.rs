//! Turns, their messages, and the context that follows from them.

use std::sync::Arc;

use shared::api::{
    chat::{FinishReason, Message, Part, Role, ToolCall, TurnCode, TurnError, TurnKind, TurnStatus},
    error::ErrorCode,
    internal::CONTEXT_MESSAGES,
    page::Order,
};

use super::{OWNER, Store, all, arrived, open, paged, places};
use crate::store::contract::{
    at_once,
    samples::{at, delivery, id, question_of},
};

pub(in crate::store::contract) async fn names_of_a_newer_version_are_kept(store: Store) {
    let conversation = open(&store, 10).await;
    let mut turn = delivery(id(OWNER), conversation.id, 1, 1);
    let status = TurnStatus::parse("paused_by_the_model").unwrap();
    turn.status = status;
    turn.kind = TurnKind::parse("imagine").unwrap();
    turn.error =
        Some(TurnError { code: TurnCode::parse("out_of_patience").unwrap(), detail: "Enough".to_owned() });
    question_of(&mut turn).role = Role::parse("moderator").unwrap();
    turn.messages.answer_mut().status = status;
    turn.messages.answer_mut().finish_reason = FinishReason::parse("had_enough");
    assert_eq!(store.record_turn(turn.clone()).await.unwrap(), Some(2));
    let stored = store.turn(id(OWNER), turn.turn_id).await.unwrap().unwrap();
    assert_eq!((stored.kind, &stored.messages, &stored.error), (turn.kind, &turn.messages, &turn.error));
    assert_eq!(all(&store, conversation.id).await, turn.messages.into_vec());
}

pub(in crate::store::contract) async fn turn_is_read_back_as_written(store: Store) {
    let conversation = open(&store, 10).await;
    let mut turn = delivery(id(OWNER), conversation.id, 1, 1);
    turn.status = TurnStatus::Failed;
    turn.error =
        Some(TurnError { code: ErrorCode::ProviderTimeout.into(), detail: "Too slow 🐌".to_owned() });
    question_of(&mut turn).parts = vec![
        Part::Text { text: "question ".to_owned() },
        Part::Image { mime_type: Some("image/png".to_owned()), data: Some("AAAA".to_owned()), file_id: None },
        Part::Text { text: "1".to_owned() },
    ];
    let answer = turn.messages.answer_mut();
    answer.status = TurnStatus::Failed;
    answer.content = String::new();
    answer.parts = Vec::new();
    answer.usage = None;
    answer.finish_reason = None;
    answer.tool_calls = vec![ToolCall {
        id: "call-1".to_owned(),
        name: "weather".to_owned(),
        arguments: serde_json::json!({"city": "Zürich", "days": [1, 2.5, null]}),
        result: Some(serde_json::json!({"sky": "blue"})),
        error: None,
        started_at: at(3),
        duration_ms: Some(12),
    }];
    assert_eq!(store.record_turn(turn.clone()).await.unwrap(), Some(2));
    let stored = store.turn(id(OWNER), turn.turn_id).await.unwrap().unwrap();
    assert_eq!(stored.messages, turn.messages);
    assert_eq!((stored.last_event_id, stored.finished_at, stored.error), (17, turn.finished_at, turn.error));
    assert_eq!((stored.kind, stored.usage, stored.created_at), (turn.kind, turn.usage, turn.created_at));
    assert_eq!(all(&store, conversation.id).await, turn.messages.into_vec());
    // An answer without words leaves the question as what was said last.
    let after = store.conversation(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!(after.last_message_preview.as_deref(), Some("question 1"));
}

pub(in crate::store::contract) async fn messages_come_by_seq_both_ways(store: Store) {
    let conversation = open(&store, 10).await;
    for number in 1..=3 {
        store
            .record_turn(delivery(id(OWNER), conversation.id, number, u64::from(2 * number - 1)))
            .await
            .unwrap();
    }
    let seqs = |messages: Vec<Message>| messages.iter().map(|message| message.seq).collect::<Vec<_>>();
    assert_eq!(seqs(paged(&store, conversation.id, Order::Asc, None, 4).await), [1, 2, 3, 4]);
    assert_eq!(seqs(paged(&store, conversation.id, Order::Desc, None, 2).await), [6, 5]);
    store.record_turn(delivery(id(OWNER), conversation.id, 4, 7)).await.unwrap();
    assert_eq!(seqs(paged(&store, conversation.id, Order::Asc, Some(4), 4).await), [5, 6, 7, 8]);
    assert_eq!(seqs(paged(&store, conversation.id, Order::Desc, Some(5), 9).await), [4, 3, 2, 1]);
    assert!(paged(&store, conversation.id, Order::Asc, Some(8), 9).await.is_empty());
    assert!(paged(&store, conversation.id, Order::Desc, Some(1), 9).await.is_empty());
    assert!(paged(&store, conversation.id, Order::Asc, Some(u64::MAX), 9).await.is_empty());
}

pub(in crate::store::contract) async fn repeated_delivery_is_stored_once(store: Store) {
    let conversation = open(&store, 10).await;
    let turn = delivery(id(OWNER), conversation.id, 1, 1);
    let highest = at_once(10, |_| {
        let (store, turn) = (Arc::clone(&store), turn.clone());
        async move { store.record_turn(turn).await.unwrap() }
    })
    .await;
    assert!(highest.iter().all(|seq| *seq == Some(2)), "{highest:?}");
    assert_eq!(all(&store, conversation.id).await, turn.messages.clone().into_vec());
    let after = store.conversation(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!(after.message_count, 2);
    assert_eq!(after.last_message_preview.as_deref(), Some("answer 1"));
    assert_eq!(after.last_message_at, Some(turn.messages.answer().created_at));
    assert_eq!(after.updated_at, turn.finished_at);
}

pub(in crate::store::contract) async fn delivery_with_taken_seq_goes_to_end(store: Store) {
    let conversation = open(&store, 10).await;
    store.record_turn(delivery(id(OWNER), conversation.id, 1, 1)).await.unwrap();
    let second = delivery(id(OWNER), conversation.id, 2, 2);
    for _ in 0..2 {
        assert_eq!(store.record_turn(second.clone()).await.unwrap(), Some(4));
    }
    let expected = [(1, "question 1"), (2, "answer 1"), (3, "question 2"), (4, "answer 2")];
    assert_eq!(places(&all(&store, conversation.id).await), expected);
    // A delivery that names no place at all gets one, too.
    assert_eq!(store.record_turn(delivery(id(OWNER), conversation.id, 3, 0)).await.unwrap(), Some(6));
    let stored = store.turn(id(OWNER), second.turn_id).await.unwrap().unwrap();
    assert_eq!((stored.messages.first().seq, stored.messages.answer().seq), (3, 4));
}

pub(in crate::store::contract) async fn deliveries_at_once_all_find_a_place(store: Store) {
    let conversation = open(&store, 10).await;
    at_once(16, |index| {
        let (store, conversation) = (Arc::clone(&store), conversation.id);
        async move {
            let number = u32::try_from(index).unwrap() + 1;
            store.record_turn(delivery(id(OWNER), conversation, number, 1)).await.unwrap().unwrap()
        }
    })
    .await;
    // The tree is arbitrary when they arrive before those that they follow.
    let messages = arrived(&store, conversation.id).await;
    let seqs: Vec<_> = messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=32).collect::<Vec<_>>());
    for number in 1..=16 {
        let place = |text: String| messages.iter().find(|message| message.content == text).unwrap().seq;
        assert!(place(format!("question {number}")) < place(format!("answer {number}")));
    }
    let after = store.conversation(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!(after.message_count, 32);
}

pub(in crate::store::contract) async fn late_delivery_keeps_newer_state(store: Store) {
    let conversation = open(&store, 10).await;
    let early = delivery(id(OWNER), conversation.id, 1, 1);
    let late = delivery(id(OWNER), conversation.id, 2, 3);
    assert_eq!(store.record_turn(late.clone()).await.unwrap(), Some(4));
    assert_eq!(store.record_turn(early).await.unwrap(), Some(4));
    let after = store.conversation(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!(after.message_count, 4);
    assert_eq!(after.last_message_preview.as_deref(), Some("answer 2"));
    assert_eq!(after.last_message_at, Some(late.messages.answer().created_at));
    assert_eq!(after.updated_at, late.finished_at);
    let expected = [(1, "question 1"), (2, "answer 1"), (3, "question 2"), (4, "answer 2")];
    assert_eq!(places(&all(&store, conversation.id).await), expected);
}

pub(in crate::store::contract) async fn id_of_other_conversation_is_a_conflict(store: Store) {
    let first = open(&store, 10).await;
    let second = open(&store, 11).await;
    store.record_turn(delivery(id(OWNER), first.id, 1, 1)).await.unwrap();
    let error = store.record_turn(delivery(id(OWNER), second.id, 1, 1)).await.unwrap_err();
    assert_eq!(error.kind(), "conflict");
    assert!(all(&store, second.id).await.is_empty());
    assert_eq!(store.conversation(id(OWNER), second.id).await.unwrap(), Some(second));
}

pub(in crate::store::contract) async fn context_has_newest_messages_in_order(store: Store) {
    let conversation = open(&store, 10).await;
    let empty = store.context(id(OWNER), conversation.id, None).await.unwrap().unwrap();
    assert_eq!((empty.last_seq, empty.messages.len()), (0, 0));
    assert_eq!((empty.model, empty.system), (conversation.model.clone(), conversation.system.clone()));
    let turns = u32::try_from(CONTEXT_MESSAGES).unwrap() / 2 + 1;
    for number in 1..=turns {
        store
            .record_turn(delivery(id(OWNER), conversation.id, number, u64::from(2 * number - 1)))
            .await
            .unwrap();
    }
    let context = store.context(id(OWNER), conversation.id, None).await.unwrap().unwrap();
    assert_eq!(context.messages, all(&store, conversation.id).await[2..]);
    assert_eq!((context.conversation_id, context.last_seq), (conversation.id, u64::from(2 * turns)));
}
