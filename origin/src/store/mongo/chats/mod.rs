//! The chats port on MongoDB. Operations are in [`conversations`], [`messages`], [`tree`], [`turns`],
//! [`changes`] and [`users`].

mod changes;
mod conversations;
mod messages;
mod tree;
mod turns;
mod users;

use async_trait::async_trait;
use shared::{
    api::{
        chat::{Conversation, UpdateConversation},
        internal::{ConversationContext, StoredTurn, TurnDelivery},
    },
    id::Id,
    time::Timestamp,
};

use super::{
    engine::{Db, Engine},
    fault::Attempt,
    indexes,
};
use crate::{
    config::stores::MongoConfig,
    store::{
        chats::{
            Change, Chats, ConversationsPage, Messages, MessagesPage, PageBuilder, Scope, Shown, Updated,
        },
        error::StoreResult,
    },
};

/// Conversations, messages, turns and the order of changes in a MongoDB database.
pub struct MongoChats(Engine);

impl MongoChats {
    /// Connects to the server and creates missing indexes.
    pub async fn open(config: &MongoConfig) -> StoreResult<Self> {
        let (opened, _) = Self::open_and_migrate(config).await?;
        Ok(opened)
    }

    /// Creates missing indexes and returns their names.
    pub async fn migrate(config: &MongoConfig) -> StoreResult<Vec<String>> {
        let (_, created) = Self::open_and_migrate(config).await?;
        Ok(created)
    }

    async fn open_and_migrate(config: &MongoConfig) -> StoreResult<(Self, Vec<String>)> {
        let engine = Engine::connect(config).await?;
        engine.run(|_| engine.db().ping()).await?;
        let created = indexes::create(engine.db().database()).await?;
        Ok((Self(engine), created))
    }

    #[cfg(test)]
    pub(in crate::store) const fn database(&self) -> &mongodb::Database {
        self.0.db().database()
    }
}

