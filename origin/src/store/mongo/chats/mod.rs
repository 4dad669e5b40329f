//! The chats port on MongoDB. Operations are in [`conversations`], [`deletions`], [`messages`], [`tree`], [`cuts`],
//! [`message_deletions`], [`turns`], [`stats`], [`changes`] and [`users`].

mod changes;
mod conversations;
mod cuts;
mod deletions;
mod message_deletions;
mod messages;
mod stats;
mod tree;
mod turns;
mod users;

use async_trait::async_trait;
use shared::{
    api::{
        chat::{ChatStats, Conversation, UpdateConversation},
        internal::{ConversationContext, StoredTurn, TurnDelivery},
    },
    id::Id,
    time::Timestamp,
};

use self::conversations::Found;
use super::{
    engine::{Db, Engine},
    fault::Attempt,
    indexes,
};
use crate::{
    config::stores::MongoConfig,
    store::{
        chats::{
            Change, Chats, ConversationsPage, DeletedPage, Messages, MessagesPage, PageBuilder, Scope,
            Updated,
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

    async fn delete_conversation(&self, user_id: Id, id: Id, now: Timestamp) -> StoreResult<bool> {
        self.0.run(|attempt| deletions::delete(self.0.db(), user_id, id, now, attempt > 0)).await
    }

    async fn undelete_conversation(
        &self,
        user_id: Id,
        id: Id,
        since: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Option<Conversation>> {
        self.0.run(|_| deletions::undelete(self.0.db(), user_id, id, since, now)).await
    }

    async fn deleted_conversations(&self, user_id: Id, page: DeletedPage) -> StoreResult<Vec<Conversation>> {
        self.0.run(|_| deletions::page(self.0.db(), user_id, page)).await
    }

    async fn purge_conversations(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        self.0.run(|_| deletions::purge(self.0.db(), before, limit)).await
    }

    async fn delete_message(
        &self,
        user_id: Id,
        conversation_id: Id,
        message_id: Id,
        now: Timestamp,
    ) -> StoreResult<bool> {
        let delete = |attempt| {
            let is_repeated = attempt > 0;
            message_deletions::delete(self.0.db(), user_id, conversation_id, message_id, now, is_repeated)
        };
        self.0.run(delete).await
    }

    async fn stats(&self, user_id: Id) -> StoreResult<ChatStats> {
        self.0.run(|_| stats::of(self.0.db(), user_id)).await
    }

    async fn move_conversations(&self, from: Id, to: Id, limit: u32) -> StoreResult<u64> {
        self.0.run(|_| deletions::give(self.0.db(), from, to, limit)).await
    }

    async fn delete_conversations(&self, user_id: Id, limit: u32) -> StoreResult<u64> {
        self.0.run(|_| deletions::delete_many(self.0.db(), user_id, limit)).await
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
                let Some((filled, of_it)) = page_of(self.0.db(), user_id, conversation_id, fill).await?
                else {
                    return Ok(None);
                };
                let mut found = filled.into_messages();
                messages::find_siblings(self.0.db(), of_it.shown.is_branched, &mut found.items).await?;
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
                let Some((filled, of_it)) = filled else { return Ok(None) };
                let Found { conversation, shown, .. } = of_it;
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
) -> Attempt<Option<(PageBuilder, Found)>> {
    let mut builder = fill();
    let is_kept = builder.page.scope == Scope::Kept;
    messages::fill_arrived(db, conversation_id, &mut builder).await?;
    let found = conversations::find_shown(db, user_id, conversation_id, is_kept).await?;
    let Some(found) = found else { return Ok(None) };
    if let Some(root) = found.cutting {
        cuts::complete(db, conversation_id, root).await?;
        builder = fill();
        messages::fill_arrived(db, conversation_id, &mut builder).await?;
    }
    let shown = &found.shown;
    if builder.page.scope != Scope::Shown || (shown.is_plain() && builder.is_up_to(shown.last_seq)) {
        return Ok(Some((builder, found)));
    }
    builder = fill();
    messages::fill_path(db, conversation_id, shown.position, &mut builder).await?;
    let is_there = conversations::find(db, user_id, conversation_id).await?.is_some();
    Ok(is_there.then_some((builder, found)))
}

/// Fills a context with the path to a message, and finds its conversation: last, as [`page_of`] does.
async fn path_to(
    db: &Db,
    user_id: Id,
    conversation_id: Id,
    message: Id,
) -> Attempt<Option<(PageBuilder, Found)>> {
    let Some(mut builder) = fill_path_to(db, conversation_id, message).await? else { return Ok(None) };
    let found = conversations::find_shown(db, user_id, conversation_id, false).await?;
    let Some(found) = found else { return Ok(None) };
    if let Some(root) = found.cutting {
        cuts::complete(db, conversation_id, root).await?;
        let Some(rest) = fill_path_to(db, conversation_id, message).await? else { return Ok(None) };
        builder = rest;
    }
    Ok(Some((builder, found)))
}

async fn fill_path_to(db: &Db, conversation_id: Id, message: Id) -> Attempt<Option<PageBuilder>> {
    let Some(end) = tree::position(db, conversation_id, message).await? else { return Ok(None) };
    let mut builder = PageBuilder::of_context_at_message();
    messages::fill_path(db, conversation_id, end, &mut builder).await?;
    Ok(Some(builder))
}
