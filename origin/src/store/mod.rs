//! The stores: three ports, their adapters, and their selection by the configuration.
//!
//! - [`accounts`], [`chats`], [`ephemeral`]: the ports, each method with its contract
//! - [`error`]: the errors of stores
//! - [`sqlite`], [`memory`]: the embedded adapters
//! - [`postgres`], [`mongo`], [`redis`]: the adapters for servers
//! - [`probe`]: checks of stores
//! - `migrations`: the common parts of their migrations
//! - `values`: encodings that several adapters share
//! - `contract`: one suite a port, run on every adapter; and stores that do not answer, for tests
//!
//! Routes know the ports alone.

pub mod accounts;
pub mod chats;
pub mod ephemeral;
pub mod error;
pub mod memory;
mod migrations;
pub mod mongo;
pub mod postgres;
pub mod probe;
pub mod redis;
pub mod sqlite;
mod values;

#[cfg(test)]
pub(crate) mod contract;

use std::sync::Arc;

pub use accounts::Accounts;
pub use chats::Chats;
pub use ephemeral::Ephemeral;
pub use error::{StoreError, StoreResult};

use crate::config::stores::{AccountsStore, ChatsStore, EphemeralStore, StoresConfig};

/// The three ports, opened.
#[derive(Clone)]
pub struct Stores {
    /// Users, credentials, sessions, usage, jobs.
    pub accounts: Arc<dyn Accounts>,
    /// Conversations and messages.
    pub chats: Arc<dyn Chats>,
    /// Throttles and nonces.
    pub ephemeral: Arc<dyn Ephemeral>,
}

/// A store that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: {error}")]
pub struct OpenError {
    /// The variable that names it.
    pub variable: &'static str,
    /// The reason.
    pub error: StoreError,
}

impl OpenError {
    /// The error of the store that this variable names.
    fn of(variable: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |error| Self { variable, error }
    }

    /// Returns whether waiting may help: a server that does not answer yet.
    pub const fn is_transient(&self) -> bool {
        matches!(self.error, StoreError::Unavailable(_) | StoreError::Timeout | StoreError::Overloaded)
    }
}

impl Stores {
    /// Opens what the configuration names, migrated to the newest schema.
    pub async fn open(config: &StoresConfig) -> Result<Self, OpenError> {
        Ok(Self {
            accounts: accounts(&config.accounts).await.map_err(OpenError::of("DATABASE_URL"))?,
            chats: chats(&config.chats).await.map_err(OpenError::of("MONGODB_URL"))?,
            ephemeral: ephemeral(&config.ephemeral).await.map_err(OpenError::of("REDIS_URL"))?,
        })
    }

    /// Migrates what the configuration names and opens nothing. Returns the migrations that were applied.
    pub async fn migrate(config: &StoresConfig) -> Result<Vec<String>, OpenError> {
        let accounts = match &config.accounts {
            AccountsStore::Sqlite(path) => sqlite::migrate::accounts(path).await,
            AccountsStore::Postgres(config) => postgres::migrate::accounts(config).await,
        };
        let chats = match &config.chats {
            ChatsStore::Sqlite(path) => sqlite::migrate::chats(path).await,
            ChatsStore::Mongo(config) => mongo::MongoChats::migrate(config).await,
        };
        let mut applied = accounts.map_err(OpenError::of("DATABASE_URL"))?;
        applied.extend(chats.map_err(OpenError::of("MONGODB_URL"))?);
        Ok(applied)
    }
}

async fn accounts(config: &AccountsStore) -> StoreResult<Arc<dyn Accounts>> {
    Ok(match config {
        AccountsStore::Sqlite(path) => Arc::new(sqlite::SqliteAccounts::open(path).await?),
        AccountsStore::Postgres(config) => Arc::new(postgres::PostgresAccounts::open(config).await?),
    })
}

async fn chats(config: &ChatsStore) -> StoreResult<Arc<dyn Chats>> {
    Ok(match config {
        ChatsStore::Sqlite(path) => Arc::new(sqlite::SqliteChats::open(path).await?),
        ChatsStore::Mongo(config) => Arc::new(mongo::MongoChats::open(config).await?),
    })
}

async fn ephemeral(config: &EphemeralStore) -> StoreResult<Arc<dyn Ephemeral>> {
    Ok(match config {
        EphemeralStore::Memory => memory::MemoryEphemeral::watched(),
        EphemeralStore::Redis(config) => {
            let local = memory::MemoryEphemeral::watched();
            Arc::new(redis::RedisEphemeral::open(config, local).await?)
        }
    })
}
