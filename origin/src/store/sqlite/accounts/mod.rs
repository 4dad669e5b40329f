//! The accounts port on SQLite. Statements are in [`users`], [`sessions`] and [`usage`].

mod sessions;
mod usage;
mod users;

use std::path::Path;

use async_trait::async_trait;
use shared::{api::account::User, id::Id, time::Timestamp};

use super::{engine::Engine, migrate};
use crate::store::{
    accounts::{
        Accounts, Credential, NewSession, RefreshExchange, RefreshOutcome, Registration, SessionOfUser,
        UsageEntry, UsageOutcome, UsageRow,
    },
    error::StoreResult,
};

/// Users, credentials, sessions and usage in one SQLite file.
pub struct SqliteAccounts(Engine);

impl SqliteAccounts {
    /// Opens the file, made and migrated where needed.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        migrate::accounts(path).await?;
        Engine::open("accounts", path).map(Self)
    }
}

#[async_trait]
impl Accounts for SqliteAccounts {
    fn backend(&self) -> &'static str {
        "sqlite"
    }

    async fn ping(&self) -> StoreResult<()> {
        self.0.check_threads()?;
        self.0
            .read(|c| {
                Ok(c.query_one("SELECT count(*) FROM (SELECT 1 FROM users LIMIT 1)", [], |_| Ok(()))?)
            })
            .await
    }

    async fn register(
        &self,
        user: User,
        password_hash: String,
        session: NewSession,
    ) -> StoreResult<Registration> {
        self.0
            .write(move |c| {
                if let Some(refused) = users::insert(c, &user, &password_hash)? {
                    return Ok(refused);
                }
                sessions::insert(c, &session)?;
                Ok(Registration::Created)
            })
            .await
    }

    async fn credential(&self, email: String, network: Option<String>) -> StoreResult<Option<Credential>> {
        self.0.read(move |c| users::credential(c, &email, network.as_deref())).await
    }

    async fn replace_password_hash(&self, user_id: Id, old: String, new: String) -> StoreResult<bool> {
        self.0.write(move |c| users::replace_password_hash(c, user_id, &old, &new)).await
    }

    async fn open_session(&self, session: NewSession, forget_before: Timestamp) -> StoreResult<bool> {
        self.0
            .write(move |c| {
                if !users::exists(c, session.user_id)? {
                    return Ok(false);
                }
                sessions::forget(c, session.user_id, forget_before)?;
                sessions::insert(c, &session)?;
                Ok(true)
            })
            .await
    }

    async fn session(&self, user_id: Id, session_id: Id) -> StoreResult<Option<SessionOfUser>> {
        self.0
            .read(move |c| Ok(sessions::find(c, session_id)?.filter(|session| session.user.id == user_id)))
            .await
    }

    async fn exchange_refresh(&self, exchange: RefreshExchange) -> StoreResult<RefreshOutcome> {
        self.0.write(move |c| sessions::exchange_refresh(c, &exchange)).await
    }

    async fn record_usage(&self, entry: UsageEntry) -> StoreResult<UsageOutcome> {
        self.0
            .write(move |c| {
                if !users::exists(c, entry.user_id)? {
                    return Ok(UsageOutcome::NoUser);
                }
                usage::record(c, &entry)
            })
            .await
    }

    async fn usage(&self, user_id: Id, first_day: String, last_day: String) -> StoreResult<Vec<UsageRow>> {
        self.0.read(move |c| usage::by_day_and_model(c, user_id, &first_day, &last_day)).await
    }
}
