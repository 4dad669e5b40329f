//! The cache of contexts in a user object's memory: freshness and eviction.

use std::collections::HashMap;

use super::{context, place, record::TurnRecord};
use crate::{
    api::{chat::Message, internal::ConversationContext},
    id::Id,
    limits::memory,
    time::{SECOND_MS, Timestamp},
};

/// The time for which a context is used without a request to the origin, and thus the longest time that a change at the
/// origin which was not reported here stays unseen.
const FRESH_MS: i64 = 600 * SECOND_MS;
/// Conversations kept in memory.
const MAX_CONTEXTS: usize = 8;

/// The state of a conversation's context in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A context that is used without a fetch.
    Fresh,
    /// A context that is used when the origin cannot be reached.
    Stale,
    /// No context.
    Absent,
}

/// A state of the cache, to detect whether an entry was dropped since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

/// The contexts in memory.
#[derive(Clone, Debug, Default)]
pub struct ContextCache {
    entries: HashMap<Id, Entry>,
    forgotten: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The time of the request to the origin; `None` for a response that may be from before a change.
    fetched: Option<Timestamp>,
    context: ConversationContext,
    bytes: usize,
}

impl ContextCache {
    /// Returns the state of a conversation's context.
    pub fn freshness(&self, conversation: Id, now: Timestamp) -> Freshness {
        match self.entries.get(&conversation) {
            None => Freshness::Absent,
            Some(entry) if entry.fetched.is_some_and(|at| now.millis_since(at) < FRESH_MS) => {
                Freshness::Fresh
            }
            Some(_) => Freshness::Stale,
        }
    }

    /// Returns a conversation's context.
    pub fn get(&self, conversation: Id) -> Option<&ConversationContext> {
        self.entries.get(&conversation).map(|entry| &entry.context)
    }

    /// Returns the state of the cache, to be passed to [`Self::insert_fetched`].
    pub const fn generation(&self) -> Generation {
        Generation(self.forgotten)
    }

    /// Returns true when no entry was dropped since, so that a fetch of that time is current.
    pub const fn is_current(&self, generation: Generation) -> bool {
        self.forgotten == generation.0
    }

    /// Inserts a context that was requested from the origin at `fetched`. When an entry was dropped since `generation`, it may be
    /// from before a change: it is used once and then fetched again.
    pub fn insert_fetched(
        &mut self,
        context: ConversationContext,
        fetched: Timestamp,
        generation: Generation,
        max_bytes: usize,
    ) {
        let fetched = self.is_current(generation).then_some(fetched);
        self.insert(Entry { fetched, bytes: bytes_of(&context), context }, max_bytes);
    }

    /// Inserts a context from storage; `fetched` is none for one that lacks something, and is used only without the origin.
    pub fn insert_stored(
        &mut self,
        context: ConversationContext,
        fetched: Option<Timestamp>,
        max_bytes: usize,
    ) {
        self.insert(Entry { fetched, bytes: bytes_of(&context), context }, max_bytes);
    }

    /// Inserts an entry and evicts the oldest others while there are too many or they are too large. The new one stays, however
    /// large: it is about to be used.
    fn insert(&mut self, entry: Entry, max_bytes: usize) {
        let id = entry.context.conversation_id;
        self.entries.insert(id, entry);
        let others = self.entries.iter().filter(|(other, _)| **other != id);
        let mut others: Vec<_> = others.map(|(id, entry)| (entry.fetched, *id, entry.bytes)).collect();
        others.sort_unstable_by(|one, other| other.cmp(one));
        let sizes = others.iter().map(|(_, _, bytes)| *bytes);
        let kept = memory::kept(sizes, MAX_CONTEXTS - 1, max_bytes);
        for (_, id, _) in others.iter().skip(kept) {
            self.entries.remove(id);
        }
    }

