//! Where the state lives: three ports, their adapters, and the one place that picks them.
//!
//! - [`accounts`], [`chats`], [`ephemeral`]: the ports, each method with its promise
//! - [`error`]: how a promise is not kept
//! - [`sqlite`], [`memory`]: the embedded adapters
//! - `contract`: one suite a port, run on every adapter
//!
//! Routes know the ports alone.

pub mod accounts;
pub mod chats;
pub mod ephemeral;
pub mod error;
pub mod memory;
pub mod sqlite;

#[cfg(test)]
mod contract;

use std::sync::Arc;

pub use accounts::Accounts;
pub use chats::Chats;
pub use ephemeral::Ephemeral;
pub use error::{StoreError, StoreResult};

use crate::config::stores::{AccountsStore, ChatsStore, EphemeralStore, StoresConfig};

/// The three ports, opened.
#[derive(Clone)]
pub struct Stores {
    /// Users, sessions, usage.
    pub accounts: Arc<dyn Accounts>,
    /// Conversations and messages.
    pub chats: Arc<dyn Chats>,
    /// Throttles and nonces.
    pub ephemeral: Arc<dyn Ephemeral>,
}

impl Stores {
    /// Opens what the configuration names, migrated to the newest schema. Blocks.
    pub fn open(config: &StoresConfig) -> StoreResult<Self> {
        Ok(Self {
            accounts: match &config.accounts {
                AccountsStore::Sqlite(path) => Arc::new(sqlite::SqliteAccounts::open(path)?),
            },
            chats: match &config.chats {
                ChatsStore::Sqlite(path) => Arc::new(sqlite::SqliteChats::open(path)?),
            },
            ephemeral: match config.ephemeral {
                EphemeralStore::Memory => Arc::new(memory::MemoryEphemeral::default()),
            },
        })
    }

    /// Migrates what the configuration names and opens nothing. Returns the migrations that were applied. Blocks.
    pub fn migrate(config: &StoresConfig) -> StoreResult<Vec<String>> {
        let AccountsStore::Sqlite(accounts) = &config.accounts;
        let ChatsStore::Sqlite(chats) = &config.chats;
        let mut applied = sqlite::migrate::accounts(accounts)?;
        applied.extend(sqlite::migrate::chats(chats)?);
        Ok(applied)
    }
}
