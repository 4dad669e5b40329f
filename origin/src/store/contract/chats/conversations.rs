//! Conversations: what is read back, lists, updates, deletion.

use shared::api::{
    chat::{Conversation, UpdateConversation},
    page::Order,
};

use super::{OTHER, OWNER, Store, all, ids, listed, open};
use crate::store::{
    chats::{ActivityPosition, ConversationsPage, MessagesPage, Scope, Updated},
    contract::samples::{START, at, conversation, delivery, id, updated},
};

pub(in crate::store::contract) async fn conversation_is_read_back_as_written(store: Store) {
    store.ping().await.unwrap();
    let full = open(&store, 10).await;
    assert_eq!(store.conversation(id(OWNER), full.id).await.unwrap(), Some(full));
    let bare = Conversation { title: None, model: None, system: None, ..conversation(11, START) };
    store.create_conversation(id(OWNER), bare.clone()).await.unwrap();
    assert_eq!(store.conversation(id(OWNER), bare.id).await.unwrap(), Some(bare));
}

pub(in crate::store::contract) async fn creating_again_changes_nothing(store: Store) {
    let first = open(&store, 10).await;
    let again = Conversation { title: Some("Other".to_owned()), ..first.clone() };
    store.create_conversation(id(OWNER), again.clone()).await.unwrap();
    assert_eq!(store.conversation(id(OWNER), first.id).await.unwrap(), Some(first));
    let error = store.create_conversation(id(OTHER), again).await.unwrap_err();
    assert_eq!(error.kind(), "conflict");
}

pub(in crate::store::contract) async fn somebody_elses_is_absent(store: Store) {
    let theirs = open(&store, 10).await;
    let turn = delivery(id(OWNER), theirs.id, 1, 1);
    store.record_turn(turn.clone()).await.unwrap().unwrap();
    for (user, conversation) in [(id(OTHER), theirs.id), (id(OWNER), id(999))] {
        assert!(store.conversation(user, conversation).await.unwrap().is_none());
        let update = UpdateConversation { pinned: Some(true), ..UpdateConversation::default() };
        let outcome = store.update_conversation(user, conversation, update, at(5)).await.unwrap();
        assert_eq!(outcome, Updated::Absent);
        let page = MessagesPage { scope: Scope::Shown, order: Order::Asc, after: None, limit: 10 };
        assert!(store.messages(user, conversation, page).await.unwrap().is_none());
        assert!(store.context(user, conversation, None).await.unwrap().is_none());
        assert!(store.record_turn(delivery(user, conversation, 2, 3)).await.unwrap().is_none());
        assert!(!store.delete_conversation(user, conversation, at(500)).await.unwrap());
    }
    assert!(store.turn(id(OTHER), turn.turn_id).await.unwrap().is_none());
    assert!(store.turn(id(OWNER), id(999)).await.unwrap().is_none());
    let page = ConversationsPage { archived: None, pinned: None, after: None, limit: 10 };
    assert!(store.conversations(id(OTHER), page).await.unwrap().is_empty());
    assert_eq!(all(&store, theirs.id).await.len(), 2);
}

pub(in crate::store::contract) async fn update_changes_only_named_fields(store: Store) {
    let first = open(&store, 10).await;
    let update = UpdateConversation {
        title: Some(None),
        pinned: Some(true),
        system: Some(Some("New".to_owned())),
        ..UpdateConversation::default()
    };
    let expected = Conversation {
        title: None,
        pinned: true,
        system: Some("New".to_owned()),
        updated_at: at(777),
        ..first.clone()
    };
    for _ in 0..2 {
        let changed = store.update_conversation(id(OWNER), first.id, update.clone(), at(777)).await.unwrap();
        assert_eq!(updated(changed), Some(expected.clone()));
    }
    assert_eq!(store.conversation(id(OWNER), first.id).await.unwrap(), Some(expected.clone()));
    let nothing = UpdateConversation::default();
    let unchanged = store.update_conversation(id(OWNER), first.id, nothing, at(700)).await.unwrap();
    assert_eq!(updated(unchanged), Some(expected));
}

