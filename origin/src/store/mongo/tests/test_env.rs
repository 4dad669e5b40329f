//! A database that a store reaches through a proxy, which can interrupt the store between any two steps.

use std::{future::Future, sync::Arc};

use mongodb::bson::{Document, doc};
use shared::id::Id;
use tokio::task::JoinHandle;

use super::{
    bounded, is_absence,
    proxy::{Flow, Proxy},
};
use crate::store::{
    chats::Chats as _,
    contract::{
        at_once,
        mongo::{self, Dropped},
        samples::{at, conversation, delivery, id},
    },
    error::StoreResult,
    mongo::{
        MongoChats,
        document::uuid,
        queries::{MESSAGES, TURNS},
    },
};

/// The user of the conversations.
pub(super) const USER: u32 = 1;
/// More operations than any method has.
const STEPS: usize = 16;

/// Runs the work once for each number of operations after which it is interrupted, all concurrently, each in its own database.
/// The work returns true when it finished before that; it must not with fewer operations than `least`.
pub(super) async fn after_each_step<F>(least: usize, work: impl Fn(u32) -> F)
where
    F: Future<Output = bool> + Send + 'static,
{
    let done = at_once(STEPS, |steps| work(u32::try_from(steps).unwrap())).await;
    assert!(!done[..least].contains(&true), "{done:?}");
    assert_eq!(done.last(), Some(&true), "{done:?}");
}

/// A database with two stores: one behind the proxy, and one with a direct connection.
pub(super) struct TestEnv {
    pub(super) proxy: Proxy,
    pub(super) store: Arc<MongoChats>,
    pub(super) beside: Arc<MongoChats>,
    _dropped: Dropped,
}

impl TestEnv {
    pub(super) async fn new() -> Self {
        let config = mongo::config(&mongo::url());
        let (beside, dropped) = mongo::open(&config).await;
        let proxy = Proxy::before(&mongo::url()).await;
        let mut through = mongo::config(&proxy.url);
        through.database = config.database;
        let store = Arc::new(MongoChats::open(&through).await.unwrap());
        Self { proxy, store, beside, _dropped: dropped }
    }

    /// Creates a conversation with one turn: two messages, and the turn itself.
    pub(super) async fn open(&self, number: u32) -> Id {
        self.beside.create_conversation(id(USER), conversation(number, at(0))).await.unwrap();
        self.beside.record_turn(delivery(id(USER), id(number), number, 1)).await.unwrap().unwrap();
        id(number)
    }

    /// Returns the number of a conversation's documents besides its own.
    pub(super) async fn stored(&self, conversation: Id) -> usize {
        let of_it = doc! { "conversation_id": uuid(conversation) };
        self.count(MESSAGES, of_it.clone()).await + self.count(TURNS, of_it).await
    }

    pub(super) async fn count(&self, collection: &str, filter: Document) -> usize {
        let collection = self.beside.database().collection::<Document>(collection);
        let mut found = collection.find(filter).await.unwrap();
        let mut count = 0;
        while found.advance().await.unwrap() {
            count += 1;
        }
        count
    }

    /// Interrupts the work after so many operations. Returns true when it finished nevertheless.
    pub(super) async fn broken_off<T>(&self, after: u32, work: impl Future<Output = StoreResult<T>>) -> bool {
        self.proxy.set(Flow::Cut, after);
        let outcome = bounded(work).await;
        self.proxy.set(Flow::Open, 0);
        match outcome {
            Ok(_) => true,
            Err(error) => {
                assert!(is_absence(error.kind()), "{error}");
                false
            }
        }
    }

    /// Waits until the work has used its operations or is done. Returns true when it is done.
    pub(super) async fn is_held_or_done<T>(&self, work: &JoinHandle<T>) -> bool {
        bounded(async {
            while self.proxy.passes_left() > 0 && !work.is_finished() {
                tokio::task::yield_now().await;
            }
            work.is_finished()
        })
        .await
    }
}
