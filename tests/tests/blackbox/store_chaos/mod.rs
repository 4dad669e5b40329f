//! The databases die, hang and come back, and nothing that was acknowledged is lost or there twice.
//!
//! Every test has private servers for those it touches, durable ones where it kills, and the run's own for the rest. All
//! run on the production stores, whatever the rest of the suite runs on.
//!
//! - `load`: users who register, sign in and chat, and remember what they were told
//! - `killed`: `kill -9`, twenty times each
//! - `suspended`: servers that accept and do not answer
//! - `started`: two origins on the same new databases
//! - `lists`: a list read after a write shows it
//! - `caches`: what Redis remembers from before it went
//! - `health`: what the checks say meanwhile
//! - `servers`: the servers themselves

mod caches;
mod health;
mod killed;
mod lists;
mod load;
mod servers;
mod started;
mod suspended;

use edgechat_tests::{
    servers::{Durability, Server, database::Bases, mongo, postgres, redis},
    world::{Setup, World},
};

/// Which server a test has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Postgres,
    Mongo,
    Redis,
}

/// A world in which one server is private, and that server.
async fn world_with(store: Store) -> (World, Server) {
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
    (World::setup().vars(bases.fresh().await), server)
}
