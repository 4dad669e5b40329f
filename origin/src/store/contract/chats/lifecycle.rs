//! Conversations that are deleted, brought back, and purged; and pins.

use shared::{
    api::{
        chat::{Conversation, Message, UpdateConversation},
        page::Order,
    },
    id::Id,
    time::Timestamp,
};

use super::{OTHER, OWNER, Store, all, ids, listed, open};
use crate::store::{
    Chats,
    chats::{ActivityPosition, ConversationsPage, DeletedPage, DeletionPosition, MessagesPage, Scope},
    contract::samples::{START, at, conversation, delivery, id, updated},
};

/// Purges what was deleted by then. Returns how much went in each step.
pub(super) async fn purge(store: &dyn Chats, before: Timestamp) -> Vec<u64> {
    let mut steps = Vec::new();
    loop {
        match store.purge_conversations(before, 3).await.unwrap() {
            0 => return steps,
            gone => steps.push(gone),
        }
    }
}

/// Brings a conversation back, whenever it was deleted.
pub(super) async fn undelete(store: &Store, user: u32, conversation: Id) -> Option<Conversation> {
    store.undelete_conversation(id(user), conversation, START, at(900)).await.unwrap()
}

async fn delete(store: &Store, conversation: Id, millis: i64) {
    assert!(store.delete_conversation(id(OWNER), conversation, at(millis)).await.unwrap());
}

async fn deleted(
    store: &Store,
    since: Timestamp,
    after: Option<DeletionPosition>,
    limit: u32,
) -> Vec<Conversation> {
    store.deleted_conversations(id(OWNER), DeletedPage { since, after, limit }).await.unwrap()
}

async fn kept_messages(store: &Store, conversation: Id) -> Option<Vec<Message>> {
    let page = MessagesPage { scope: Scope::Kept, order: Order::Asc, after: None, limit: 100 };
    store.messages(id(OWNER), conversation, page).await.unwrap().map(|found| found.items)
}

pub(in crate::store::contract) async fn deleted_conversation_is_listed_and_comes_back_with_everything(
    store: Store,
) {
    let first = open(&store, 10).await;
    let turn = delivery(id(OWNER), first.id, 1, 1);
    store.record_turn(turn.clone()).await.unwrap().unwrap();
    let before = store.conversation(id(OWNER), first.id).await.unwrap().unwrap();
    let messages = all(&store, first.id).await;
    delete(&store, first.id, 500).await;
    let gone = Conversation { deleted_at: Some(at(500)), ..before.clone() };
    assert_eq!(deleted(&store, START, None, 10).await, std::slice::from_ref(&gone));
    assert_eq!(kept_messages(&store, first.id).await, Some(messages.clone()));
    for scope in [Scope::Shown, Scope::Arrived] {
        let page = MessagesPage { scope, order: Order::Asc, after: None, limit: 10 };
        assert_eq!(store.messages(id(OWNER), first.id, page).await.unwrap(), None);
    }
    assert!(store.context(id(OWNER), first.id, None).await.unwrap().is_none());
    assert!(store.turn(id(OWNER), turn.turn_id).await.unwrap().is_none());

    for user in [OTHER, 3] {
        assert_eq!(undelete(&store, user, first.id).await, None);
    }
    let back = Conversation { updated_at: gone.updated_at.max(at(900)), ..before };
    for _ in 0..2 {
        assert_eq!(undelete(&store, OWNER, first.id).await, Some(back.clone()));
    }
    assert_eq!(listed(&store, None, None, 10).await, [back]);
    assert_eq!(all(&store, first.id).await, messages);
    assert!(store.turn(id(OWNER), turn.turn_id).await.unwrap().is_some());
    assert_eq!(deleted(&store, START, None, 10).await, []);
    let next = delivery(id(OWNER), first.id, 2, 3);
    assert_eq!(store.record_turn(next).await.unwrap(), Some(4));
    assert_eq!(undelete(&store, OWNER, id(99)).await, None);
}

