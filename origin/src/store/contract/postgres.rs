//! Databases on a PostgreSQL server, one a case.

use std::sync::Arc;

use tokio_postgres::Client;

use super::servers;
use crate::{
    config::{
        Config, Vars,
        stores::{AccountsStore, PostgresConfig},
    },
    store::{
        Accounts,
        postgres::{PostgresAccounts, tls},
    },
};

/// Names the server and a database on it; the user may create others.
const SERVER: &str = "EDGECHAT_TEST_POSTGRES";

/// A database of a case; it goes with it.
pub(in crate::store) struct Database {
    /// The configuration to connect with.
    pub(in crate::store) config: PostgresConfig,
    name: String,
}

impl Database {
    /// An empty database.
    pub(in crate::store) async fn create() -> Self {
        Self::with("").await
    }

    /// An empty database with these options.
    pub(in crate::store) async fn with(options: &str) -> Self {
        let name = servers::unique_name();
        let mut config = server();
        command(&config, &format!("CREATE DATABASE {name} {options}")).await;
        config.server.dbname(&name);
        Self { config, name }
    }
}

impl Drop for Database {
    /// Drops the database, with any remaining connections, on a thread of its own: a destructor cannot wait.
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(command(&server(), &sql));
        });
        assert!(dropping.join().is_ok() || std::thread::panicking(), "the database {} stays", self.name);
    }
}

/// Runs a command on the database of a configuration.
pub(in crate::store) async fn command(config: &PostgresConfig, sql: &str) {
    client(config).await.batch_execute(sql).await.unwrap();
}

/// A connection to the database of a configuration, outside of any pool and in the adapter's schema. It lasts as long as
/// the client.
pub(in crate::store) async fn client(config: &PostgresConfig) -> Client {
    let connector = tls::connector(config.tls.as_ref()).unwrap();
    let (client, connection) = config.server.connect(connector).await.unwrap();
    // Errors of the connection are returned by the client.
    tokio::spawn(connection);
    client.batch_execute("SET search_path = edgechat").await.unwrap();
    client
}

/// The server, as the origin would read its address.
fn server() -> PostgresConfig {
    config(&servers::url(SERVER))
}

/// Parses an address as the origin does.
pub(in crate::store) fn config(url: &str) -> PostgresConfig {
    let vars: Vars = [
        ("DATABASE_URL", url),
        ("DATABASE_POOL_SIZE", "8"),
        ("JWT_SECRET", "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c"),
    ]
    .into_iter()
    .collect();
    match Config::read(&vars).unwrap().stores.accounts {
        AccountsStore::Postgres(config) => *config,
        AccountsStore::Sqlite(path) => panic!("{SERVER} names a file, {}", path.display()),
    }
}

/// A store in a database of its own.
pub(super) async fn accounts() -> (Arc<dyn Accounts>, Database) {
    let database = Database::create().await;
    (Arc::new(PostgresAccounts::open(&database.config).await.unwrap()), database)
}

/// The stores of two processes on a database of their own.
pub(super) async fn two_accounts() -> ([Arc<dyn Accounts>; 2], Database) {
    let database = Database::create().await;
    let one = PostgresAccounts::open(&database.config).await.unwrap();
    let other = PostgresAccounts::open(&database.config).await.unwrap();
    ([Arc::new(one), Arc::new(other)], database)
}
