//! The copy of a client that follows the changes as `GET sync` says, and what the store has.

use std::collections::BTreeMap;

use shared::{
    api::{
        chat::{Conversation, Message, TurnKind, UpdateConversation},
        internal::{TurnDelivery, TurnMessages},
        page::Order,
    },
    id::Id,
};

use super::{OWNER, Store, lifecycle::purge, listed, open};
use crate::store::{
    chats::{MessagesPage, Scope},
    contract::samples::{at, delivery_after, id},
};

const CONVERSATIONS: u32 = 5;
const STEPS: u32 = 160;
/// The most items of a page of changes: fewer than there are conversations.
const PAGE: u32 = 2;

/// A client's copy.
#[derive(Default)]
struct Copy {
    after: u64,
    conversations: BTreeMap<Id, Conversation>,
    messages: BTreeMap<Id, BTreeMap<u64, Message>>,
}

impl Copy {
    async fn follow(&mut self, store: &Store, now: i64) {
        loop {
            let page = store.changes(id(OWNER), self.after, PAGE, at(now)).await.unwrap();
            let Some(last) = page.last() else { return };
            self.after = last.position;
            for change in page {
                match change.conversation {
                    None => {
                        self.conversations.remove(&change.conversation_id);
                        self.messages.remove(&change.conversation_id);
                    }
                    Some(conversation) => self.update(store, conversation).await,
                }
            }
        }
    }

    async fn update(&mut self, store: &Store, conversation: Conversation) {
        let known = self.messages.entry(conversation.id).or_default();
        let copied = self.conversations.get(&conversation.id).and_then(|copied| copied.messages_deleted_at);
        if conversation.messages_deleted_at != copied {
            known.clear();
        }
        // From before the first gap on.
        let after =
            known.keys().zip(1..).take_while(|(seq, place)| *seq == place).last().map(|(seq, _)| *seq);
        let page = MessagesPage { scope: Scope::Arrived, order: Order::Asc, after, limit: 1_000 };
        // Deleted since: a later change has the deletion.
        if let Some(found) = store.messages(id(OWNER), conversation.id, page).await.unwrap() {
            known.extend(found.items.into_iter().map(|message| (message.seq, message)));
        }
        self.conversations.insert(conversation.id, conversation);
    }

    /// Asserts that it is what the store has. Siblings are derived from the messages.
    async fn assert_right(&self, store: &Store) {
        let truth = listed(store, None, None, 100).await;
        let truth: BTreeMap<_, _> = truth.into_iter().map(|found| (found.id, found)).collect();
        assert_eq!(self.conversations, truth);
        for conversation in truth.keys() {
            let page = MessagesPage { scope: Scope::Arrived, order: Order::Asc, after: None, limit: 1_000 };
            let found = store.messages(id(OWNER), *conversation, page).await.unwrap().unwrap().items;
            let places = |messages: Vec<&Message>| -> Vec<_> {
                messages
                    .into_iter()
                    .map(|message| (message.seq, message.id, message.content.clone()))
                    .collect()
            };
            let copied = places(self.messages[conversation].values().collect());
            assert_eq!(copied, places(found.iter().collect()));
        }
        assert_eq!(self.messages.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
    }
}

/// Numbers that are the same in every run (Marsaglia, "Xorshift RNGs", 2003).
struct Numbers(u32);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % bound
    }
}

/// A turn after some message of a conversation: a reply, or another answer to a question.
async fn any_turn(store: &Store, conversation: Id, number: u32, numbers: &mut Numbers) -> TurnDelivery {
    let page = MessagesPage { scope: Scope::Arrived, order: Order::Asc, after: None, limit: 1_000 };
    let found = store.messages(id(OWNER), conversation, page).await.unwrap();
    let messages = found.map(|found| found.items).unwrap_or_default();
    let last = messages.last().map_or(0, |last| last.seq);
    let parent = match u32::try_from(messages.len()).unwrap() {
        0 => None,
        count => {
            let back = numbers.below(count.min(3));
            messages.iter().rev().nth(usize::try_from(back).unwrap()).map(|message| message.id)
        }
    };
    let mut turn = delivery_after(parent, id(OWNER), conversation, number, last + 1);
    if parent.is_some() && numbers.below(3) == 0 {
        let mut answer = turn.messages.answer().clone();
        (answer.parent_id, answer.seq) = (parent, last + 1);
        turn.messages = TurnMessages::new(vec![answer]).unwrap();
        turn.kind = TurnKind::Regenerate;
    }
    turn
}

