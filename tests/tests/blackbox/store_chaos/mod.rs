//! Tests of databases that are killed, suspended and restarted: no acknowledged write is lost or stored twice.
//!
//! Each test has private servers for those it disturbs, durable ones where it kills, and the run's servers for the rest. All
//! use the production stores, whatever the rest of the suite uses.
//!
//! - `load`: users who register, sign in and chat and record what was acknowledged
//! - `killed`: `kill -9`, twenty times each
//! - `deletion`: an account is deleted while a server is away
//! - `suspended`: servers that accept connections and do not answer
//! - `started`: two origins on the same new databases
//! - `lists`: lists read after a write
//! - `caches`: cache entries from before a Redis outage
//! - `health`: the health checks during an outage
//! - `servers`: the servers themselves

mod caches;
mod deletion;
mod health;
mod killed;
mod lists;
mod load;
mod servers;
mod started;
mod suspended;

use edgechat_tests::{
    servers::{Durability, Server, database::Bases, mongo, postgres, redis},
    test_env::{Setup, TestEnv},
};

/// The server that is private to a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Postgres,
    Mongo,
    Redis,
}

/// An environment in which one server is private, and that server.
async fn world_with(store: Store) -> (TestEnv, Server) {
    let (setup, server) = setup_with(store).await;
    (setup.start().await, server)
}

async fn setup_with(store: Store) -> (Setup, Server) {
    let mut bases = Bases::of_the_run();
    let (server, base) = match store {
        Store::Postgres => (postgres::start(Durability::Durable).await, &mut bases.postgres),
        Store::Mongo => (mongo::start(Durability::Durable).await, &mut bases.mongo),
        Store::Redis => (redis::start(Durability::Durable).await, &mut bases.redis),
    };
    server.url().clone_into(base);
    (TestEnv::setup().vars(bases.fresh().await), server)
}
