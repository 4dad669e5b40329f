//! The chats port: conversations, messages, turns.
//!
//! Every method is one promise, and repeating a write changes nothing more. Ids and times come from the caller. No promise
//! needs a transaction over several documents: those that touch several name the order, and a repetition completes what a
//! crash left incomplete.

pub mod deletions;

use async_trait::async_trait;
use shared::{
    api::{
        chat::{ChatStats, Conversation, Message, UpdateConversation},
        internal::{CONTEXT_MESSAGES, ConversationContext, Head, StoredTurn, TurnDelivery},
        page::Order,
    },
    chat::{context::Budget, tree::Position},
    id::Id,
    time::Timestamp,
};

pub use self::deletions::{DeletedPage, DeletionPosition};
use super::error::StoreResult;

/// The most bytes of content of a page's messages together; a page has at least one message, however large. With images a
/// message may have a megabyte, and a page is in memory several times until it is sent.
pub const PAGE_BYTES: usize = 4 << 20;
/// The most bytes of content that are read for a context, including images that it then leaves out.
pub const CONTEXT_READ_BYTES: usize = 8 << 20;

/// A position in a user's list of conversations: everything after it is older, or as old with a smaller id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivityPosition {
    /// The last activity of the conversation at this position.
    pub activity_at: Timestamp,
    /// The conversation at this position.
    pub id: Id,
}

impl ActivityPosition {
    /// Returns the position of this conversation.
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
    /// Only those that are pinned, or only those that are not; all when `None`.
    pub pinned: Option<bool>,
    /// Only conversations after this position.
    pub after: Option<ActivityPosition>,
    /// The most items.
    pub limit: u32,
}

/// The scope of a page of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The branch that is shown: the path to the head.
    Shown,
    /// All messages, of all branches.
    Arrived,
    /// The same, also of a conversation that is deleted and not yet purged.
    Kept,
}

/// A page of a conversation's messages.
#[derive(Clone, Copy, Debug)]
pub struct MessagesPage {
    /// The scope.
    pub scope: Scope,
    /// The order, by `seq`, ascending or descending.
    pub order: Order,
    /// Only messages after this `seq` in that order.
    pub after: Option<u64>,
    /// The most items.
    pub limit: u32,
}

/// Messages of a conversation, in the order of the requested page.
#[derive(Debug, Default, PartialEq)]
pub struct Messages {
    /// The messages that fit the page.
    pub items: Vec<Message>,
    /// True when others follow.
    pub has_more: bool,
}

/// A page of messages while it is read: adapters offer one message after the other until it accepts no more. So at most one
/// message too many is in memory, and the content of a page is decided here.
#[derive(Debug)]
pub struct PageBuilder {
    /// The requested page.
    pub page: MessagesPage,
    budget: Budget,
    /// For a context, how many bytes may still be read.
    context: Option<usize>,
    /// The number of messages that are taken even when they do not fit.
    at_least: usize,
    found: Messages,
}

impl PageBuilder {
    /// A page of a list.
    pub fn of(page: MessagesPage) -> Self {
        let messages = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let budget = Budget { messages, bytes: PAGE_BYTES };
        let (at_least, found) = (messages.min(1), Messages::default());
        Self { page, budget, context: None, at_least, found }
    }

    /// The newest messages, as a context takes them ([`Budget::take_in_context`]).
    pub fn of_context() -> Self {
        let limit = u32::try_from(CONTEXT_MESSAGES).unwrap_or(u32::MAX);
        let page = MessagesPage { scope: Scope::Shown, order: Order::Desc, after: None, limit };
        Self { budget: Budget::CONTEXT, context: Some(CONTEXT_READ_BYTES), at_least: 0, ..Self::of(page) }
    }

    /// The newest messages of the path to a message, which is taken with all its pictures.
    pub fn of_context_at_message() -> Self {
        Self { at_least: 1, ..Self::of_context() }
    }

    /// The most messages to read: one more than the limit shows that others follow.
    pub fn most(&self) -> u32 {
        self.page.limit.saturating_add(1)
    }

    /// Takes the next message. Returns false when it does not fit: then no other one is needed.
    pub fn take(&mut self, mut message: Message) -> bool {
        let is_needed = self.found.items.len() < self.at_least;
        let fits = match &mut self.context {
            None => self.budget.take(&message),
            Some(unread) => match unread.checked_sub(message.content_bytes()) {
                None => false,
                Some(rest) => {
                    *unread = rest;
                    if is_needed {
                        self.budget.take(&message)
                    } else {
                        self.budget.take_in_context(&mut message)
                    }
                }
            },
        };
        if !fits {
            if !is_needed {
                self.found.has_more = true;
                return false;
            }
            self.budget = match self.context {
                None => Budget { bytes: 0, ..self.budget },
                // The other messages of a context have the room that they have without it.
                Some(_) => Budget { messages: self.budget.messages.saturating_sub(1), ..self.budget },
            };
        }
        self.found.items.push(message);
        true
    }

