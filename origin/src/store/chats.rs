//! The chats port: conversations, messages, turns.
//!
//! Every method is one promise, and repeating a write changes nothing more. Ids and times come from the caller. No
//! promise needs a transaction over several documents: those that touch several name the order, and a repetition
//! completes what a crash left open.

use async_trait::async_trait;
use shared::{
    api::{
        chat::{Conversation, Message, UpdateConversation},
        internal::{CONTEXT_MESSAGES, ConversationContext, StoredTurn, TurnDelivery},
        page::Order,
    },
    chat::context::Room,
    id::Id,
    time::Timestamp,
};

use super::error::StoreResult;

/// Bytes of content that the messages of a page have together at most; one message is a page, however large it is. With
/// pictures a message may have a megabyte, and a page is several times in memory until it is sent.
pub const PAGE_BYTES: usize = 4 << 20;
/// Bytes of content that are read for a context at most, pictures that it then leaves out included.
pub const CONTEXT_READ_BYTES: usize = 8 << 20;

/// A place in a user's list of conversations: everything after it is older, or as old with a smaller id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivityPosition {
    /// The last activity of the conversation at this place.
    pub activity_at: Timestamp,
    /// The conversation at this place.
    pub id: Id,
}

impl ActivityPosition {
    /// The place of this conversation.
    pub fn of(conversation: &Conversation) -> Self {
        let activity_at = conversation
            .last_message_at
            .map_or(conversation.created_at, |at| at.max(conversation.created_at));
        Self { activity_at, id: conversation.id }
    }
}

/// A page of a user's conversations.
#[derive(Clone, Copy, Debug)]
pub struct ConversationsPage {
    /// Only those that are archived, or only those that are not; all when `None`.
    pub archived: Option<bool>,
    /// Only what comes after this place.
    pub after: Option<ActivityPosition>,
    /// The most items.
    pub limit: u32,
}

/// A page of a conversation's messages.
#[derive(Clone, Copy, Debug)]
pub struct MessagesPage {
    /// By `seq`, up or down.
    pub order: Order,
    /// Only what comes after this `seq` in that order.
    pub after: Option<u64>,
    /// The most items.
    pub limit: u32,
}

/// Messages of a conversation, in the order of the page that was asked for.
#[derive(Debug, Default, PartialEq)]
pub struct Messages {
    /// As many as the page has room for.
    pub items: Vec<Message>,
    /// Whether others come after them.
    pub has_more: bool,
}

/// A page of messages that is being read: adapters offer it one message after the other, until it takes no more. So no
/// more than one message too many is in memory, and what a page holds is decided here.
#[derive(Debug)]
pub struct Filling {
    /// What adapters read.
    pub page: MessagesPage,
    room: Room,
    /// For a context, how many bytes may still be read.
    context: Option<usize>,
    /// How many messages are taken also where there is no room for them.
    at_least: usize,
    first_seq: Option<u64>,
    found: Messages,
}

impl Filling {
    /// A page of a list.
    pub fn of(page: MessagesPage) -> Self {
        let messages = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let room = Room { messages, bytes: PAGE_BYTES };
        let (at_least, found) = (messages.min(1), Messages::default());
        Self { page, room, context: None, at_least, first_seq: None, found }
    }

    /// The newest messages, as a context takes them ([`Room::take_in_context`]).
    pub fn of_context() -> Self {
        let limit = u32::try_from(CONTEXT_MESSAGES).unwrap_or(u32::MAX);
        let page = MessagesPage { order: Order::Desc, after: None, limit };
        Self { room: Room::CONTEXT, context: Some(CONTEXT_READ_BYTES), at_least: 0, ..Self::of(page) }
    }

    /// The most messages to read: one more than the page may hold tells whether others come after it.
    pub fn most(&self) -> u32 {
        self.page.limit.saturating_add(1)
    }

    /// Takes the next message. False when there is no room for it: then no other one is wanted.
    pub fn take(&mut self, mut message: Message) -> bool {
        self.first_seq.get_or_insert(message.seq);
        let fits = match &mut self.context {
            None => self.room.take(&message),
            Some(unread) => match unread.checked_sub(message.content_bytes()) {
                None => false,
                Some(rest) => {
                    *unread = rest;
                    self.room.take_in_context(&mut message)
                }
            },
        };
        if !fits {
            if self.found.items.len() >= self.at_least {
                self.found.has_more = true;
                return false;
            }
            self.room.bytes = 0;
        }
        self.found.items.push(message);
        true
    }