pub(in crate::store::contract) async fn conversations_come_by_activity(store: Store) {
    let oldest = open(&store, 10).await;
    let newest = open(&store, 11).await;
    // As old as `newest`, with a smaller id.
    let twin = Conversation { id: id(5), ..newest.clone() };
    store.create_conversation(id(OWNER), twin.clone()).await.unwrap();
    assert_eq!(ids(&listed(&store, None, None, 10).await), [newest.id, twin.id, oldest.id]);
    let pin = UpdateConversation { pinned: Some(true), ..UpdateConversation::default() };
    store.update_conversation(id(OWNER), twin.id, pin, at(90_000)).await.unwrap();
    assert_eq!(ids(&listed(&store, None, None, 10).await), [newest.id, twin.id, oldest.id]);
    store.record_turn(delivery(id(OWNER), oldest.id, 1, 1)).await.unwrap();
    assert_eq!(ids(&listed(&store, None, None, 10).await), [oldest.id, newest.id, twin.id]);
}

pub(in crate::store::contract) async fn next_page_after_insert_continues_at_cursor(store: Store) {
    for number in 10..17 {
        // Pairs share their time, so that pages end within a tie, too.
        let conversation = conversation(number, at(i64::from(number / 2)));
        store.create_conversation(id(OWNER), conversation).await.unwrap();
    }
    let expected: Vec<_> = (10..17).rev().map(id).collect();
    let (mut seen, mut after) = (Vec::new(), None);
    for round in 0_u32.. {
        let page = listed(&store, None, after, 2).await;
        let Some(last) = page.last() else { break };
        after = Some(ActivityPosition::of(last));
        seen.extend(ids(&page));
        store.create_conversation(id(OWNER), conversation(100 + round, at(1_000))).await.unwrap();
    }
    assert_eq!(seen, expected);
}

pub(in crate::store::contract) async fn archived_conversations_can_be_filtered(store: Store) {
    for number in 10..14 {
        open(&store, number).await;
    }
    let archive = UpdateConversation { archived: Some(true), ..UpdateConversation::default() };
    for number in [11, 12] {
        store.update_conversation(id(OWNER), id(number), archive.clone(), at(50)).await.unwrap();
    }
    assert_eq!(ids(&listed(&store, Some(true), None, 10).await), [id(12), id(11)]);
    assert_eq!(ids(&listed(&store, Some(false), None, 10).await), [id(13), id(10)]);
    assert_eq!(listed(&store, None, None, 10).await.len(), 4);
    let first = listed(&store, Some(true), None, 1).await;
    let rest = listed(&store, Some(true), first.last().map(ActivityPosition::of), 1).await;
    assert_eq!(ids(&rest), [id(11)]);
}

pub(in crate::store::contract) async fn deleting_takes_everything(store: Store) {
    let first = open(&store, 10).await;
    let other = open(&store, 11).await;
    let turn = delivery(id(OWNER), first.id, 1, 1);
    store.record_turn(turn.clone()).await.unwrap();
    store.record_turn(delivery(id(OWNER), other.id, 2, 1)).await.unwrap();
    assert!(store.delete_conversation(id(OWNER), first.id, at(500)).await.unwrap());
    assert!(!store.delete_conversation(id(OWNER), first.id, at(500)).await.unwrap());
    assert!(store.conversation(id(OWNER), first.id).await.unwrap().is_none());
    assert!(store.turn(id(OWNER), turn.turn_id).await.unwrap().is_none());
    assert_eq!(store.record_turn(turn).await.unwrap(), None);
    // A delayed repetition restores nothing.
    store.create_conversation(id(OWNER), first).await.unwrap();
    assert_eq!(ids(&listed(&store, None, None, 10).await), [other.id]);
    assert_eq!(all(&store, other.id).await.len(), 2);
}