    /// Returns true when no message so far has a higher `seq`.
    pub fn is_up_to(&self, seq: u64) -> bool {
        self.found.items.iter().all(|message| message.seq <= seq)
    }

    /// Returns the page, once every message was offered or one was not taken.
    pub fn into_messages(self) -> Messages {
        self.found
    }

    /// Returns the context of this conversation, with the children of its last message; likewise.
    pub fn into_context(
        self,
        conversation: Conversation,
        shown: &Shown,
        children: Vec<Id>,
    ) -> ConversationContext {
        let mut messages = self.found.items;
        messages.reverse();
        ConversationContext {
            conversation_id: conversation.id,
            model: conversation.model,
            system: conversation.system,
            last_seq: shown.last_seq,
            head: shown.head,
            children,
            messages,
        }
    }
}

/// The shown branch of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The last message of the branch.
    pub head: Head,
    /// The position of that message.
    pub position: Position,
    /// True when any message is not the child of the one that had arrived before it, so that the messages form a tree or wait
    /// for others. Otherwise they are read without the tree.
    pub is_branched: bool,
    /// The highest `seq` of all messages.
    pub last_seq: u64,
}

impl Shown {
    /// Returns true when the conversation has no fork and its head is the message that arrived last: then all messages by `seq`
    /// are the path to it.
    pub fn is_plain(&self) -> bool {
        !self.is_branched && self.position == Position { branch: None, seq: self.last_seq }
    }
}

/// The outcome of an update.
#[derive(Debug, PartialEq)]
pub enum Updated {
    /// The updated conversation.
    Now(Box<Conversation>),
    /// It is absent, or another user's.
    Absent,
    /// The given head is no message of the conversation; nothing was changed.
    UnknownHead,
}

/// Ensures that a message is among its siblings, also when more exist than were read.
pub(super) fn with_itself(mut siblings: Vec<Id>, id: Id) -> Vec<Id> {
    if !siblings.contains(&id) {
        siblings.insert(0, id);
    }
    siblings
}

/// A change of a conversation, its messages, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its position in the user's order of changes, from 1. Later changes have higher positions.
    pub position: u64,
    /// The conversation.
    pub conversation_id: Id,
    /// The current conversation; `None` when it was deleted.
    pub conversation: Option<Conversation>,
}