pub(in crate::store::contract) async fn conversation_deleted_too_long_ago_stays_deleted(store: Store) {
    let first = open(&store, 10).await;
    delete(&store, first.id, 500).await;
    assert_eq!(store.undelete_conversation(id(OWNER), first.id, at(500), at(900)).await.unwrap(), None);
    assert_eq!(deleted(&store, at(500), None, 10).await, []);
    assert_eq!(deleted(&store, at(499), None, 10).await.len(), 1);
    let back = store.undelete_conversation(id(OWNER), first.id, at(499), at(900)).await.unwrap();
    assert_eq!(back.map(|back| back.deleted_at), Some(None));
}

pub(in crate::store::contract) async fn deleted_conversations_come_by_deletion(store: Store) {
    for number in 10..15 {
        open(&store, number).await;
    }
    // The last two are deleted at once.
    for (number, millis) in [(12, 300), (10, 100), (11, 200), (13, 400), (14, 400)] {
        delete(&store, id(number), millis).await;
    }
    open(&store, 15).await;
    let expected = [14, 13, 12, 11, 10].map(id);
    assert_eq!(ids(&deleted(&store, START, None, 10).await), expected);
    assert_eq!(ids(&deleted(&store, at(100), None, 10).await), expected[..4]);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = deleted(&store, START, after, 2).await;
        let Some(last) = page.last() else { break };
        after = Some(DeletionPosition::of(last));
        seen.extend(ids(&page));
    }
    assert_eq!(seen, expected);
    assert_eq!(purge(store.as_ref(), at(200)).await, [1, 1]);
    assert_eq!(ids(&deleted(&store, START, None, 10).await), expected[..3]);
}

pub(in crate::store::contract) async fn turn_recorded_in_deleted_conversation_is_there_when_it_comes_back(
    store: Store,
) {
    let first = open(&store, 10).await;
    delete(&store, first.id, 500).await;
    let changes = store.changes(id(OWNER), 0, 10, at(0)).await.unwrap();
    let turn = delivery(id(OWNER), first.id, 1, 1);
    for _ in 0..2 {
        assert_eq!(store.record_turn(turn.clone()).await.unwrap(), None);
    }
    // That is no change, and visible nowhere.
    assert_eq!(store.changes(id(OWNER), 0, 10, at(0)).await.unwrap(), changes);
    assert!(store.turn(id(OWNER), turn.turn_id).await.unwrap().is_none());
    assert_eq!(listed(&store, None, None, 10).await, []);
    let back = undelete(&store, OWNER, first.id).await.unwrap();
    assert_eq!((back.message_count, back.head_id), (2, Some(turn.head_id)));
    assert_eq!(all(&store, first.id).await, turn.messages.clone().into_vec());
    assert_eq!(store.record_turn(turn).await.unwrap(), Some(2));
    let later = store.changes(id(OWNER), changes.last().unwrap().position, 10, at(0)).await.unwrap();
    assert_eq!(later.last().unwrap().conversation, store.conversation(id(OWNER), first.id).await.unwrap());
}

