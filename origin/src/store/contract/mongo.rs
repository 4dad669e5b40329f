//! Opening the chats port on a MongoDB server, each case in a database of its own.

use std::{sync::Arc, time::Duration};

use mongodb::Database;

use super::servers;
use crate::{
    config::stores::MongoConfig,
    store::{Chats, mongo::MongoChats},
};

const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// A store in a new database of the server that this variable names.
pub(super) async fn chats(variable: &str) -> (Arc<dyn Chats>, Dropped) {
    let (store, dropped) = open(&config(&servers::url(variable))).await;
    (store, dropped)
}

/// Opens a store on the server that keeps acknowledged writes when it is killed: the same one, where that is a real one.
pub(super) async fn durable_chats() -> (Arc<dyn Chats>, Dropped) {
    let is_named = std::env::var_os("EDGECHAT_TEST_MONGO_DURABLE").is_some();
    chats(if is_named { "EDGECHAT_TEST_MONGO_DURABLE" } else { "EDGECHAT_TEST_MONGO" }).await
}

/// The address of the server for semantics and races.
pub(in crate::store) fn url() -> String {
    servers::url("EDGECHAT_TEST_MONGO")
}

/// A database of its own on a server.
pub(in crate::store) fn config(url: &str) -> MongoConfig {
    let mut config = MongoConfig::parse(url).expect("the address of a MongoDB server");
    config.database = servers::unique_name();
    config
}

/// A store in this database, and what drops the database.
pub(in crate::store) async fn open(config: &MongoConfig) -> (Arc<MongoChats>, Dropped) {
    let store = MongoChats::open(config).await.unwrap();
    let database = store.database().clone();
    (Arc::new(store), Dropped(database))
}

/// Drops the database at the end of its case.
pub(in crate::store) struct Dropped(Database);

impl Drop for Dropped {
    fn drop(&mut self) {
        let dropping = tokio::time::timeout(DROP_TIMEOUT, self.0.drop());
        // Should it fail, the case has its result nevertheless, and the name is unique.
        let _ = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(dropping));
    }
}
