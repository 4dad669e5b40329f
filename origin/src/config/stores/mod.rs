//! The stores: one variable per port, each with an embedded default.
//!
//! - [`sqlite`]: files of the embedded default
//! - [`postgres`], [`mongo`], [`redis`]: addresses of servers

pub mod mongo;
pub mod postgres;
pub mod redis;
mod sqlite;

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub use mongo::MongoConfig;
pub use postgres::PostgresConfig;
pub use redis::RedisConfig;

use super::{
    process::{Environment, ProcessConfig},
    reader::{Reader, quoted},
};

const DATABASE_WANTED: &str = "it should hold the path of an SQLite file, such as sqlite://.edgechat/edgechat.db, or the \
                               address of a PostgreSQL server, such as postgres://user:password@host:5432/edgechat";

/// The store of each port.
#[derive(Clone, Debug)]
pub struct StoresConfig {
    /// Users, sessions, usage: `DATABASE_URL`, default `sqlite://.edgechat/edgechat.db`.
    pub accounts: AccountsStore,
    /// Conversations and messages: `MONGODB_URL`, default an SQLite file beside the accounts.
    pub chats: ChatsStore,
    /// Short-lived state: `REDIS_URL`, default the process itself.
    pub ephemeral: EphemeralStore,
}

/// The store of the accounts port.
#[derive(Clone, Debug)]
pub enum AccountsStore {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(Box<PostgresConfig>),
}

/// The store of the chats port.
#[derive(Clone, Debug)]
pub enum ChatsStore {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A MongoDB server.
    Mongo(MongoConfig),
}

/// The store of the ephemeral port.
#[derive(Clone, Debug)]
pub enum EphemeralStore {
    /// The process's memory, which is lost with the process and not shared.
    Memory,
    /// A Redis server or cluster.
    Redis(RedisConfig),
}

impl StoresConfig {
    pub(super) fn read(reader: &mut Reader<'_>, process: &ProcessConfig) -> Self {
        let accounts = accounts(reader);
        let beside = match &accounts {
            AccountsStore::Sqlite(file) => file.as_path(),
            AccountsStore::Postgres(_) => Path::new(sqlite::DEFAULT_FILE),
        };
        let chats = match MongoConfig::read(reader) {
            Some(config) => ChatsStore::Mongo(config),
            None => ChatsStore::Sqlite(sqlite::chats_file(beside)),
        };
        let ephemeral = match RedisConfig::read(reader) {
            Some(config) => EphemeralStore::Redis(config),
            None => EphemeralStore::Memory,
        };
        let stores = Self { accounts, chats, ephemeral };
        if process.replicas > 1 && process.environment == Environment::Production {
            stores.refuse_embedded(reader, process.replicas);
        }
        stores
    }

    /// Refuses embedded stores where several processes serve.
    fn refuse_embedded(&self, reader: &mut Reader<'_>, replicas: u64) {
        let embedded = [
            ("DATABASE_URL", matches!(self.accounts, AccountsStore::Sqlite(_)), "a PostgreSQL server"),
            ("MONGODB_URL", matches!(self.chats, ChatsStore::Sqlite(_)), "a MongoDB server"),
            ("REDIS_URL", matches!(self.ephemeral, EphemeralStore::Memory), "a Redis server"),
        ];
        for (variable, _, wanted) in embedded.into_iter().filter(|(_, is_embedded, _)| *is_embedded) {
            reader.wrong(
                variable,
                format!("is embedded in one process, and EDGECHAT_REPLICAS held {replicas}"),
                format!("it should name {wanted} that all replicas share, or EDGECHAT_REPLICAS should be 1"),
            );
        }
    }
}

impl fmt::Display for AccountsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "SQLite, {}", path.display()),
            Self::Postgres(config) => write!(f, "PostgreSQL, {config}"),
        }
    }
}

impl fmt::Display for ChatsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "SQLite, {}", path.display()),
            Self::Mongo(config) => write!(f, "MongoDB, {config}"),
        }
    }
}

impl fmt::Display for EphemeralStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("in this process"),
            Self::Redis(config) => write!(f, "Redis, {config}"),
        }
    }
}

fn accounts(reader: &mut Reader<'_>) -> AccountsStore {
    let default = AccountsStore::Sqlite(PathBuf::from(sqlite::DEFAULT_FILE));
    let Some(url) = reader.text("DATABASE_URL") else { return default };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match scheme.split('+').next().unwrap_or(scheme) {
        "sqlite" => sqlite::file(rest).map_or_else(
            || {
                reader.wrong("DATABASE_URL", quoted(url), DATABASE_WANTED);
                default
            },
            AccountsStore::Sqlite,
        ),
        "postgres" | "postgresql" => match PostgresConfig::read(reader, rest) {
            Some(config) => AccountsStore::Postgres(Box::new(config)),
            None => default,
        },
        // The value may have a password after an unknown scheme.
        _ => {
            let held = "held something that is neither an SQLite nor a PostgreSQL address";
            reader.wrong("DATABASE_URL", held, DATABASE_WANTED);
            default
        }
    }
}