pub(in crate::store::contract) async fn purge_removes_what_was_deleted_by_then_in_steps(store: Store) {
    let (first, later, live) = (open(&store, 10).await, open(&store, 11).await, open(&store, 12).await);
    for number in 1..=3 {
        let turn = delivery(id(OWNER), first.id, number, u64::from(2 * number - 1));
        store.record_turn(turn).await.unwrap().unwrap();
    }
    store.record_turn(delivery(id(OWNER), later.id, 11, 1)).await.unwrap().unwrap();
    store.record_turn(delivery(id(OWNER), live.id, 12, 1)).await.unwrap().unwrap();
    assert!(store.delete_message(id(OWNER), first.id, id(31), at(400)).await.unwrap());
    delete(&store, first.id, 500).await;
    delete(&store, later.id, 501).await;
    let changes = store.changes(id(OWNER), 0, 10, at(0)).await.unwrap();
    let steps = purge(store.as_ref(), at(500)).await;
    // Five messages, two turns, the deleted message, and the conversation; three at most in a step.
    assert!(steps.iter().all(|gone| *gone <= 3), "{steps:?}");
    assert_eq!(steps.iter().sum::<u64>(), 9, "{steps:?}");
    assert_eq!(kept_messages(&store, first.id).await, None);
    assert_eq!(undelete(&store, OWNER, first.id).await, None);
    assert_eq!(ids(&deleted(&store, START, None, 10).await), [later.id]);
    assert_eq!(kept_messages(&store, later.id).await.unwrap().len(), 2);
    assert_eq!(all(&store, live.id).await.len(), 2);
    // The deletion is known for ever, and it is the only change.
    assert_eq!(store.changes(id(OWNER), 0, 10, at(0)).await.unwrap(), changes);
    store.create_conversation(id(OWNER), first.clone()).await.unwrap();
    assert_eq!(store.conversation(id(OWNER), first.id).await.unwrap(), None);
    assert_eq!(store.record_turn(delivery(id(OWNER), first.id, 4, 7)).await.unwrap(), None);
    // What is purged belongs to nobody: its messages' ids can be anybody's.
    store.create_conversation(id(OTHER), conversation(20, START)).await.unwrap();
    assert_eq!(store.record_turn(delivery(id(OTHER), id(20), 1, 1)).await.unwrap(), Some(2));
}

pub(in crate::store::contract) async fn deleted_conversation_goes_with_its_user(store: Store) {
    for number in 10..13 {
        open(&store, number).await;
        store.record_turn(delivery(id(OWNER), id(number), number, 1)).await.unwrap().unwrap();
    }
    delete(&store, id(10), 500).await;
    delete(&store, id(11), 501).await;
    let mut gone = Vec::new();
    loop {
        match store.delete_conversations(id(OWNER), 2).await.unwrap() {
            0 => break,
            some => gone.push(some),
        }
    }
    assert_eq!(gone.iter().sum::<u64>(), 3, "{gone:?}");
    assert_eq!(deleted(&store, START, None, 10).await, []);
    for number in 10..13 {
        assert_eq!(kept_messages(&store, id(number)).await, None);
        assert_eq!(undelete(&store, OWNER, id(number)).await, None);
    }
    assert!(purge(store.as_ref(), at(9_000)).await.is_empty());
    let changes = store.changes(id(OWNER), 0, 10, at(0)).await.unwrap();
    assert!(changes.len() == 3 && changes.iter().all(|change| change.conversation.is_none()), "{changes:?}");
}

pub(in crate::store::contract) async fn conversations_can_be_filtered_by_pins(store: Store) {
    for number in 10..16 {
        open(&store, number).await;
    }
    let change = async |number: u32, pinned, archived| {
        let update = UpdateConversation { pinned, archived, ..UpdateConversation::default() };
        let changed = store.update_conversation(id(OWNER), id(number), update, at(50)).await.unwrap();
        assert!(updated(changed).is_some());
    };
    change(11, Some(true), None).await;
    change(12, Some(true), Some(true)).await;
    change(13, None, Some(true)).await;
    change(14, Some(true), None).await;
    change(15, Some(true), None).await;
    delete(&store, id(15), 500).await;
    let page = async |archived, pinned, after, limit| {
        let page = ConversationsPage { archived, pinned, after, limit };
        store.conversations(id(OWNER), page).await.unwrap()
    };
    for (archived, pinned, expected) in [
        (None, Some(true), &[14, 12, 11][..]),
        (None, Some(false), &[13, 10]),
        (Some(false), Some(true), &[14, 11]),
        (Some(false), Some(false), &[10]),
        (Some(true), Some(true), &[12]),
        (Some(true), None, &[13, 12]),
        (None, None, &[14, 13, 12, 11, 10]),
    ] {
        let expected: Vec<_> = expected.iter().copied().map(id).collect();
        assert_eq!(ids(&page(archived, pinned, None, 10).await), expected, "{archived:?} {pinned:?}");
    }
    let first = page(None, Some(true), None, 1).await;
    let rest = page(None, Some(true), first.last().map(ActivityPosition::of), 10).await;
    assert_eq!(ids(&rest), [id(12), id(11)]);
}
