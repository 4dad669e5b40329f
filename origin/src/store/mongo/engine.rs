//! Connections, deadlines, retries, and the operations the adapter sends.

use std::{future::Future, sync::Arc, time::Duration};

use mongodb::{
    Client, Collection, Cursor, Database,
    bson::{Document, doc},
    options::{
        Acknowledgment, ClientOptions, FindOneAndUpdateOptions, FindOptions, ReadConcern, ReadPreference,
        ReturnDocument, SelectionCriteria, WriteConcern,
    },
};
use tokio::{
    sync::Semaphore,
    time::{error::Elapsed, timeout},
};

use super::{
    fault::{Attempt, Fault, has_no_majority, inserted_before_duplicate},
    queries::Filter,
};
use crate::{
    config::stores::MongoConfig,
    store::error::{StoreError, StoreResult},
    telemetry::{
        Backend,
        gauges::{Figure, watch},
        observed, operation_of,
    },
};

const BACKEND: Backend = Backend { store: "chats", product: "mongodb" };

/// The timeout of a connection, and of the selection of a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout of waiting for a free connection.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout of an operation at the server, and of its acknowledgement by a majority.
const SERVER_TIMEOUT: Duration = Duration::from_secs(5);
/// The deadline of a method of the port with all its operations, which a silent server would otherwise block for ever.
const DEADLINE: Duration = Duration::from_secs(6);
/// The interval of the health checks of each server.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The number of connections that are opened at once.
const CONNECTING_AT_ONCE: u32 = 8;
/// The most connections of this process: the default of `maxPoolSize` and its upper bound.
const POOL_SIZE: u32 = 32;
const MAX_POOL_SIZE: u32 = 500;
/// The most documents of one response of the server. Pages have fewer.
const BATCH: u32 = 1_000;
/// The attempts of a method whose connections break.
const ATTEMPTS: u32 = 2;

/// A database with a bounded number of connections.
pub(super) struct Engine {
    db: Db,
    /// One permit per connection: a method uses one connection at a time.
    free: Arc<Semaphore>,
}

/// A stream of found documents.
pub(super) struct Reading(Option<Cursor<Document>>);

/// The operations. The driver retries each once where the server supports that.
pub(super) struct Db(Database);

impl Engine {
    /// Parses the address and starts the discovery of servers, without waiting for them.
    pub(super) async fn connect(config: &MongoConfig) -> StoreResult<Self> {
        let parsed = timeout(DEADLINE, ClientOptions::parse(config.url.expose())).await;
        let mut options = parsed.map_err(too_late)?.map_err(|error| Fault::from(error).error)?;
        let pool_size =
            options.max_pool_size.filter(|size| *size > 0).unwrap_or(POOL_SIZE).min(MAX_POOL_SIZE);
        options.app_name.get_or_insert_with(|| "edgechat".to_owned());
        options.max_pool_size = Some(pool_size);
        options.min_pool_size = options.min_pool_size.map(|size| size.min(pool_size));
        options.max_connecting = Some(CONNECTING_AT_ONCE);
        options.connect_timeout = Some(CONNECT_TIMEOUT);
        options.server_selection_timeout = Some(CONNECT_TIMEOUT);
        options.heartbeat_freq = Some(HEARTBEAT);
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(
            WriteConcern::builder()
                .w(Acknowledgment::Majority)
                .journal(true)
                .w_timeout(SERVER_TIMEOUT)
                .build(),
        );
        let client = Client::with_options(options).map_err(|error| Fault::from(error).error)?;
        let free = Arc::new(Semaphore::new(usize::try_from(pool_size).unwrap_or(Semaphore::MAX_PERMITS)));
        let watched = Arc::downgrade(&free);
        let unused = move || watched.upgrade().map(|free| free.available_permits());
        watch(Figure::Connections, BACKEND, "unused", unused);
        Ok(Self { db: Db(client.database(&config.database)), free })
    }

    /// Returns the operations.
    pub(super) const fn db(&self) -> &Db {
        &self.db
    }

    /// Runs the work of one method within its deadline. When a connection breaks or a server changes its role, the work is
    /// repeated once from its beginning; its argument is the number of attempts before.
    pub(super) async fn run<T, F>(&self, work: impl Fn(u32) -> F) -> StoreResult<T>
    where
        F: Future<Output = Attempt<T>>,
    {
        observed(BACKEND, operation_of(&work), StoreError::kind, self.run_attempts(work)).await
    }

    async fn run_attempts<T, F>(&self, work: impl Fn(u32) -> F) -> StoreResult<T>
    where
        F: Future<Output = Attempt<T>>,
    {
        let free = timeout(QUEUE_TIMEOUT, self.free.acquire()).await;
        let _permit = free.map_err(|_| StoreError::Overloaded)?.map_err(|_| StoreError::Overloaded)?;
        let attempts = async {
            let mut attempt = 0;
            loop {
                match work(attempt).await {
                    Err(fault) if fault.is_transient && attempt + 1 < ATTEMPTS => attempt += 1,
                    done => return done.map_err(|fault| fault.error),
                }
            }
        };
        timeout(DEADLINE, attempts).await.map_err(too_late)?
    }
}