    /// Lets a conversation's context show this path, which the next turn follows. Returns the context with its time, unless it is
    /// used once.
    pub fn show_path(
        &mut self,
        conversation: Id,
        path: Vec<Message>,
    ) -> Option<(Timestamp, &ConversationContext)> {
        let entry = self.entries.get_mut(&conversation)?;
        place::show_path(&mut entry.context, path);
        entry.bytes = bytes_of(&entry.context);
        entry.fetched.map(|at| (at, &entry.context))
    }

    /// Appends an ended turn to the context of its conversation, if that is cached. One that shows another branch by now is
    /// fetched again.
    pub fn append(&mut self, record: &TurnRecord) {
        if let Some(entry) = self.entries.get_mut(&record.conversation_id) {
            if !context::merge(&mut entry.context, record) {
                entry.fetched = None;
            }
            entry.bytes = bytes_of(&entry.context);
        }
    }

    /// Drops a conversation's context.
    pub fn forget(&mut self, conversation: Id) {
        self.forgotten += 1;
        self.entries.remove(&conversation);
    }

    /// Returns the bytes of memory of the contexts.
    pub fn bytes(&self) -> usize {
        self.entries.values().map(|entry| entry.bytes).sum()
    }
}

fn bytes_of(context: &ConversationContext) -> usize {
    let message_bytes = |message: &Message| message.content_bytes() + message.content.len();
    context.messages.iter().map(message_bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::internal::Head;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);
    const MAX_BYTES: usize = 1_000_000;

    fn id(n: u8) -> Id {
        Id::new(NOW, [n; 10])
    }

    fn context(n: u8) -> ConversationContext {
        ConversationContext {
            conversation_id: id(n),
            model: None,
            system: None,
            last_seq: 0,
            head: Head::default(),
            children: Vec::new(),
            messages: Vec::new(),
        }
    }

    #[test]
    fn context_is_fresh_for_ten_minutes_and_then_stale() {
        let mut cache = ContextCache::default();
        assert_eq!(cache.freshness(id(1), NOW), Freshness::Absent);
        cache.insert_fetched(context(1), NOW, cache.generation(), MAX_BYTES);
        assert_eq!(cache.freshness(id(1), NOW.plus_millis(FRESH_MS - 1)), Freshness::Fresh);
        assert_eq!(cache.freshness(id(1), NOW.plus_millis(FRESH_MS)), Freshness::Stale);
        assert!(cache.get(id(1)).is_some());
    }

    #[test]
    fn context_fetched_before_change_is_used_once() {
        let mut cache = ContextCache::default();
        let asked = cache.generation();
        cache.forget(id(1));
        assert!(!cache.is_current(asked));
        cache.insert_fetched(context(1), NOW, asked, MAX_BYTES);
        assert_eq!(cache.freshness(id(1), NOW), Freshness::Stale);
    }

    #[test]
    fn oldest_contexts_are_evicted() {
        let mut cache = ContextCache::default();
        for n in 0..20 {
            cache.insert_stored(context(n), Some(NOW.plus_millis(n.into())), MAX_BYTES);
        }
        let kept: Vec<_> = (0..20).filter(|n| cache.get(id(*n)).is_some()).collect();
        assert_eq!(kept, (12..20).collect::<Vec<_>>());
        // An older one that is inserted evicts the oldest of the others, not itself.
        cache.insert_stored(context(0), Some(NOW), MAX_BYTES);
        assert!(cache.get(id(0)).is_some() && cache.get(id(12)).is_none());
    }

    #[test]
    fn bytes_are_those_of_kept_contexts() {
        let mut cache = ContextCache::default();
        cache.insert_stored(context(1), Some(NOW), 0);
        cache.insert_stored(context(2), Some(NOW), 0);
        // With a limit of no bytes, empty contexts still fit.
        assert_eq!((cache.entries.len(), cache.bytes()), (2, 0));
        cache.forget(id(1));
        assert_eq!(cache.entries.len(), 1);
    }
}
