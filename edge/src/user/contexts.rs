//! The contexts of conversations: their newest messages, cached from the origin and grown by the turns that ran here.
//! While the origin is down, cached contexts are used.

use std::{cell::RefCell, rc::Rc};

use shared::{
    api::{
        ErrorCode,
        chat::Part,
        internal::{ConversationContext, context_path, context_path_at},
    },
    chat::{
        context,
        context_cache::{ContextCache, Freshness, Generation},
        place::{self, Base, Path, Plan, Target},
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
            let own = self.own(conversation, fetched, scope)?;
            let mut context = context;
            let is_complete = own.iter().all(|turn| {
                let is_placed = context::missing_parent(&context, turn).is_none();
                context::merge(&mut context, turn);
                is_placed
            });
            let fetched = Some(fetched).filter(|_| is_complete);
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
                let context = self.complete(fetched, now, identity, scope).await?;
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

    /// Returns the base of a turn at a message of a conversation, whose context was loaded; none for a turn at its head.
    ///
    /// # Errors
    /// Fails with [`ErrorCode::NotFound`] when the message is none of the conversation's; with [`ErrorCode::OriginUnavailable`]
    /// when the path to it is not known here and the origin does not answer; with the errors of [`place::base`].
    pub async fn base(
        &self,
        conversation: Id,
        target: Target,
        parts: &[Part],
        identity: &Identity,
        scope: &Scope,
    ) -> Result<Option<Base>, Error> {
        let Some(message) = target.message_id() else { return Ok(None) };
        let own = self.own(conversation, platform::now(), scope)?;
        let plan = |to: Id, is_asked: bool| {
            let plan = self.read(conversation, |context| place::plan(context, &own, to, is_asked));
            plan.ok_or(ErrorCode::NotFound)
        };
        let mut path = self.follow(plan(message, false)?, conversation, &own, identity, scope).await?;
        let question = path.question().map(|question| question.id);
        if let (Target::Regenerate(_), Some(question), false) = (target, question, path.has_whole_question())
        {
            path = self.follow(plan(question, true)?, conversation, &own, identity, scope).await?;
        }
        Ok(Some(place::base(target, path, parts, &own)?))
    }

    /// Lets the context of a conversation show the path that a turn follows, unless it does. Returns the context to be stored with
    /// the turn: turns that the origin does not have find their places in it also after a restart.
    pub fn show_base(&self, conversation: Id, base: Option<&Base>) -> Option<FetchedContext> {
        let base = base?;
        let is_shown = self.read(conversation, |context| place::is_shown(context, base))?;
        if is_shown {
            return None;
        }
        let mut shown = None;
        self.change(|cache| {
            let path = base.path.clone();
            shown = cache
                .show_path(conversation, path)
                .map(|(at, context)| FetchedContext { at, row: context::to_row(context) });
        });
        shown
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

    /// Adds the turns that ended here and that the origin, asked at `asked`, did not have. One that began at a message which is
    /// not shown comes with the path to that message.
    async fn complete(
        &self,
        mut context: ConversationContext,
        asked: Timestamp,
        identity: &Identity,
        scope: &Scope,
    ) -> Result<ConversationContext, Error> {
        let own = self.own(context.conversation_id, asked, scope)?;
        for turn in &own {
            if let Some(parent) = context::missing_parent(&context, turn) {
                let plan = place::plan(&context, &own, parent, false);
                let path = self.follow(plan, context.conversation_id, &own, identity, scope).await?;
                place::show_path(&mut context, path.messages);
            }
            // A turn of another branch than the one that is shown is no part of it.
            context::merge(&mut context, turn);
        }
        Ok(context)
    }

    /// Gets the path that a plan leads to.
    async fn follow(
        &self,
        plan: Plan,
        conversation: Id,
        own: &[TurnRecord],
        identity: &Identity,
        scope: &Scope,
    ) -> Result<Path, Error> {
        let (at, end, known) = match plan {
            Plan::Known(path) => return Ok(path),
            Plan::Fetch { at, end, known } => (at, end, known),
        };
        let path = context_path_at(conversation, at);
        match (self.sessions.get::<ConversationContext>(&path, identity, scope).await, known) {
            (Ok(fetched), _) => Ok(Path::from(fetched).extended(end, own)),
            (Err(Error::Client(error)), Some(known)) if error.code == ErrorCode::OriginUnavailable => {
                Ok(known)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Returns the turns of a conversation that ended here and that the origin, asked at `asked`, did not have.
    fn own(&self, conversation: Id, asked: Timestamp, scope: &Scope) -> Result<Vec<TurnRecord>> {
        let own = self.store.turns_missing_at(conversation, asked)?;
        Ok(own
            .into_iter()
            .filter_map(|turn| scope.logged("reading a turn of a conversation", turn))
            .collect())
    }

    fn change(&self, change: impl FnOnce(&mut ContextCache)) {
        let mut cache = self.cache.borrow_mut();
        change(&mut cache);
        self.held.borrow_mut().set(cache.bytes());
    }
}
