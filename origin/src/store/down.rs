//! A store that does not answer, of any port. As short-lived state it does not even answer from the process's memory: the
//! worst that port allows.

use async_trait::async_trait;
use shared::{
    api::{
        account::User,
        chat::{Conversation, UpdateConversation},
        internal::{ConversationContext, StoredTurn, TurnDelivery},
    },
    id::Id,
    limits::{
        gcra::{Gcra, GcraDecision},
        window::FixedWindow,
    },
    time::Timestamp,
};

use crate::store::{
    Accounts, Chats, Ephemeral, StoreError, StoreResult,
    accounts::{
        Credential, NewSession, RefreshExchange, RefreshOutcome, Registration, SessionOfUser, UsageEntry,
        UsageOutcome, UsageRow,
    },
    chats::{Change, ConversationsPage, Messages, MessagesPage, Updated},
    ephemeral::{CacheGroup, Cached, CodeOutcome, OneTimeCode, WindowDecision},
};

pub(crate) struct Down;

fn down<T>() -> StoreResult<T> {
    Err(StoreError::Unavailable("a secret of the inside".to_owned()))
}

#[async_trait]
impl Ephemeral for Down {
    fn backend(&self) -> &'static str {
        "down"
    }

    async fn ping(&self) -> StoreResult<()> {
        down()
    }

    async fn count(&self, _: &str, _: FixedWindow, _: Timestamp) -> StoreResult<WindowDecision> {
        down()
    }

    async fn take_back(&self, _: &str, _: FixedWindow, _: Timestamp) -> StoreResult<()> {
        down()
    }

    async fn forget(&self, _: &str) -> StoreResult<()> {
        down()
    }

    async fn admit(&self, _: &str, _: Gcra, _: Timestamp) -> StoreResult<GcraDecision> {
        down()
    }

    async fn first_seen(&self, _: &str, _: Timestamp, _: Timestamp) -> StoreResult<bool> {
        down()
    }

    async fn remember(&self, _: &str, _: Vec<u8>, _: Timestamp, _: Timestamp) -> StoreResult<Vec<u8>> {
        down()
    }

    async fn recall(&self, _: &str, _: Timestamp) -> StoreResult<Option<Vec<u8>>> {
        down()
    }

    async fn put_code(&self, _: &str, _: OneTimeCode, _: Timestamp) -> StoreResult<()> {
        down()
    }

    async fn try_code(&self, _: &str, _: [u8; 32], _: Timestamp) -> StoreResult<CodeOutcome> {
        down()
    }

    async fn cached(&self, _: CacheGroup, _: &str, lease: Id, _: Timestamp) -> Cached {
        Cached { value: None, lease }
    }

    async fn fill(&self, _: CacheGroup, _: &str, _: Id, _: Vec<u8>, _: Timestamp, _: Timestamp) {}

    async fn invalidate(&self, _: CacheGroup) {}

    async fn settle(&self) {}
}

#[async_trait]
impl Accounts for Down {
    fn backend(&self) -> &'static str {
        "down"
    }

    async fn ping(&self) -> StoreResult<()> {
        down()
    }

    async fn register(&self, _: User, _: String, _: NewSession) -> StoreResult<Registration> {
        down()
    }

    async fn credential(&self, _: String, _: Option<String>) -> StoreResult<Option<Credential>> {
        down()
    }

    async fn replace_password_hash(&self, _: Id, _: String, _: String) -> StoreResult<bool> {
        down()
    }

    async fn open_session(&self, _: NewSession, _: Timestamp) -> StoreResult<bool> {
        down()
    }

    async fn session(&self, _: Id, _: Id) -> StoreResult<Option<SessionOfUser>> {
        down()
    }

    async fn exchange_refresh(&self, _: RefreshExchange) -> StoreResult<RefreshOutcome> {
        down()
    }

    async fn record_usage(&self, _: UsageEntry) -> StoreResult<UsageOutcome> {
        down()
    }

    async fn usage(&self, _: Id, _: String, _: String) -> StoreResult<Vec<UsageRow>> {
        down()
    }
}

#[async_trait]
impl Chats for Down {
    fn backend(&self) -> &'static str {
        "down"
    }

    async fn ping(&self) -> StoreResult<()> {
        down()
    }

    async fn create_conversation(&self, _: Id, _: Conversation) -> StoreResult<()> {
        down()
    }

    async fn conversation(&self, _: Id, _: Id) -> StoreResult<Option<Conversation>> {
        down()
    }

    async fn conversations(&self, _: Id, _: ConversationsPage) -> StoreResult<Vec<Conversation>> {
        down()
    }

    async fn update_conversation(
        &self,
        _: Id,
        _: Id,
        _: UpdateConversation,
        _: Timestamp,
    ) -> StoreResult<Updated> {
        down()
    }

    async fn delete_conversation(&self, _: Id, _: Id) -> StoreResult<bool> {
        down()
    }

    async fn messages(&self, _: Id, _: Id, _: MessagesPage) -> StoreResult<Option<Messages>> {
        down()
    }

    async fn record_turn(&self, _: TurnDelivery) -> StoreResult<Option<u64>> {
        down()
    }

    async fn turn(&self, _: Id, _: Id) -> StoreResult<Option<StoredTurn>> {
        down()
    }

    async fn context(&self, _: Id, _: Id) -> StoreResult<Option<ConversationContext>> {
        down()
    }

    async fn changes(&self, _: Id, _: u64, _: u32, _: Timestamp) -> StoreResult<Vec<Change>> {
        down()
    }
}
