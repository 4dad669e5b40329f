//! The steps of a deletion. The user object comes first: it stops running turns and delivers nothing any more, so that what is removed
//! after it stays away. The accounts come last, because they know that there is something to delete.

use std::sync::Arc;

use async_trait::async_trait;
use shared::{
    api::internal::user_event::{AddressedEvent, UserEvent},
    id::Id,
};

use crate::{
    clock::Clock,
    events::EventDelivery,
    jobs::{JobError, Progress, apple::schedule_revocations},
    random::Random,
    store::{Accounts, Chats, Ephemeral, ephemeral::CacheGroup},
};

/// The most conversations that go at once; each may have many messages.
const CONVERSATIONS_AT_ONCE: u32 = 10;
/// The most rows of a table of the accounts that go at once. Each session has the refresh tokens of its last days.
const ROWS_AT_ONCE: u32 = 50;

/// A step of a deletion.
#[async_trait]
pub trait Step: Send + Sync + 'static {
    /// Returns what it deletes, for the log.
    fn name(&self) -> &'static str;

    /// Deletes a bounded part for a user, and returns whether there is more. Repeated, it does no harm.
    ///
    /// # Errors
    ///
    /// Fails when it is to be repeated.
    async fn run(&self, user_id: Id) -> Result<Progress, JobError>;
}

/// The user object, which forgets all but that the user was deleted. Where the origin has no address of the Worker, the object keeps what
/// it has until that is out of date.
pub struct UserObject {
    /// The way to the Worker.
    pub events: Arc<EventDelivery>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub random: Arc<dyn Random>,
}

#[async_trait]
impl Step for UserObject {
    fn name(&self) -> &'static str {
        "the user object"
    }

    async fn run(&self, user_id: Id) -> Result<Progress, JobError> {
        let at = self.clock.now();
        let event = AddressedEvent { id: self.random.id(at), user_id, at, event: UserEvent::UserDeleted };
        if self.events.has_worker() && !self.events.post_ahead(vec![event]).await {
            return Err("the Worker did not acknowledge it".into());
        }
        Ok(Progress::Done)
    }
}

/// Tokens that providers gave us for the user: each is revoked by a job of its own, which needs nothing of the account.
pub struct ProviderTokens {
    /// The accounts.
    pub accounts: Arc<dyn Accounts>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub random: Arc<dyn Random>,
}

#[async_trait]
impl Step for ProviderTokens {
    fn name(&self) -> &'static str {
        "tokens of providers"
    }

    async fn run(&self, user_id: Id) -> Result<Progress, JobError> {
        schedule_revocations(&*self.accounts, &*self.random, user_id, self.clock.now()).await?;
        Ok(Progress::Done)
    }
}

/// Conversations with their messages and turns.
pub struct Conversations(pub Arc<dyn Chats>);

#[async_trait]
impl Step for Conversations {
    fn name(&self) -> &'static str {
        "conversations"
    }

    async fn run(&self, user_id: Id) -> Result<Progress, JobError> {
        Ok(progress(self.0.delete_conversations(user_id, CONVERSATIONS_AT_ONCE).await?))
    }
}

/// Conversations that were stored since, and the records that some were deleted.
pub struct ForgottenConversations(pub Arc<dyn Chats>);

#[async_trait]
impl Step for ForgottenConversations {
    fn name(&self) -> &'static str {
        "records of deleted conversations"
    }

    async fn run(&self, user_id: Id) -> Result<Progress, JobError> {
        Ok(progress(self.0.forget_user(user_id, CONVERSATIONS_AT_ONCE).await?))
    }
}

/// Short-lived state. What is kept by user is dropped; what is kept by address, such as counts of guesses, ends by itself within a day,
/// and must not start anew with a new account.
pub struct ShortLived(pub Arc<dyn Ephemeral>);

#[async_trait]
impl Step for ShortLived {
    fn name(&self) -> &'static str {
        "short-lived state"
    }

    async fn run(&self, user_id: Id) -> Result<Progress, JobError> {
        self.0.invalidate(CacheGroup::SessionsOf(user_id)).await;
        self.0.invalidate(CacheGroup::ConversationsOf(user_id)).await;
        Ok(Progress::Done)
    }
}

/// The rows of the accounts that may be many. The others go with the user's own.
pub struct AccountRows(pub Arc<dyn Accounts>);

#[async_trait]
impl Step for AccountRows {
    fn name(&self) -> &'static str {
        "rows of the account"
    }

    async fn run(&self, user_id: Id) -> Result<Progress, JobError> {
        Ok(progress(self.0.delete_user_rows(user_id, ROWS_AT_ONCE).await?))
    }
}

const fn progress(gone: u64) -> Progress {
    if gone == 0 { Progress::Done } else { Progress::More }
}