async fn any_message(store: &Store, conversation: Id, numbers: &mut Numbers) -> Option<Id> {
    let page = MessagesPage { scope: Scope::Arrived, order: Order::Asc, after: None, limit: 1_000 };
    let found = store.messages(id(OWNER), conversation, page).await.unwrap()?.items;
    let at = numbers.below(u32::try_from(found.len()).unwrap().max(1));
    found.get(usize::try_from(at).unwrap()).map(|message| message.id)
}

async fn any_change(store: &Store, step: u32, numbers: &mut Numbers, held: &mut Vec<TurnDelivery>) {
    let (conversation, now) = (id(10 + numbers.below(CONVERSATIONS)), at(i64::from(1_000 * step)));
    let update = match numbers.below(12) {
        0 => {
            UpdateConversation { title: Some(Some(format!("Title {step}"))), ..UpdateConversation::default() }
        }
        1 => UpdateConversation { pinned: Some(step.is_multiple_of(2)), ..UpdateConversation::default() },
        2 => UpdateConversation { archived: Some(step.is_multiple_of(2)), ..UpdateConversation::default() },
        3 => {
            let head_id = any_message(store, conversation, numbers).await;
            UpdateConversation { head_id, ..UpdateConversation::default() }
        }
        4 => {
            store.delete_conversation(id(OWNER), conversation, now).await.unwrap();
            return;
        }
        5 | 6 => {
            store.undelete_conversation(id(OWNER), conversation, at(0), now).await.unwrap();
            return;
        }
        7 => {
            if let Some(message) = any_message(store, conversation, numbers).await {
                assert!(store.delete_message(id(OWNER), conversation, message, now).await.unwrap());
            }
            return;
        }
        8 => {
            // What was held back is delivered late, and once more.
            for turn in held.drain(..) {
                store.record_turn(turn.clone()).await.unwrap();
                store.record_turn(turn).await.unwrap();
            }
            return;
        }
        kind => {
            let turn = any_turn(store, conversation, 1_000 + step, numbers).await;
            if kind == 9 {
                held.push(turn);
            } else {
                store.record_turn(turn).await.unwrap();
            }
            return;
        }
    };
    store.update_conversation(id(OWNER), conversation, update, now).await.unwrap();
}

pub(in crate::store::contract) async fn copy_of_a_client_that_was_away_is_right_after_anything(store: Store) {
    let (mut numbers, mut held) = (Numbers(2_463_534_242), Vec::new());
    for number in 10..10 + CONVERSATIONS {
        open(&store, number).await;
    }
    // One that follows all the time, one now and then, and one that comes back after everything.
    let (mut steady, mut seldom, mut away) = (Copy::default(), Copy::default(), Copy::default());
    away.follow(&store, 0).await;
    for step in 1..=STEPS {
        any_change(&store, step, &mut numbers, &mut held).await;
        let now = i64::from(1_000 * step);
        if step % 4 == 0 {
            steady.follow(&store, now).await;
            steady.assert_right(&store).await;
        }
        if step % 37 == 0 {
            seldom.follow(&store, now).await;
            seldom.assert_right(&store).await;
        }
    }
    // A year later, after purges.
    let much_later = 366 * shared::time::DAY_MS;
    store.undelete_conversation(id(OWNER), id(10), at(0), at(much_later)).await.unwrap();
    assert!(store.delete_conversation(id(OWNER), id(10), at(much_later)).await.unwrap());
    purge(store.as_ref(), at(much_later)).await;
    let anew = &mut Copy::default();
    for copy in [&mut steady, &mut seldom, &mut away, anew] {
        copy.follow(&store, much_later).await;
        copy.assert_right(&store).await;
    }
}