#[async_trait]
impl Chats for MongoChats {
    fn backend(&self) -> &'static str {
        "mongodb"
    }

    async fn ping(&self) -> StoreResult<()> {
        self.0.run(|_| self.0.db().ping()).await
    }

    async fn create_conversation(&self, user_id: Id, conversation: Conversation) -> StoreResult<()> {
        let conversation = &conversation;
        self.0.run(|_| conversations::insert(self.0.db(), user_id, conversation)).await
    }

    async fn conversation(&self, user_id: Id, id: Id) -> StoreResult<Option<Conversation>> {
        self.0.run(|_| conversations::find(self.0.db(), user_id, id)).await
    }

    async fn conversations(&self, user_id: Id, page: ConversationsPage) -> StoreResult<Vec<Conversation>> {
        self.0.run(|_| conversations::page(self.0.db(), user_id, page)).await
    }

    async fn update_conversation(
        &self,
        user_id: Id,
        id: Id,
        update: UpdateConversation,
        now: Timestamp,
    ) -> StoreResult<Updated> {
        let update = &update;
        self.0.run(|_| conversations::update(self.0.db(), user_id, id, update, now)).await
    }

    async fn delete_conversation(&self, user_id: Id, id: Id) -> StoreResult<bool> {
        self.0.run(|attempt| conversations::delete(self.0.db(), user_id, id, attempt > 0)).await
    }

    async fn move_conversations(&self, from: Id, to: Id, limit: u32) -> StoreResult<u64> {
        self.0.run(|_| conversations::give(self.0.db(), from, to, limit)).await
    }

    async fn delete_conversations(&self, user_id: Id, limit: u32) -> StoreResult<u64> {
        self.0.run(|_| users::delete_conversations(self.0.db(), user_id, limit)).await
    }

    async fn forget_user(&self, user_id: Id, limit: u32) -> StoreResult<u64> {
        self.0.run(|_| users::forget(self.0.db(), user_id, limit)).await
    }

    async fn messages(
        &self,
        user_id: Id,
        conversation_id: Id,
        page: MessagesPage,
    ) -> StoreResult<Option<Messages>> {
        self.0
            .run(|_| async move {
                let fill = || PageBuilder::of(page);
                let Some((filled, _, shown)) = page_of(self.0.db(), user_id, conversation_id, fill).await?
                else {
                    return Ok(None);
                };
                let mut found = filled.into_messages();
                messages::find_siblings(self.0.db(), shown.is_branched, &mut found.items).await?;
                Ok(Some(found))
            })
            .await
    }

    async fn record_turn(&self, delivery: TurnDelivery) -> StoreResult<Option<u64>> {
        let delivery = &delivery;
        self.0.run(|_| turns::record(self.0.db(), delivery)).await
    }

    async fn turn(&self, user_id: Id, turn_id: Id) -> StoreResult<Option<StoredTurn>> {
        self.0.run(|_| turns::find(self.0.db(), user_id, turn_id)).await
    }

    async fn context(
        &self,
        user_id: Id,
        conversation_id: Id,
        at: Option<Id>,
    ) -> StoreResult<Option<ConversationContext>> {
        self.0
            .run(|_| async move {
                let (db, fill) = (self.0.db(), PageBuilder::of_context);
                let filled = match at {
                    None => page_of(db, user_id, conversation_id, fill).await?,
                    Some(id) => path_to(db, user_id, conversation_id, id).await?,
                };
                let Some((filled, conversation, shown)) = filled else { return Ok(None) };
                let children = match at {
                    None if shown.is_plain() => Vec::new(),
                    at => messages::children(db, conversation_id, at.or(shown.head.message_id)).await?,
                };
                let mut context = filled.into_context(conversation, &shown, children);
                messages::find_siblings(db, shown.is_branched, &mut context.messages).await?;
                Ok(Some(context))
            })
            .await
    }

    async fn changes(&self, user_id: Id, after: u64, limit: u32, now: Timestamp) -> StoreResult<Vec<Change>> {
        self.0.run(|_| changes::after(self.0.db(), user_id, after, limit, now)).await
    }
}

/// Fills a page and finds its conversation. The conversation is read last: one that still exists then was complete when its
/// messages were read. So a page of the shown branch is read as of a conversation without a fork, and again along the path
/// when the conversation has one.
async fn page_of(
    db: &Db,
    user_id: Id,
    conversation_id: Id,
    fill: impl Fn() -> PageBuilder,
) -> Attempt<Option<(PageBuilder, Conversation, Shown)>> {
    let mut builder = fill();
    messages::fill_arrived(db, conversation_id, &mut builder).await?;
    let Some((conversation, shown)) = conversations::find_shown(db, user_id, conversation_id).await? else {
        return Ok(None);
    };
    if builder.page.scope == Scope::Arrived || (shown.is_plain() && builder.is_up_to(shown.last_seq)) {
        return Ok(Some((builder, conversation, shown)));
    }
    builder = fill();
    messages::fill_path(db, conversation_id, shown.position, &mut builder).await?;
    let is_there = conversations::find(db, user_id, conversation_id).await?.is_some();
    Ok(is_there.then_some((builder, conversation, shown)))
}

/// Fills a context with the path to a message, and finds its conversation: last, as [`page_of`] does.
async fn path_to(
    db: &Db,
    user_id: Id,
    conversation_id: Id,
    message: Id,
) -> Attempt<Option<(PageBuilder, Conversation, Shown)>> {
    let Some(end) = tree::position(db, conversation_id, message).await? else { return Ok(None) };
    let mut builder = PageBuilder::of_context_at_message();
    messages::fill_path(db, conversation_id, end, &mut builder).await?;
    let found = conversations::find_shown(db, user_id, conversation_id).await?;
    Ok(found.map(|(conversation, shown)| (builder, conversation, shown)))
}
