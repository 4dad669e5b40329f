//! Tests of crashes between any two steps, and of the repair by the next operation.

use std::{future::Future, sync::Arc};

use mongodb::bson::doc;
use shared::{
    api::{internal::TurnDelivery, page::Order},
    id::Id,
    time::DAY_MS,
};

use super::{
    bounded, eventually,
    proxy::Flow,
    test_env::{TestEnv, USER, after_each_step},
};
use crate::store::{
    chats::{Chats as _, MessagesPage, Scope},
    contract::samples::{at, delivery, delivery_after, id},
    mongo::{MongoChats, queries::CHANGES},
};

impl TestEnv {
    /// Repeats a turn, the second of its conversation, and checks that all of it is stored, once and in order.
    async fn is_completed(&self, turn: &TurnDelivery, before: u64) {
        let highest = eventually(|| self.store.record_turn(turn.clone())).await;
        assert_eq!(highest, Some(4));
        let page = MessagesPage { scope: Scope::Shown, order: Order::Asc, after: None, limit: 100 };
        let messages = self.beside.messages(id(USER), turn.conversation_id, page).await.unwrap().unwrap();
        let places: Vec<_> =
            messages.items.iter().map(|message| (message.seq, message.content.as_str())).collect();
        let expected = [(1, "question 10"), (2, "answer 10"), (3, "question 20"), (4, "answer 20")];
        assert_eq!(places, expected);
        let stored = self.beside.turn(id(USER), turn.turn_id).await.unwrap().unwrap();
        assert_eq!((stored.messages.first().seq, stored.messages.answer().seq), (3, 4));
        let now = self.beside.conversation(id(USER), turn.conversation_id).await.unwrap().unwrap();
        assert_eq!((now.message_count, now.last_message_preview.as_deref()), (4, Some("answer 20")));
        let listed = self.beside.changes(id(USER), before, 10, at(0)).await.unwrap();
        assert_eq!(listed.last().map(|change| change.conversation.as_ref()), Some(Some(&now)));
    }

    /// Deletes a conversation so that it can be brought back.
    async fn delete(&self, conversation: Id) {
        assert!(self.beside.delete_conversation(id(USER), conversation, at(500)).await.unwrap());
    }