impl Db {
    /// Returns once a server that accepts writes answers.
    pub(super) async fn ping(&self) -> Attempt<()> {
        self.0.run_command(doc! { "ping": 1 }).await?;
        Ok(())
    }

    /// Returns the database itself, for operations outside the port.
    pub(super) const fn database(&self) -> &Database {
        &self.0
    }

    /// Finds a document.
    pub(super) async fn find_one(&self, filter: Filter) -> Attempt<Option<Document>> {
        Ok(self.find(filter, 1).await?.pop())
    }

    /// Finds at most `limit` documents, in the query's order.
    pub(super) async fn find(&self, filter: Filter, limit: u32) -> Attempt<Vec<Document>> {
        self.find_fields(filter, limit, &[]).await
    }

    /// Does the same with these fields only; with all when none is given.
    pub(super) async fn find_fields(
        &self,
        filter: Filter,
        limit: u32,
        fields: &[&str],
    ) -> Attempt<Vec<Document>> {
        let mut reading = self.read(filter, limit, fields, BATCH).await?;
        let mut found = Vec::new();
        while let Some(document) = reading.next().await? {
            found.push(document);
        }
        Ok(found)
    }

    /// Streams the documents, so that not all are in memory: each response of the server has at most `batch` of them.
    pub(super) async fn read(
        &self,
        filter: Filter,
        limit: u32,
        fields: &[&str],
        batch: u32,
    ) -> Attempt<Reading> {
        // The server takes a limit of 0 as no limit.
        if limit == 0 {
            return Ok(Reading(None));
        }
        let options = options(&filter, limit, fields, batch);
        let collection = self.collection(filter.collection());
        let cursor = collection.find(filter.into_conditions()).with_options(options).await?;
        Ok(Reading(Some(cursor)))
    }

    /// Reads a document that was not found again, by its id. A server that does not know yet that another one is the primary lacks
    /// what was acknowledged there; so this time a majority confirms that it is still the primary. Where no majority can be
    /// asked, there is no other server either.
    pub(super) async fn find_missing(&self, filter: Filter, fields: &[&str]) -> Attempt<Option<Document>> {
        let mut options = options(&filter, 1, fields, 1);
        options.read_concern = Some(ReadConcern::linearizable());
        let collection = self.collection(filter.collection());
        match collection.find(filter.into_conditions()).with_options(options).await {
            Ok(cursor) => Reading(Some(cursor)).next().await,
            Err(error) if has_no_majority(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Inserts documents in order until a unique index refuses one. Returns how many it inserted.
    pub(super) async fn insert(&self, collection: &'static str, documents: &[Document]) -> Attempt<usize> {
        match self.collection(collection).insert_many(documents).await {
            Ok(_) => Ok(documents.len()),
            Err(error) => inserted_before_duplicate(&error).ok_or_else(|| error.into()),
        }
    }

    /// Updates a document and returns its new state.
    pub(super) async fn update(&self, filter: Filter, update: Document) -> Attempt<Option<Document>> {
        let mut options = FindOneAndUpdateOptions::default();
        options.return_document = Some(ReturnDocument::After);
        options.max_time = Some(SERVER_TIMEOUT);
        let collection = self.collection(filter.collection());
        Ok(collection.find_one_and_update(filter.into_conditions(), update).with_options(options).await?)
    }

    /// Updates all found documents.
    pub(super) async fn update_all(&self, filter: Filter, update: Document) -> Attempt<()> {
        self.collection(filter.collection()).update_many(filter.into_conditions(), update).await?;
        Ok(())
    }

    /// Deletes all found documents.
    pub(super) async fn delete_all(&self, filter: Filter) -> Attempt<()> {
        self.collection(filter.collection()).delete_many(filter.into_conditions()).await?;
        Ok(())
    }

    fn collection(&self, name: &str) -> Collection<Document> {
        self.0.collection(name)
    }
}

impl Reading {
    /// Returns the next document; `None` after the last.
    pub(super) async fn next(&mut self) -> Attempt<Option<Document>> {
        let Some(cursor) = &mut self.0 else { return Ok(None) };
        let is_there = cursor.advance().await?;
        Ok(if is_there { Some(cursor.deserialize_current()?) } else { None })
    }
}

fn options(filter: &Filter, limit: u32, fields: &[&str], batch: u32) -> FindOptions {
    let mut options = FindOptions::default();
    options.limit = Some(i64::from(limit));
    options.batch_size = Some(limit.min(batch));
    options.max_time = Some(SERVER_TIMEOUT);
    options.sort = filter.sort();
    if !fields.is_empty() {
        options.projection = Some(fields.iter().map(|field| ((*field).to_owned(), 1.into())).collect());
    }
    options
}

fn too_late(_elapsed: Elapsed) -> StoreError {
    StoreError::Timeout
}
