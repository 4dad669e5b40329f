//! The size of a page of messages.

use shared::{
    api::{chat::Message, page::Order},
    chat::context::CONTEXT_BYTES,
    id::Id,
};

use super::{OWNER, Store};
use crate::store::{
    chats::{CONTEXT_READ_BYTES, Messages, MessagesPage, PAGE_BYTES, Scope},
    contract::samples::{START, conversation, delivery, id, picture},
};

/// About what a client's message may have.
const LARGE: usize = 1 << 20;

/// A conversation of so many turns, with a picture of `bytes` in every message.
async fn pictures(store: &Store, turns: u32, bytes: usize) -> Id {
    let opened = conversation(10, START).id;
    store.create_conversation(id(OWNER), conversation(10, START)).await.unwrap();
    add(store, opened, 1..=turns, bytes).await;
    opened
}

async fn add(store: &Store, conversation: Id, turns: std::ops::RangeInclusive<u32>, bytes: usize) {
    for number in turns {
        let mut turn = delivery(id(OWNER), conversation, number, u64::from(2 * number - 1));
        for message in turn.messages.iter_mut() {
            message.parts.push(picture(bytes));
        }
        assert_eq!(store.record_turn(turn).await.unwrap(), Some(u64::from(2 * number)));
    }
}

async fn page(store: &Store, conversation: Id, order: Order, after: Option<u64>, limit: u32) -> Messages {
    let page = MessagesPage { scope: Scope::Shown, order, after, limit };
    store.messages(id(OWNER), conversation, page).await.unwrap().unwrap()
}

fn seqs(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

pub(in crate::store::contract) async fn page_with_more_has_more(store: Store) {
    let conversation = pictures(&store, 3, 1).await;
    for order in [Order::Asc, Order::Desc] {
        for (limit, expected) in [(1, (1, true)), (5, (5, true)), (6, (6, false)), (7, (6, false))] {
            let page = page(&store, conversation, order, None, limit).await;
            assert_eq!((page.items.len(), page.has_more), expected, "{order:?} {limit}");
        }
    }
    let beyond = page(&store, conversation, Order::Asc, Some(6), 1).await;
    assert_eq!(beyond, Messages::default());
}

pub(in crate::store::contract) async fn large_messages_make_short_pages(store: Store) {
    const TURNS: u32 = 6;
    let conversation = pictures(&store, TURNS, LARGE).await;
    for order in [Order::Asc, Order::Desc] {
        let (mut seen, mut has_more) = (Vec::new(), true);
        while has_more {
            let page = page(&store, conversation, order, seen.last().copied(), 100).await;
            let bytes: usize = page.items.iter().map(Message::content_bytes).sum();
            assert!(bytes <= PAGE_BYTES && !page.items.is_empty(), "{bytes}");
            // What is left out would not have fitted.
            assert!(!page.has_more || bytes + LARGE > PAGE_BYTES, "{bytes}");
            seen.extend(seqs(&page.items));
            has_more = page.has_more;
        }
        let mut expected: Vec<_> = (1..=u64::from(2 * TURNS)).collect();
        if order == Order::Desc {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
}

pub(in crate::store::contract) async fn oversized_message_is_a_page_of_its_own(store: Store) {
    let conversation = pictures(&store, 1, PAGE_BYTES + 1).await;
    add(&store, conversation, 2..=2, 1).await;
    for (after, expected) in [(None, &[1][..]), (Some(1), &[2]), (Some(2), &[3, 4])] {
        let page = page(&store, conversation, Order::Asc, after, 100).await;
        assert_eq!((seqs(&page.items).as_slice(), page.has_more), (expected, after != Some(2)));
    }
}

pub(in crate::store::contract) async fn context_has_newest_pictures_that_fit(store: Store) {
    let conversation = pictures(&store, 3, CONTEXT_BYTES + 1).await;
    let context = store.context(id(OWNER), conversation, None).await.unwrap().unwrap();
    // Pictures that are too large are left out, and what was said with them stays.
    assert_eq!((context.last_seq, seqs(&context.messages)), (6, (1..=6).collect()));
    assert!(context.messages.iter().all(|message| !message.content.is_empty() && !has_pictures(message)));
    add(&store, conversation, 4..=8, CONTEXT_BYTES / 7).await;
    let context = store.context(id(OWNER), conversation, None).await.unwrap().unwrap();
    assert_eq!((context.last_seq, seqs(&context.messages)), (16, (1..=16).collect()));
    let with_pictures = context.messages.iter().filter(|message| has_pictures(message));
    assert_eq!(with_pictures.map(|message| message.seq).collect::<Vec<_>>(), (11..=16).collect::<Vec<_>>());
    assert!(context.messages.iter().map(Message::content_bytes).sum::<usize>() <= CONTEXT_BYTES);
}

pub(in crate::store::contract) async fn context_of_large_messages_is_read_up_to_bound(store: Store) {
    const LARGE_ENOUGH: u32 = 4;
    let bytes = CONTEXT_READ_BYTES / 5;
    let conversation = pictures(&store, LARGE_ENOUGH, bytes).await;
    let context = store.context(id(OWNER), conversation, None).await.unwrap().unwrap();
    // Where the next message stands is known nevertheless.
    assert_eq!((context.last_seq, seqs(&context.messages)), (8, (5..=8).collect()));
    add(&store, conversation, 5..=5, CONTEXT_READ_BYTES + 1).await;
    let context = store.context(id(OWNER), conversation, None).await.unwrap().unwrap();
    assert_eq!((context.last_seq, context.messages.len()), (10, 0));
}

fn has_pictures(message: &Message) -> bool {
    message.content_bytes() > message.content.len()
}
