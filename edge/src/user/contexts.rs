//! The contexts of conversations: their newest messages, cached from the origin and grown by the turns that ran here.
//! While the origin is down, cached contexts are used.

use std::{cell::RefCell, rc::Rc};

use shared::{
    api::{
        ErrorCode,
        internal::{ConversationContext, context_path},
    },
    chat::{
        context,
        context_cache::{ContextCache, Freshness, Generation},
        record::TurnRecord,
    },
    id::Id,
    limits::memory::cache_bytes,
    time::Timestamp,
};
use worker::Result;

use super::{
    Identity,
    memory::{HeldBytes, held_bytes},
    sessions::SessionGate,
    store::{FetchedContext, Store},
};
use crate::{log::Scope, platform, reply::Error};

/// The contexts of this user's conversations.
pub struct Contexts {
    store: Rc<Store>,
    sessions: Rc<SessionGate>,
    cache: RefCell<ContextCache>,
    held: RefCell<HeldBytes>,
}

/// A context from the origin, and the state of the cache at its request.
pub struct Fetched {
    generation: Generation,
    context: FetchedContext,
}

impl Contexts {
    /// Makes a cache that holds nothing yet.
    pub fn new(store: Rc<Store>, sessions: Rc<SessionGate>) -> Self {
        Self { store, sessions, cache: RefCell::default(), held: RefCell::default() }
    }

    /// Loads the context of a conversation, from memory, then SQLite, then the origin. Returns the origin's response for the caller
    /// to store.
    ///
    /// # Errors
    /// Fails with [`ErrorCode::NotFound`] when the origin answers that there is no such conversation; with
    /// [`ErrorCode::OriginUnavailable`] when it does not answer and nothing is cached.
    pub async fn load(
        &self,
        conversation: Id,
        identity: &Identity,
        scope: &Scope,
    ) -> Result<Option<Fetched>, Error> {
        let now = platform::now();
        let mut freshness = self.cache.borrow().freshness(conversation, now);
        if freshness == Freshness::Absent
            && let Some(Some((fetched, context))) =
                scope.logged("reading a context", self.store.context(conversation))
        {
            let context = self.complete(context, fetched, scope)?;
            self.change(|cache| cache.insert_stored(context, fetched, cache_bytes(held_bytes())));
            freshness = self.cache.borrow().freshness(conversation, now);
        }
        if freshness == Freshness::Fresh {
            return Ok(None);
        }
        let generation = self.cache.borrow().generation();
        let path = context_path(conversation);
        match self.sessions.get::<ConversationContext>(&path, identity, scope).await {
            Ok(fetched) => {
                let row = context::to_row(&fetched);
                let context = self.complete(fetched, now, scope)?;
                let max_bytes = cache_bytes(held_bytes());
                self.change(|cache| cache.insert_fetched(context, now, generation, max_bytes));
                Ok(Some(Fetched { generation, context: FetchedContext { at: now, row } }))
            }
            // Only the origin's own 404 drops it.
            Err(Error::Client(error)) if error.code == ErrorCode::NotFound => {
                self.forget(conversation)?;
                Err(error.into())
            }
            Err(Error::Client(error)) if error.code == ErrorCode::OriginUnavailable => {
                let is_usable = self.cache.borrow().get(conversation).is_some();
                if is_usable { Ok(None) } else { Err(error.into()) }
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a context that was loaded.
    pub fn read<T>(&self, conversation: Id, read: impl FnOnce(&ConversationContext) -> T) -> Option<T> {
        self.cache.borrow().get(conversation).map(read)
    }

    /// Returns a context to be stored, unless one was dropped since its request.
    pub fn current(&self, fetched: Option<Fetched>) -> Option<FetchedContext> {
        fetched
            .filter(|fetched| self.cache.borrow().is_current(fetched.generation))
            .map(|fetched| fetched.context)
    }

    /// Appends an ended turn to the context of its conversation.
    pub fn append(&self, record: &TurnRecord) {
        self.change(|cache| cache.append(record));
    }

    /// Forgets the context of a conversation that changed.
    ///
    /// # Errors
    /// Fails with the errors of SQLite; it is dropped from memory then.
    pub fn forget(&self, conversation: Id) -> Result<()> {
        self.change(|cache| cache.forget(conversation));
        self.store.forget_context(conversation)
    }

    /// Forgets every context in memory.
    pub fn forget_all(&self) {
        self.change(|cache| *cache = ContextCache::default());
    }

    /// Adds the turns that ended here and that the origin, asked at `asked`, did not have.
    fn complete(
        &self,
        mut context: ConversationContext,
        asked: Timestamp,
        scope: &Scope,
    ) -> Result<ConversationContext> {
        for record in self.store.turns_missing_at(context.conversation_id, asked)? {
            if let Some(record) = scope.logged("reading a turn of a conversation", record) {
                // A turn of another branch than the one that is shown is no part of it.
                context::merge(&mut context, &record);
            }
        }
        Ok(context)
    }

    fn change(&self, change: impl FnOnce(&mut ContextCache)) {
        let mut cache = self.cache.borrow_mut();
        change(&mut cache);
        self.held.borrow_mut().set(cache.bytes());
    }
}
