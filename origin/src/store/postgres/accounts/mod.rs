//! The accounts port on PostgreSQL. Statements are in [`users`], [`sessions`] and [`usage`].

mod sessions;
mod usage;
mod users;

use async_trait::async_trait;
use shared::{api::account::User, id::Id, time::Timestamp};

use super::{
    migrate,
    pool::{Limits, Pool},
};
use crate::{
    config::stores::PostgresConfig,
    store::{
        accounts::{
            Accounts, Credential, NewSession, RefreshExchange, RefreshOutcome, Registration, SessionOfUser,
            UsageEntry, UsageOutcome, UsageRow,
        },
        error::StoreResult,
    },
};

/// Users, credentials, sessions and usage in a PostgreSQL database.
pub struct PostgresAccounts(Pool);

impl PostgresAccounts {
    /// Opens the database, migrated where needed.
    pub async fn open(config: &PostgresConfig) -> StoreResult<Self> {
        migrate::accounts(config).await?;
        Self::connect(config, Limits::DEFAULT)
    }

    /// Opens a database that has its tables.
    pub(super) fn connect(config: &PostgresConfig, limits: Limits) -> StoreResult<Self> {
        Pool::new(config, limits).map(Self)
    }
}

#[async_trait]
impl Accounts for PostgresAccounts {
    fn backend(&self) -> &'static str {
        "postgresql"
    }

    async fn ping(&self) -> StoreResult<()> {
        self.0.run(|c| async move { users::answer(&c).await }).await
    }

    async fn register(
        &self,
        user: User,
        password_hash: String,
        session: NewSession,
    ) -> StoreResult<Registration> {
        let (user, password_hash, session) = (&user, &password_hash, &session);
        self.0.run(|c| async move { users::register(&c, user, password_hash, session).await }).await
    }

    async fn credential(&self, email: String, network: Option<String>) -> StoreResult<Option<Credential>> {
        let (email, network) = (&email, network.as_deref());
        self.0.run(|c| async move { users::credential(&c, email, network).await }).await
    }

    async fn replace_password_hash(&self, user_id: Id, old: String, new: String) -> StoreResult<bool> {
        let (old, new) = (&old, &new);
        self.0.run(|c| async move { users::replace_password_hash(&c, user_id, old, new).await }).await
    }

    async fn open_session(&self, session: NewSession, forget_before: Timestamp) -> StoreResult<bool> {
        let session = &session;
        self.0.run(|c| async move { sessions::open(&c, session, forget_before).await }).await
    }

    async fn session(&self, user_id: Id, session_id: Id) -> StoreResult<Option<SessionOfUser>> {
        self.0.run(|c| async move { sessions::find(&c, user_id, session_id).await }).await
    }

    async fn exchange_refresh(&self, exchange: RefreshExchange) -> StoreResult<RefreshOutcome> {
        let exchange = &exchange;
        self.0.run(|c| async move { sessions::exchange_refresh(&c, exchange).await }).await
    }

    async fn record_usage(&self, entry: UsageEntry) -> StoreResult<UsageOutcome> {
        let entry = &entry;
        self.0.run(|c| async move { usage::record(&c, entry).await }).await
    }

    async fn usage(&self, user_id: Id, first_day: String, last_day: String) -> StoreResult<Vec<UsageRow>> {
        let (first_day, last_day) = (&first_day, &last_day);
        self.0.run(|c| async move { usage::by_day_and_model(&c, user_id, first_day, last_day).await }).await
    }
}