    /// The words of a conversation's messages in the order of arrival.
    async fn words(&self, conversation: Id) -> Vec<String> {
        let page = MessagesPage { scope: Scope::Arrived, order: Order::Asc, after: None, limit: 100 };
        let found = self.beside.messages(id(USER), conversation, page).await.unwrap().unwrap();
        found.items.into_iter().map(|message| message.content).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn interrupted_turn_is_completed_by_repetition() {
    after_each_step(4, |steps| async move {
        let env = TestEnv::new().await;
        let conversation = env.open(10).await;
        let before = env.beside.changes(id(USER), 0, 10, at(0)).await.unwrap();
        let turn = delivery(id(USER), conversation, 20, 3);
        let is_done = env.broken_off(steps, env.store.record_turn(turn.clone())).await;
        env.is_completed(&turn, before[0].position).await;
        is_done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn interrupted_turn_with_taken_seq_is_completed_by_repetition() {
    after_each_step(8, |steps| async move {
        let env = TestEnv::new().await;
        let conversation = env.open(10).await;
        let before = env.beside.changes(id(USER), 0, 10, at(0)).await.unwrap();
        let turn = delivery(id(USER), conversation, 20, 1);
        let is_done = env.broken_off(steps, env.store.record_turn(turn.clone())).await;
        env.is_completed(&turn, before[0].position).await;
        is_done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn interrupted_purge_is_completed_by_repetition() {
    after_each_step(6, |steps| async move {
        let env = TestEnv::new().await;
        let conversation = env.open(10).await;
        env.delete(conversation).await;
        // Messages go first; the rest has few enough steps.
        assert_eq!(env.beside.purge_conversations(at(500), 10).await.unwrap(), 2);
        let purge = async |store: &MongoChats| {
            while store.purge_conversations(at(500), 10).await? > 0 {}
            Ok(())
        };
        let is_done = env.broken_off(steps, purge(&env.store)).await;
        eventually(|| purge(&env.store)).await;
        assert_eq!(env.stored(conversation).await, 0);
        let back = env.beside.undelete_conversation(id(USER), conversation, at(0), at(900)).await.unwrap();
        assert_eq!(back, None);
        is_done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn interrupted_deletion_for_good_is_completed_by_read_of_changes() {
    after_each_step(5, |steps| async move {
        let env = TestEnv::new().await;
        let conversation = env.open(10).await;
        let before = env.beside.changes(id(USER), 0, 10, at(0)).await.unwrap();
        let is_done = env.broken_off(steps, env.store.delete_conversations(id(USER), 10)).await;
        let listed = eventually(|| env.store.changes(id(USER), before[0].position, 10, at(0))).await;
        if listed.is_empty() {
            // The contents go before the conversation, which the next call finds.
            assert!(env.beside.conversation(id(USER), conversation).await.unwrap().is_some());
            assert_eq!(env.beside.delete_conversations(id(USER), 10).await.unwrap(), 1);
        } else {
            assert_eq!((listed.len(), listed[0].conversation.as_ref()), (1, None));
        }
        assert_eq!(env.stored(conversation).await, 0);
        is_done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn interrupted_deletion_of_message_is_completed_by_whoever_comes_next() {
    after_each_step(10, |steps| async move {
        let env = TestEnv::new().await;
        let conversation = env.open(10).await;
        let second = delivery_after(Some(id(101)), id(USER), conversation, 20, 3);
        env.beside.record_turn(second.clone()).await.unwrap().unwrap();
        let deletion = env.store.delete_message(id(USER), conversation, id(200), at(60_000));
        let is_done = env.broken_off(steps, deletion).await;
        let now = env.beside.conversation(id(USER), conversation).await.unwrap().unwrap();
        let is_deleted = now.messages_deleted_at.is_some();
        assert_eq!(now.head_id, Some(if is_deleted { id(101) } else { id(201) }));
        match steps % 5 {
            0 => assert!(env.beside.changes(id(USER), 0, 10, at(0)).await.unwrap().len() == 1),
            1 => {
                let recorded = env.beside.record_turn(second.clone()).await.unwrap();
                assert_eq!(recorded, if is_deleted { None } else { Some(4) });
            }
            2 => {
                let turn = env.beside.turn(id(USER), second.turn_id).await.unwrap();
                assert_eq!(turn.is_none(), is_deleted);
            }
            3 => {
                let stats = env.beside.stats(id(USER)).await.unwrap();
                assert_eq!(stats.messages, if is_deleted { 2 } else { 4 });
            }
            _ => {}
        }
        let all = ["question 10", "answer 10", "question 20", "answer 20"];
        assert_eq!(env.words(conversation).await, all[..if is_deleted { 2 } else { 4 }]);
        // Two messages and a turn for each that is left.
        assert_eq!(env.stored(conversation).await, if is_deleted { 3 } else { 6 });
        is_done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn interrupted_read_of_changes_loses_none() {
    after_each_step(6, |steps| async move {
        let env = TestEnv::new().await;
        let first = env.open(10).await;
        let before = env.beside.changes(id(USER), 0, 10, at(0)).await.unwrap();
        assert_eq!((before.len(), before[0].conversation_id), (1, first));
        let kept = env.open(11).await;
        let deleted = env.open(12).await;
        env.delete(deleted).await;
        let look = || env.store.changes(id(USER), before[0].position, 10, at(0));
        let is_done = env.broken_off(steps, look()).await;
        let listed = eventually(look).await;
        let mut ids: Vec<_> = listed.iter().map(|change| change.conversation_id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [kept, deleted]);
        for change in &listed {
            assert_eq!(change.conversation.is_some(), change.conversation_id == kept);
            assert!(change.position > before[0].position);
        }
        assert_eq!(env.count(CHANGES, doc! {}).await, 3, "nothing is logged twice");
        is_done
    })
    .await;
}

/// Holds the recording of a turn, the second of its conversation, after so many steps, and lets it go on after the other work.
/// Returns the result, and true when it was done before.
async fn recorded_around(
    env: &TestEnv,
    turn: TurnDelivery,
    steps: u32,
    work: impl Future<Output = ()>,
) -> (Option<u64>, bool) {
    env.proxy.set(Flow::Held, steps);
    let recording = tokio::spawn({
        let store = Arc::clone(&env.store);
        async move { store.record_turn(turn).await }
    });
    let is_done = env.is_held_or_done(&recording).await;
    work.await;
    env.proxy.set(Flow::Open, 0);
    (bounded(recording).await.unwrap().unwrap(), is_done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turn_of_conversation_removed_meanwhile_leaves_nothing() {
    after_each_step(4, |steps| async move {
        let env = TestEnv::new().await;
        let conversation = env.open(10).await;
        let removal = async {
            assert_eq!(env.beside.delete_conversations(id(USER), 10).await.unwrap(), 1);
        };
        let turn = delivery(id(USER), conversation, 20, 3);
        let (recorded, is_done) = recorded_around(&env, turn, steps, removal).await;
        // Its last step may have been sent already.
        assert!(recorded.is_none() || recorded == Some(4) && steps >= 4, "{recorded:?}");
        assert_eq!(env.stored(conversation).await, 0);
        is_done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turn_of_conversation_deleted_meanwhile_is_there_when_it_comes_back() {
    after_each_step(4, |steps| async move {
        let env = TestEnv::new().await;
        let conversation = env.open(10).await;
        let turn = delivery(id(USER), conversation, 20, 3);
        let (recorded, is_done) = recorded_around(&env, turn, steps, env.delete(conversation)).await;
        assert!(recorded.is_none() || recorded == Some(4) && steps >= 4, "{recorded:?}");
        let back = env.beside.undelete_conversation(id(USER), conversation, at(0), at(900)).await.unwrap();
        assert_eq!(back.map(|back| back.message_count), Some(4));
        let expected = ["question 10", "answer 10", "question 20", "answer 20"];
        assert_eq!(env.words(conversation).await, expected);
        is_done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turn_below_message_deleted_meanwhile_leaves_nothing() {
    after_each_step(4, |steps| async move {
        let env = TestEnv::new().await;
        let conversation = env.open(10).await;
        let deletion = async {
            let deletion = env.beside.delete_message(id(USER), conversation, id(101), at(60_000));
            assert!(deletion.await.unwrap());
        };
        let turn = delivery_after(Some(id(101)), id(USER), conversation, 20, 3);
        let (recorded, is_done) = recorded_around(&env, turn, steps, deletion).await;
        assert!(recorded.is_none() || recorded == Some(4) && steps >= 4, "{recorded:?}");
        assert_eq!(env.words(conversation).await, ["question 10"]);
        // A turn without its answer is none.
        assert_eq!(env.stored(conversation).await, 1);
        let now = env.beside.conversation(id(USER), conversation).await.unwrap().unwrap();
        assert_eq!(now.head_id, Some(id(100)));
        assert_eq!(env.beside.stats(id(USER)).await.unwrap().messages, 1);
        is_done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn write_between_steps_of_read_reaches_every_follower() {
    after_each_step(6, |steps| async move {
        let env = TestEnv::new().await;
        let conversation = env.open(10).await;
        env.proxy.set(Flow::Held, steps);
        let looking = tokio::spawn({
            let store = Arc::clone(&env.store);
            async move { store.changes(id(USER), 0, 10, at(0)).await }
        });
        let is_done = env.is_held_or_done(&looking).await;
        // Another follower reads, then the write happens, then the first read continues.
        let listed = env.beside.changes(id(USER), 0, 10, at(0)).await.unwrap();
        assert_eq!(listed.len(), 1);
        env.beside.record_turn(delivery(id(USER), conversation, 20, 3)).await.unwrap().unwrap();
        env.proxy.set(Flow::Open, 0);
        bounded(looking).await.unwrap().unwrap();
        let now = env.beside.conversation(id(USER), conversation).await.unwrap();
        let listed = env.beside.changes(id(USER), listed[0].position, 10, at(0)).await.unwrap();
        assert_eq!(listed.last().map(|change| &change.conversation), Some(&now));
        is_done
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn superseded_entries_are_removed_after_one_day() {
    let env = TestEnv::new().await;
    let other = env.open(10).await;
    let changed = env.open(11).await;
    let look = |millis| env.store.changes(id(USER), 0, 100, at(millis));
    look(0).await.unwrap();
    let mut places = Vec::new();
    for round in 0..3_u32 {
        env.store.record_turn(delivery(id(USER), changed, 20 + round, 1)).await.unwrap().unwrap();
        places.push(look(i64::from(round)).await.unwrap().last().unwrap().position);
    }
    assert_eq!(env.count(CHANGES, doc! {}).await, 5);
    env.store.record_turn(delivery(id(USER), changed, 30, 1)).await.unwrap().unwrap();
    let listed = look(DAY_MS + 2).await.unwrap();
    // Entries a day old are removed: the first of the conversation and those of two rounds.
    assert_eq!(env.count(CHANGES, doc! {}).await, 3);
    let ids: Vec<_> = listed.iter().map(|change| change.conversation_id).collect();
    assert_eq!(ids, [other, changed]);
    assert!(
        listed
            .iter()
            .all(|change| Some(&change.position) >= places.last() || change.conversation_id == other)
    );
}