    /// The page, once every message was offered or one was not taken.
    pub fn into_messages(self) -> Messages {
        self.found
    }

    /// The context of this conversation; likewise. Its highest `seq` is known also when that message has no room.
    pub fn into_context(self, conversation: Conversation) -> ConversationContext {
        ConversationContext::of(conversation, self.first_seq.unwrap_or(0), self.found.items)
    }
}

/// A conversation that changed: it, its messages, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its place in the user's order of changes, from 1 on. Later changes have higher places.
    pub position: u64,
    /// The conversation.
    pub conversation_id: Id,
    /// As it is now; `None` when it was deleted.
    pub conversation: Option<Conversation>,
}

/// Conversations, messages, turns.
#[async_trait]
pub trait Chats: Send + Sync + 'static {
    /// The name of the product behind, such as `sqlite`.
    fn backend(&self) -> &'static str;

    /// Answers when the store does.
    async fn ping(&self) -> StoreResult<()>;

    /// Inserts a conversation as it stands. Repeated with the same id and user, it changes nothing, also when the
    /// conversation has been changed or deleted since; with the id of somebody else's it is a conflict.
    async fn create_conversation(&self, user_id: Id, conversation: Conversation) -> StoreResult<()>;

    /// A conversation of this user; `None` when it is absent or somebody else's.
    async fn conversation(&self, user_id: Id, id: Id) -> StoreResult<Option<Conversation>>;

    /// A page of the user's conversations: last activity (the last message, or the creation) descending, then id
    /// descending.
    async fn conversations(&self, user_id: Id, page: ConversationsPage) -> StoreResult<Vec<Conversation>>;

    /// Changes what the update names and sets `updated_at` to `now`, in one step. `None` as in [`Self::conversation`].
    async fn update_conversation(
        &self,
        user_id: Id,
        id: Id,
        update: UpdateConversation,
        now: Timestamp,
    ) -> StoreResult<Option<Conversation>>;

    /// Deletes a conversation, then its messages and turns; from the first step on nobody sees any of it, but
    /// [`Self::changes`] tells of it. False when it is absent or somebody else's; a repetition completes the deletion.
    async fn delete_conversation(&self, user_id: Id, id: Id) -> StoreResult<bool>;

    /// A page of a conversation's messages, as many of them as [`Filling`] takes. `None` when the conversation is absent
    /// or somebody else's.
    async fn messages(
        &self,
        user_id: Id,
        conversation_id: Id,
        page: MessagesPage,
    ) -> StoreResult<Option<Messages>>;

    /// Stores a turn and its two messages, then moves the conversation's counters up. Returns the conversation's highest
    /// `seq`; `None`, and nothing is stored, when the conversation is absent or somebody else's.
    ///
    /// A message is unique by its id and by conversation and `seq`. Where its `seq` is another message's, it gets the
    /// first one after all: nothing that was acknowledged is lost or replaced, and the answer always stands after its
    /// question. `message_count` is the highest `seq`, and with `last_message_*` only ever moves on, so a late delivery
    /// does not set them back. Steps: user's message, answer, turn, counters; a repetition completes them, and any
    /// number of repetitions at once stores everything once.
    async fn record_turn(&self, delivery: TurnDelivery) -> StoreResult<Option<u64>>;

    /// A turn of this user; `None` when it is absent or somebody else's.
    async fn turn(&self, user_id: Id, turn_id: Id) -> StoreResult<Option<StoredTurn>>;

    /// What the next turn of a conversation builds on, with its newest messages that fit a context. `None` when the
    /// conversation is absent or somebody else's.
    async fn context(&self, user_id: Id, conversation_id: Id) -> StoreResult<Option<ConversationContext>>;

    /// What changed for this user after a place in the order of changes (0: from the beginning), at most `limit` of them,
    /// in order. Whoever follows the order misses nothing that was acknowledged before the call: no change ever appears
    /// at a place before one that was returned. A conversation may come more than once, each time as it is now; of its
    /// earlier changes only the last may be kept.
    async fn changes(&self, user_id: Id, after: u64, limit: u32, now: Timestamp) -> StoreResult<Vec<Change>>;
}
