//! The order of changes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use shared::{
    api::chat::{Conversation, UpdateConversation},
    id::Id,
};

use super::{OTHER, OWNER, Store, open};
use crate::store::{
    chats::{Change, Updated},
    contract::{
        at_once,
        samples::{at, conversation, delivery, id, updated},
    },
};

/// More than any case has.
const ALL: u32 = 1_000;

async fn rename(store: &Store, conversation: Id, title: &str, millis: i64) {
    let update = UpdateConversation { title: Some(Some(title.to_owned())), ..UpdateConversation::default() };
    updated(store.update_conversation(id(OWNER), conversation, update, at(millis)).await.unwrap()).unwrap();
}

async fn changes(store: &Store, after: u64, limit: u32) -> Vec<Change> {
    let changes = store.changes(id(OWNER), after, limit, at(0)).await.unwrap();
    assert!(changes.len() <= usize::try_from(limit).unwrap());
    let places: Vec<_> = changes.iter().map(|change| change.position).collect();
    assert!(places.iter().all(|place| *place > after) && places.is_sorted_by(|a, b| a < b), "{places:?}");
    changes
}

fn ids(changes: &[Change]) -> Vec<Id> {
    changes.iter().map(|change| change.conversation_id).collect()
}

fn end(changes: &[Change]) -> u64 {
    changes.last().unwrap().position
}

/// Reads from a place to the end, page by page, and keeps each conversation's last state. Returns where it ended.
async fn follow(
    store: &Store,
    mut after: u64,
    limit: u32,
    seen: &mut BTreeMap<Id, Option<Conversation>>,
) -> u64 {
    loop {
        let page = changes(store, after, limit).await;
        let Some(last) = page.last() else { return after };
        after = last.position;
        seen.extend(page.into_iter().map(|change| (change.conversation_id, change.conversation)));
    }
}

pub(in crate::store::contract) async fn change_of_any_kind_takes_later_position(store: Store) {
    assert!(changes(&store, 0, ALL).await.is_empty());
    let first = open(&store, 10).await;
    let created = changes(&store, 0, ALL).await;
    assert_eq!(ids(&created), [first.id]);
    assert_eq!(created[0].conversation.as_ref(), Some(&first));
    assert!(created[0].position >= 1);

    let mut after = end(&created);
    assert!(changes(&store, after, ALL).await.is_empty());
    rename(&store, first.id, "Renamed", 500).await;
    let renamed = changes(&store, after, ALL).await;
    assert_eq!(ids(&renamed), [first.id]);
    assert_eq!(renamed[0].conversation.as_ref().unwrap().title.as_deref(), Some("Renamed"));

    after = end(&renamed);
    store.record_turn(delivery(id(OWNER), first.id, 1, 1)).await.unwrap().unwrap();
    let delivered = changes(&store, after, ALL).await;
    assert_eq!(ids(&delivered), [first.id]);
    assert_eq!(delivered[0].conversation.as_ref().unwrap().message_count, 2);

    after = end(&delivered);
    store.record_turn(delivery(id(OWNER), first.id, 3, 5)).await.unwrap().unwrap();
    let ahead = changes(&store, after, ALL).await;
    assert_eq!(ids(&ahead), [first.id]);

    // A late delivery moves no counter, but it changes what the conversation holds.
    after = end(&ahead);
    assert_eq!(store.record_turn(delivery(id(OWNER), first.id, 2, 3)).await.unwrap(), Some(6));
    assert_eq!(ids(&changes(&store, after, ALL).await), [first.id]);
}

pub(in crate::store::contract) async fn conversation_changed_twice_is_listed_in_its_last_state(store: Store) {
    let first = open(&store, 10).await;
    let second = open(&store, 11).await;
    let before = end(&changes(&store, 0, ALL).await);
    rename(&store, first.id, "One", 500).await;
    changes(&store, before, ALL).await;
    rename(&store, second.id, "Two", 501).await;
    changes(&store, before, ALL).await;
    rename(&store, first.id, "Three", 502).await;
    for after in [0, before] {
        let listed = changes(&store, after, ALL).await;
        assert_eq!(listed.last().unwrap().conversation_id, first.id);
        for change in &listed {
            let title = change.conversation.as_ref().unwrap().title.as_deref();
            let expected = if change.conversation_id == first.id { "Three" } else { "Two" };
            assert_eq!(title, Some(expected), "of {after}");
        }
    }
    let again = changes(&store, 0, ALL).await;
    assert_eq!(again, changes(&store, 0, ALL).await);
}

pub(in crate::store::contract) async fn deletions_are_listed(store: Store) {
    let first = open(&store, 10).await;
    let second = open(&store, 11).await;
    store.record_turn(delivery(id(OWNER), first.id, 1, 1)).await.unwrap().unwrap();
    let before = end(&changes(&store, 0, ALL).await);
    assert!(store.delete_conversation(id(OWNER), first.id, at(500)).await.unwrap());
    let listed = changes(&store, before, ALL).await;
    assert_eq!(ids(&listed), [first.id]);
    assert_eq!(listed[0].conversation, None);
    // One that is created and deleted between two reads appears, too.
    let third = open(&store, 12).await;
    assert!(store.delete_conversation(id(OWNER), third.id, at(500)).await.unwrap());
    let listed = changes(&store, end(&listed), ALL).await;
    assert_eq!(ids(&listed), [third.id]);
    assert_eq!(listed[0].conversation, None);
    let mut seen = BTreeMap::new();
    follow(&store, 0, ALL, &mut seen).await;
    let expected = [(first.id, None), (second.id, Some(second)), (third.id, None)];
    assert_eq!(seen, BTreeMap::from(expected));
}

