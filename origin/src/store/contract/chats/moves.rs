//! Conversations that are given to another user.

use shared::api::internal::TurnDelivery;

use super::{OTHER, OWNER, Store, all, lifecycle::undelete, open};
use crate::store::{
    chats::ConversationsPage,
    contract::{
        at_once,
        samples::{at, delivery, id},
    },
};

async fn count(store: &Store, user: u32) -> usize {
    let page = ConversationsPage { archived: None, pinned: None, after: None, limit: 100 };
    store.conversations(id(user), page).await.unwrap().len()
}

pub(in crate::store::contract) async fn moved_conversations_are_the_other_users_with_their_turns(
    store: Store,
) {
    let mut conversation = open(&store, 50).await;
    store.record_turn(delivery(id(OWNER), conversation.id, 1, 1)).await.unwrap().unwrap();
    open(&store, 51).await;
    let messages = all(&store, conversation.id).await;
    conversation = store.conversation(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!(store.move_conversations(id(OWNER), id(OTHER), 10).await.unwrap(), 2);
    assert_eq!(store.move_conversations(id(OWNER), id(OTHER), 10).await.unwrap(), 0);
    assert_eq!([count(&store, OWNER).await, count(&store, OTHER).await], [0, 2]);
    assert_eq!(store.conversation(id(OWNER), conversation.id).await.unwrap(), None);
    assert_eq!(store.conversation(id(OTHER), conversation.id).await.unwrap().as_ref(), Some(&conversation));
    assert_eq!(store.turn(id(OWNER), id(100_001)).await.unwrap(), None);
    let turn = store.turn(id(OTHER), id(100_001)).await.unwrap().unwrap();
    assert_eq!(turn.messages.iter().cloned().collect::<Vec<_>>(), messages);
    assert!(store.context(id(OTHER), conversation.id, None).await.unwrap().is_some());

    let late = delivery(id(OWNER), conversation.id, 2, 3);
    assert_eq!(store.record_turn(late.clone()).await.unwrap(), None);
    let late = TurnDelivery { user_id: id(OTHER), ..late };
    assert_eq!(store.record_turn(late).await.unwrap(), Some(4));
}

pub(in crate::store::contract) async fn move_goes_on_where_it_stopped(store: Store) {
    for number in 50..55 {
        open(&store, number).await;
    }
    let gone = open(&store, 55).await;
    assert!(store.delete_conversation(id(OWNER), gone.id, at(500)).await.unwrap());
    let mut left = 6;
    while left > 0 {
        let moved = store.move_conversations(id(OWNER), id(OTHER), 2).await.unwrap();
        assert!((1..=2).contains(&moved), "{moved}");
        left -= moved;
        // Deleted ones, of which there is one, are the last.
        assert_eq!(count(&store, OWNER).await as u64, left.saturating_sub(1));
    }
    assert_eq!(store.move_conversations(id(OWNER), id(OTHER), 2).await.unwrap(), 0);
    assert_eq!(count(&store, OTHER).await, 5);
    // A deleted one can be brought back by the other user, and by nobody else.
    assert_eq!(undelete(&store, OWNER, gone.id).await, None);
    assert_eq!(undelete(&store, OTHER, gone.id).await.map(|found| found.title), Some(gone.title));
}

pub(in crate::store::contract) async fn moved_conversations_are_changes_of_the_other_user(store: Store) {
    let conversation = open(&store, 50).await;
    assert_eq!(store.changes(id(OTHER), 0, 10, at(60_000)).await.unwrap(), []);
    assert_eq!(store.changes(id(OWNER), 0, 10, at(60_000)).await.unwrap().len(), 1);
    store.move_conversations(id(OWNER), id(OTHER), 10).await.unwrap();
    let changes = store.changes(id(OTHER), 0, 10, at(61_000)).await.unwrap();
    let ids: Vec<_> = changes.iter().map(|change| (change.position, change.conversation_id)).collect();
    assert_eq!(ids, [(1, conversation.id)]);
    assert_eq!(changes[0].conversation.as_ref(), Some(&conversation));
}

pub(in crate::store::contract) async fn turns_recorded_during_a_move_are_not_lost(store: Store) {
    let conversation = open(&store, 50).await.id;
    at_once(9, |number| {
        let (store, number) = (store.clone(), u32::try_from(number).unwrap());
        async move {
            if number == 4 {
                store.move_conversations(id(OWNER), id(OTHER), 10).await.unwrap();
                return;
            }
            let turn = delivery(id(OWNER), conversation, number + 1, 1 + 2 * u64::from(number));
            if store.record_turn(turn.clone()).await.unwrap().is_none() {
                let turn = TurnDelivery { user_id: id(OTHER), ..turn };
                store.record_turn(turn).await.unwrap().unwrap();
            }
        }
    })
    .await;
    let found = store.conversation(id(OTHER), conversation).await.unwrap().unwrap();
    for number in (1..=9).filter(|number| *number != 5) {
        assert!(store.turn(id(OTHER), id(100_000 + number)).await.unwrap().is_some(), "{number}");
    }
    assert!(found.message_count >= 16, "{}", found.message_count);
}
