//! The accounts port on PostgreSQL: a trait a file, with its statements.

mod addresses;
mod audit;
mod consents;
mod credentials;
mod deletions;
mod events;
mod guests;
mod identities;
mod jobs;
mod passkeys;
mod password_resets;
mod sessions;
mod suspensions;
mod token_keys;
mod usage;
mod users;

use async_trait::async_trait;

use super::{
    migrate,
    pool::{Limits, Pool},
};
use crate::{
    config::stores::PostgresConfig,
    store::{accounts::Backend, error::StoreResult},
};

/// Users, credentials, sessions, usage and jobs in a PostgreSQL database.
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
impl Backend for PostgresAccounts {
    fn backend(&self) -> &'static str {
        "postgresql"
    }

    async fn ping(&self) -> StoreResult<()> {
        self.0.run(|c| async move { c.rows("SELECT FROM users LIMIT 1", &[]).await.map(drop) }).await
    }
}