pub(in crate::store::contract) async fn changes_of_other_users_are_not_listed(store: Store) {
    let own = open(&store, 10).await;
    for number in 20..23 {
        store.create_conversation(id(OTHER), conversation(number, at(1))).await.unwrap();
    }
    store.record_turn(delivery(id(OTHER), id(20), 1, 1)).await.unwrap().unwrap();
    assert!(store.delete_conversation(id(OTHER), id(21), at(500)).await.unwrap());
    assert_eq!(ids(&changes(&store, 0, ALL).await), [own.id]);
    let listed = store.changes(id(OTHER), 0, ALL, at(0)).await.unwrap();
    let mut theirs = ids(&listed);
    theirs.sort_unstable();
    theirs.dedup();
    assert_eq!(theirs, [id(20), id(21), id(22)]);
    assert!(store.changes(id(3), 0, ALL, at(0)).await.unwrap().is_empty());
}

pub(in crate::store::contract) async fn pages_go_on_by_the_last_place(store: Store) {
    let mut expected = BTreeMap::new();
    for number in 10..33 {
        let conversation = open(&store, number).await;
        expected.insert(conversation.id, Some(conversation));
    }
    for limit in [1, 2, 7, 23, 24] {
        let mut seen = BTreeMap::new();
        follow(&store, 0, limit, &mut seen).await;
        assert_eq!(seen, expected, "by {limit}");
    }
    // A page is full as long as there is more.
    assert_eq!(changes(&store, 0, 7).await.len(), 7);
    assert!(changes(&store, 0, 0).await.is_empty());
    assert!(changes(&store, u64::MAX, ALL).await.is_empty());
    // Changes between two pages come on a later one.
    let first = changes(&store, 0, 7).await;
    let changed = first[0].conversation_id;
    rename(&store, changed, "Later", 900).await;
    let mut seen: BTreeMap<_, _> =
        first.iter().map(|change| (change.conversation_id, change.conversation.clone())).collect();
    follow(&store, end(&first), 7, &mut seen).await;
    assert_eq!(seen.len(), expected.len());
    assert_eq!(seen[&changed].as_ref().unwrap().title.as_deref(), Some("Later"));
}

pub(in crate::store::contract) async fn repeated_deletion_adds_no_change(store: Store) {
    let first = open(&store, 10).await;
    let turn = delivery(id(OWNER), first.id, 1, 1);
    store.record_turn(turn.clone()).await.unwrap().unwrap();
    assert!(store.delete_conversation(id(OWNER), first.id, at(500)).await.unwrap());
    let after = end(&changes(&store, 0, ALL).await);
    assert!(!store.delete_conversation(id(OWNER), first.id, at(500)).await.unwrap());
    assert_eq!(store.record_turn(turn).await.unwrap(), None);
    rename_of_absent(&store, first.id).await;
    assert!(changes(&store, after, ALL).await.is_empty());
}

async fn rename_of_absent(store: &Store, conversation: Id) {
    let update = UpdateConversation { pinned: Some(true), ..UpdateConversation::default() };
    let outcome = store.update_conversation(id(OWNER), conversation, update, at(9)).await.unwrap();
    assert_eq!(outcome, Updated::Absent);
}

pub(in crate::store::contract) async fn follower_of_many_writers_sees_all_changes(store: Store) {
    const WRITERS: usize = 8;
    const WRITES: u32 = 12;
    let is_done = Arc::new(AtomicBool::new(false));
    let follower = tokio::spawn({
        let (store, is_done) = (Arc::clone(&store), Arc::clone(&is_done));
        async move {
            let (mut seen, mut after) = (BTreeMap::new(), 0);
            loop {
                // The last round begins after the last write.
                let was_done = is_done.load(Ordering::SeqCst);
                after = follow(&store, after, 3, &mut seen).await;
                if was_done {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    at_once(WRITERS, |writer| {
        let store = Arc::clone(&store);
        async move {
            let own = open(&store, 10 + u32::try_from(writer).unwrap()).await;
            for write in 0..WRITES {
                let number = u32::try_from(writer).unwrap() * WRITES + write + 1;
                match write % 3 {
                    0 => rename(&store, own.id, &format!("Title {write}"), i64::from(500 + write)).await,
                    1 => {
                        let shared = id(10);
                        // The shared one may not be there yet.
                        let turn = delivery(id(OWNER), shared, 1_000 + number, 1);
                        store.record_turn(turn).await.unwrap();
                    }
                    _ => {
                        let turn = delivery(id(OWNER), own.id, number, u64::from(2 * write + 1));
                        store.record_turn(turn).await.unwrap().unwrap();
                    }
                }
            }
            if writer % 4 == 3 {
                assert!(store.delete_conversation(id(OWNER), own.id, at(500)).await.unwrap());
            }
        }
    })
    .await;
    is_done.store(true, Ordering::SeqCst);
    let seen = follower.await.unwrap();
    assert_eq!(seen.len(), WRITERS);
    for (conversation, listed) in &seen {
        assert_eq!(store.conversation(id(OWNER), *conversation).await.unwrap(), *listed);
    }
    let mut from_the_start = BTreeMap::new();
    follow(&store, 0, ALL, &mut from_the_start).await;
    assert_eq!(from_the_start, seen);
}

pub(in crate::store::contract) async fn followers_at_once_agree_on_the_order(store: Store) {
    for number in 10..30 {
        open(&store, number).await;
    }
    let listed = at_once(6, |_| {
        let store = Arc::clone(&store);
        async move { changes(&store, 0, ALL).await }
    })
    .await;
    let order = changes(&store, 0, ALL).await;
    assert_eq!(order.len(), 20);
    for listed in listed {
        // Each saw everything, because it was written before; and no place was given twice.
        assert_eq!(listed, order);
    }
}