/// The chats port: conversations, messages, turns.
#[async_trait]
pub trait Chats: Send + Sync + 'static {
    /// Returns the name of the product, such as `sqlite`.
    fn backend(&self) -> &'static str;

    /// Returns once the store answers.
    async fn ping(&self) -> StoreResult<()>;

    /// Inserts a conversation unchanged. Repeated with the same id and user, it changes nothing, also when the conversation has
    /// been changed or deleted since; with the id of another user's it fails with a conflict.
    async fn create_conversation(&self, user_id: Id, conversation: Conversation) -> StoreResult<()>;

    /// Returns a conversation of this user; `None` when it is absent or another user's.
    async fn conversation(&self, user_id: Id, id: Id) -> StoreResult<Option<Conversation>>;

    /// Returns a page of the user's conversations: last activity (the last message, or the creation) descending, then id
    /// descending.
    async fn conversations(&self, user_id: Id, page: ConversationsPage) -> StoreResult<Vec<Conversation>>;

    /// Changes the fields of the update and sets `updated_at` to `now`, in one step. A given head is a choice of the user, made
    /// now ([`Head::moved_by_user`]).
    async fn update_conversation(
        &self,
        user_id: Id,
        id: Id,
        update: UpdateConversation,
        now: Timestamp,
    ) -> StoreResult<Updated>;

    /// Deletes a conversation, in one step. From then on only [`Self::deleted_conversations`] has it, [`Scope::Kept`] its messages,
    /// and [`Self::changes`] the deletion. Returns false when it is absent, another user's or deleted.
    async fn delete_conversation(&self, user_id: Id, id: Id, now: Timestamp) -> StoreResult<bool>;

    /// Brings back a conversation that was deleted after `since`, in one step, with all that was in it and what was recorded since.
    /// Returns it; one that is not deleted unchanged. `None` when it is absent, another user's, or was deleted earlier.
    async fn undelete_conversation(
        &self,
        user_id: Id,
        id: Id,
        since: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Option<Conversation>>;

    /// Returns a page of the user's deleted conversations that are not yet purged: last deletion first, then id descending.
    async fn deleted_conversations(&self, user_id: Id, page: DeletedPage) -> StoreResult<Vec<Conversation>>;

    /// Removes what is in conversations of any user that were deleted at `before` or earlier, those deleted first at first: up to
    /// `limit` of what belongs to one of them, at last itself. Returns how much went: 0 when nothing is left. A crash leaves what
    /// the next call goes on with.
    async fn purge_conversations(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;

    /// Deletes a message and every message below it, those of all branches that go on from it, with the turns that made them. The
    /// shown branch, when it ends there, then ends with the branch of the newest message that follows the same one, or with the
    /// message before it, as if the user had chosen that. [`Conversation::messages_deleted_at`] gets another value. Returns false
    /// when the message or its conversation is absent, another user's or deleted.
    ///
    /// The first step makes it so, and whoever comes next completes it. Ids of deleted messages stay known until the conversation is
    /// purged, so that no delivery brings one back.
    async fn delete_message(
        &self,
        user_id: Id,
        conversation_id: Id,
        message_id: Id,
        now: Timestamp,
    ) -> StoreResult<bool>;

    /// Returns counts over the user's conversations that are not deleted.
    async fn stats(&self, user_id: Id) -> StoreResult<ChatStats>;

    /// Removes up to `limit` conversations of a user with everything that belongs to them, deleted ones at last; only
    /// [`Self::changes`] has them, as deleted. Returns how many were there: 0 when none is any more.
    async fn delete_conversations(&self, user_id: Id, limit: u32) -> StoreResult<u64>;

    /// Removes up to `limit` conversations of a user with everything that belongs to them, also what was stored after their
    /// deletion, and then the user's order of changes. Returns how many conversations, or records of deleted ones, went: 0 when
    /// nothing of the user is left. For users that are gone: whoever follows their changes begins anew.
    async fn forget_user(&self, user_id: Id, limit: u32) -> StoreResult<u64>;

    /// Returns a page of a conversation's messages by `seq`, as many as [`PageBuilder`] takes: the path to the head, or all of
    /// them. The cost of a page depends neither on its position nor on the path's length; many forks add a bounded number of
    /// look-ups.
    /// Each message has its siblings, the newest [`shared::api::internal::MAX_SIBLINGS`] of them. `None` when the conversation is
    /// absent or another user's.
    async fn messages(
        &self,
        user_id: Id,
        conversation_id: Id,
        page: MessagesPage,
    ) -> StoreResult<Option<Messages>>;

    /// Gives up to `limit` conversations of a user to another one, deleted ones at last, with all that is in them, unchanged: they are
    /// changes of the other one's. Returns how many it found; a repetition goes on with the rest. A turn that is recorded meanwhile is stored, or
    /// finds no conversation of the first user any more.
    async fn move_conversations(&self, from: Id, to: Id, limit: u32) -> StoreResult<u64>;

    /// Stores a turn and its messages, then raises the conversation's counters and, where the turn sets it, moves its head.
    /// Returns the conversation's highest `seq`; `None`, without storing anything, when the conversation is absent or another
    /// user's.
    ///
    /// In a conversation that is deleted and not yet purged it does the same, which is no change and visible nowhere, and returns
    /// `None`: an acknowledged answer is there when the conversation comes back. Of a turn that follows a deleted message, or that has
    /// one, nothing is stored or brought back but that its own messages are deleted, too; it also returns `None`.
    ///
    /// A message is unique by its id and by conversation and `seq`. When its `seq` is another message's, it gets the first one
    /// after all: nothing that was acknowledged is lost or replaced, and a message is always after its parent. `message_count` is
    /// the highest `seq`, and with `last_message_*` only ever increases, so a late delivery does not set them back. Steps:
    /// messages in order, turn, counters with head; a repetition completes them, and any number of concurrent repetitions stores
    /// everything once.
    ///
    /// *The tree* ([`shared::chat::tree`]). A message joins the branch of its parent when it is the first to follow it there, else
    /// it begins a branch; of two concurrent ones, one does. A message whose parent is absent (its turn was refused so far) stands
    /// at its `seq` in the shown branch, and the parent before it once it arrives.
    ///
    /// *The head* ([`Head::follows`]). A turn makes its last message the head when it began after the turn or choice
    /// ([`Self::update_conversation`]) that set the head, or when the head is still the one at its start, the latter once. So the
    /// newest of turns and choices wins, in any order of arrival: a turn that arrives late is stored in its branch, and visible
    /// where that is the shown one.
    async fn record_turn(&self, delivery: TurnDelivery) -> StoreResult<Option<u64>>;

    /// Returns a turn of this user; `None` when it is absent or another user's, or when a message of it was deleted.
    async fn turn(&self, user_id: Id, turn_id: Id) -> StoreResult<Option<StoredTurn>>;

    /// Returns the base of the next turn of a conversation, with the newest messages of the path to its head, or to the message
    /// `at`, that fit a context; the message `at` is in it, however large. The cost does not depend on the place. `None` when the
    /// conversation is absent or another user's, or the message is none of it.
    async fn context(
        &self,
        user_id: Id,
        conversation_id: Id,
        at: Option<Id>,
    ) -> StoreResult<Option<ConversationContext>>;

    /// Returns the user's changes after a position in the order of changes (0: from the beginning), at most `limit` of them, in
    /// order. A client that follows the order misses nothing that was acknowledged before the call: no change ever appears at a
    /// position before one that was returned. A conversation may appear more than once, each time in its current state; of its
    /// earlier changes only the last may be kept.
    async fn changes(&self, user_id: Id, after: u64, limit: u32, now: Timestamp) -> StoreResult<Vec<Change>>;
}
