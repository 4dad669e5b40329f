//! All conversations of a user at once, for users who are deleted.

use std::sync::Arc;

use super::{OTHER, OWNER, Store, all, listed, open};
use crate::store::contract::{
    at_once,
    samples::{at, conversation, delivery, id},
};

async fn delete_all(store: &Store) -> Vec<u64> {
    let mut gone = Vec::new();
    loop {
        match store.delete_conversations(id(OWNER), 2).await.unwrap() {
            0 => return gone,
            some => gone.push(some),
        }
    }
}

async fn forget(store: &Store) -> u64 {
    let mut gone = 0;
    loop {
        match store.forget_user(id(OWNER), 2).await.unwrap() {
            0 => return gone,
            some => gone += some,
        }
    }
}

/// Three conversations of the owner with a turn each, and one of somebody else.
async fn fill(store: &Store) {
    for number in 10..13 {
        open(store, number).await;
        let turn = delivery(id(OWNER), id(number), number, 1);
        assert_eq!(store.record_turn(turn).await.unwrap(), Some(2));
    }
    store.create_conversation(id(OTHER), conversation(20, at(20))).await.unwrap();
    assert_eq!(store.record_turn(delivery(id(OTHER), id(20), 20, 1)).await.unwrap(), Some(2));
}

async fn assert_nothing_is_visible(store: &Store) {
    assert_eq!(listed(store, None, None, 10).await, []);
    for number in 10..13 {
        assert!(store.conversation(id(OWNER), id(number)).await.unwrap().is_none());
        assert!(store.turn(id(OWNER), id(100_000 + number)).await.unwrap().is_none());
        assert!(store.context(id(OWNER), id(number), None).await.unwrap().is_none());
    }
    assert!(store.turn(id(OTHER), id(100_020)).await.unwrap().is_some());
}

pub(in crate::store::contract) async fn deleted_conversations_of_a_user_are_gone_with_everything(
    store: Store,
) {
    fill(&store).await;
    assert_eq!(delete_all(&store).await, [2, 1]);
    assert_nothing_is_visible(&store).await;
    for number in 10..13 {
        let late = delivery(id(OWNER), id(number), number, 1);
        assert_eq!(store.record_turn(late).await.unwrap(), None);
        store.create_conversation(id(OWNER), conversation(number, at(1))).await.unwrap();
    }
    assert_nothing_is_visible(&store).await;
    let changes = store.changes(id(OWNER), 0, 10, at(0)).await.unwrap();
    assert!(changes.len() == 3 && changes.iter().all(|change| change.conversation.is_none()), "{changes:?}");
}

pub(in crate::store::contract) async fn forgotten_user_leaves_nothing_and_late_delivery_adds_nothing(
    store: Store,
) {
    fill(&store).await;
    let _ = store.changes(id(OWNER), 0, 10, at(0)).await.unwrap();
    delete_all(&store).await;
    // One that was opened by a request that was under way during the deletion.
    open(&store, 13).await;
    store.record_turn(delivery(id(OWNER), id(13), 13, 1)).await.unwrap();
    assert!(forget(&store).await > 3);
    assert_eq!(forget(&store).await, 0);
    assert_eq!(store.changes(id(OWNER), 0, 10, at(0)).await.unwrap(), []);
    at_once(8, |index| {
        let store = Arc::clone(&store);
        let number = 10 + u32::try_from(index % 4).unwrap();
        async move {
            let late = delivery(id(OWNER), id(number), number, 1);
            assert_eq!(store.record_turn(late).await.unwrap(), None);
        }
    })
    .await;
    assert_eq!(store.changes(id(OWNER), 0, 10, at(0)).await.unwrap(), []);
    // Whatever those deliveries had stored would be of these conversations.
    for number in 10..14 {
        open(&store, number).await;
        assert_eq!(all(&store, id(number)).await, []);
        assert!(store.turn(id(OWNER), id(100_000 + number)).await.unwrap().is_none());
    }
    assert!(store.conversation(id(OTHER), id(20)).await.unwrap().is_some());
    assert!(store.turn(id(OTHER), id(100_020)).await.unwrap().is_some());
}
