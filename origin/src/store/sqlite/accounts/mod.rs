//! The accounts port on SQLite: a trait a file, with its statements.

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

use std::path::Path;

use async_trait::async_trait;

use super::{engine::Engine, migrate};
use crate::store::{accounts::Backend, error::StoreResult};

/// Users, credentials, sessions, usage and jobs in one SQLite file.
pub struct SqliteAccounts(Engine);

impl SqliteAccounts {
    /// Opens the file, made and migrated where needed.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        migrate::accounts(path).await?;
        Engine::open("accounts", path).map(Self)
    }

    /// A store whose threads have ended.
    #[cfg(test)]
    pub(in crate::store) fn stopped() -> Self {
        Self(Engine::stopped())
    }
}

#[async_trait]
impl Backend for SqliteAccounts {
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
}
