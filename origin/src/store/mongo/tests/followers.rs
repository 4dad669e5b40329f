//! Tests of the cost of reading changes, and of concurrent readers.

use std::sync::Arc;

use mongodb::bson::{Document, doc};

use super::{
    bounded,
    proxy::Flow,
    test_env::{TestEnv, USER, after_each_step},
};
use crate::store::{
    chats::Chats as _,
    contract::samples::{at, conversation, id},
    mongo::{
        document::uuid,
        queries::{CHANGES, MESSAGES, TURNS},
    },
};

/// More operations than any read of the changes needs.
const MANY: u32 = 10_000;

/// Returns the operations of the first read after so many deletions that each left something behind.
async fn operations_after(deletions: u32) -> u32 {
    let env = TestEnv::new().await;
    let ids: Vec<_> = (10..10 + deletions).map(id).collect();
    for number in 10..10 + deletions {
        env.beside.create_conversation(id(USER), conversation(number, at(0))).await.unwrap();
    }
    assert_eq!(env.beside.delete_conversations(id(USER), deletions).await.unwrap(), u64::from(deletions));
    for deleted in &ids {
        for collection in [MESSAGES, TURNS] {
            let left = doc! { "conversation_id": uuid(*deleted), "seq": 1 };
            env.beside.database().collection::<Document>(collection).insert_one(left).await.unwrap();
        }
    }
    env.proxy.set(Flow::Held, MANY);
    let listed = bounded(env.store.changes(id(USER), 0, deletions, at(0))).await.unwrap();
    let operations = MANY - env.proxy.passes_left();
    assert_eq!(listed.iter().map(|change| change.conversation_id).collect::<Vec<_>>(), ids);
    for deleted in ids {
        assert_eq!(env.stored(deleted).await, 0);
    }
    operations
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn read_after_many_deletions_costs_as_much_as_after_one() {
    assert_eq!(operations_after(40).await, operations_after(1).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logged_and_still_marked_change_hides_no_other() {
    after_each_step(5, |steps| async move {
        let env = TestEnv::new().await;
        for number in 10..13 {
            env.open(number).await;
        }
        env.proxy.set(Flow::Held, steps);
        let looking = tokio::spawn({
            let store = Arc::clone(&env.store);
            async move { store.changes(id(USER), 0, 3, at(0)).await }
        });
        let is_done = env.is_held_or_done(&looking).await;
        let opened = env.open(20).await;
        // A follower with everything that is logged until now continues to the end.
        let mut place = u64::try_from(env.count(CHANGES, doc! {}).await).unwrap();
        let mut listed = Vec::new();
        loop {
            let page = env.beside.changes(id(USER), place, 3, at(0)).await.unwrap();
            listed.extend(page.iter().map(|change| change.conversation_id));
            place = page.last().map_or(place, |change| change.position);
            if page.len() < 3 {
                break;
            }
        }
        assert!(listed.contains(&opened), "{listed:?} after {steps} steps");
        env.proxy.set(Flow::Open, 0);
        bounded(looking).await.unwrap().unwrap();
        is_done
    })
    .await;
}
