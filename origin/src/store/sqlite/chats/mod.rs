//! The chats port on SQLite. Statements are in [`conversations`], [`deletions`], [`messages`], [`tree`], [`cuts`], [`turns`],
//! [`stats`] and [`changes`].

mod changes;
mod conversations;
mod cuts;
mod deletions;
mod messages;
mod stats;
mod tree;
mod turns;

#[cfg(test)]
mod tests;

use std::path::Path;

use async_trait::async_trait;
use shared::{
    api::{
        chat::{ChatStats, Conversation, UpdateConversation},
        internal::{ConversationContext, StoredTurn, TurnDelivery},
    },
    id::Id,
    time::Timestamp,
};

use super::{engine::Engine, migrate};
use crate::store::{
    chats::{
        Change, Chats, ConversationsPage, DeletedPage, Messages, MessagesPage, PageBuilder, Scope, Updated,
    },
    error::StoreResult,
};

/// Conversations, messages and turns in one SQLite file.
pub struct SqliteChats(Engine);

impl SqliteChats {
    /// Opens the file, created and migrated where needed.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        migrate::chats(path).await?;
        Engine::open("chats", path).map(Self)
    }

    /// A store whose threads have ended.
    #[cfg(test)]
    pub(in crate::store) fn stopped() -> Self {
        Self(Engine::stopped())
    }
}

#[async_trait]
impl Chats for SqliteChats {
    fn backend(&self) -> &'static str {
        "sqlite"
    }

    async fn ping(&self) -> StoreResult<()> {
        self.0.check_threads()?;
        let sql = "SELECT count(*) FROM (SELECT 1 FROM conversations LIMIT 1)";
        self.0.read(move |c| Ok(c.query_one(sql, [], |_| Ok(()))?)).await
    }

    async fn create_conversation(&self, user_id: Id, conversation: Conversation) -> StoreResult<()> {
        self.0.write(move |c| conversations::insert(c, user_id, &conversation)).await
    }

    async fn conversation(&self, user_id: Id, id: Id) -> StoreResult<Option<Conversation>> {
        self.0.read(move |c| conversations::find(c, user_id, id)).await
    }

    async fn conversations(&self, user_id: Id, page: ConversationsPage) -> StoreResult<Vec<Conversation>> {
        self.0.read(move |c| conversations::page(c, user_id, page)).await
    }

    async fn update_conversation(
        &self,
        user_id: Id,
        id: Id,
        update: UpdateConversation,
        now: Timestamp,
    ) -> StoreResult<Updated> {
        self.0.write(move |c| conversations::update(c, user_id, id, &update, now)).await
    }

    async fn delete_conversation(&self, user_id: Id, id: Id, now: Timestamp) -> StoreResult<bool> {
        self.0.write(move |c| deletions::delete(c, user_id, id, now)).await
    }

    async fn undelete_conversation(
        &self,
        user_id: Id,
        id: Id,
        since: Timestamp,
        now: Timestamp,
    ) -> StoreResult<Option<Conversation>> {
        self.0.write(move |c| conversations::undelete(c, user_id, id, since, now)).await
    }

    async fn deleted_conversations(&self, user_id: Id, page: DeletedPage) -> StoreResult<Vec<Conversation>> {
        self.0.read(move |c| conversations::deleted_page(c, user_id, page)).await
    }

    async fn purge_conversations(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        self.0.write(move |c| deletions::purge(c, before, limit)).await
    }

    async fn delete_message(
        &self,
        user_id: Id,
        conversation_id: Id,
        message_id: Id,
        now: Timestamp,
    ) -> StoreResult<bool> {
        self.0.write(move |c| cuts::delete(c, user_id, conversation_id, message_id, now)).await
    }

    async fn stats(&self, user_id: Id) -> StoreResult<ChatStats> {
        self.0
            .read(move |c| {
                let _snapshot = c.unchecked_transaction()?;
                stats::of(c, user_id)
            })
            .await
    }

    async fn move_conversations(&self, from: Id, to: Id, limit: u32) -> StoreResult<u64> {
        self.0.write(move |c| deletions::give(c, from, to, limit)).await
    }

    async fn delete_conversations(&self, user_id: Id, limit: u32) -> StoreResult<u64> {
        self.0.write(move |c| deletions::delete_many(c, user_id, limit)).await
    }

    async fn forget_user(&self, user_id: Id, limit: u32) -> StoreResult<u64> {
        self.0
            .write(move |c| match deletions::delete_many(c, user_id, limit)? {
                0 => changes::forget(c, user_id, limit),
                gone => Ok(gone),
            })
            .await
    }

    async fn messages(
        &self,
        user_id: Id,
        conversation_id: Id,
        page: MessagesPage,
    ) -> StoreResult<Option<Messages>> {
        self.0
            .read(move |c| {
                let _snapshot = c.unchecked_transaction()?;
                let kept = conversations::kept(c, user_id, conversation_id)?;
                let Some(kept) = kept.filter(|kept| page.scope == Scope::Kept || !kept.is_deleted) else {
                    return Ok(None);
                };
                let (shown, mut builder) = (kept.shown, PageBuilder::of(page));
                match page.scope {
                    Scope::Shown => messages::fill_path(c, conversation_id, shown.position, &mut builder)?,
                    Scope::Arrived | Scope::Kept => {
                        messages::fill_arrived(c, conversation_id, &mut builder)?;
                    }
                }
                let mut found = builder.into_messages();
                messages::find_siblings(c, shown.is_branched, &mut found.items)?;
                Ok(Some(found))
            })
            .await
    }

    async fn record_turn(&self, delivery: TurnDelivery) -> StoreResult<Option<u64>> {
        self.0.write(move |c| turns::record(c, &delivery)).await
    }

    async fn turn(&self, user_id: Id, turn_id: Id) -> StoreResult<Option<StoredTurn>> {
        self.0
            .read(move |c| {
                let _snapshot = c.unchecked_transaction()?;
                turns::find(c, user_id, turn_id)
            })
            .await
    }

    async fn context(
        &self,
        user_id: Id,
        conversation_id: Id,
        at: Option<Id>,
    ) -> StoreResult<Option<ConversationContext>> {
        self.0
            .read(move |c| {
                let _snapshot = c.unchecked_transaction()?;
                messages::context(c, user_id, conversation_id, at)
            })
            .await
    }

    async fn changes(
        &self,
        user_id: Id,
        after: u64,
        limit: u32,
        _now: Timestamp,
    ) -> StoreResult<Vec<Change>> {
        self.0.read(move |c| changes::after(c, user_id, after, limit)).await
    }
}
