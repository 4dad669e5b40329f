//! The measurement behind `cargo xtask bench origin`: the origin alone, without a Worker in front, on its embedded stores
//! and on PostgreSQL, MongoDB and Redis. Sign-up and sign-in are left out: their cost is argon2id, on purpose.
//!
//! - [`stage`]: the origins, their users and conversations
//! - [`delivery`]: finished turns, signed as the Worker signs them
//! - [`cases`]: the measurements
//! - [`table`]: their table

mod cases;
mod delivery;
mod stage;
mod table;

use super::{machine, progress};
use crate::servers::{Durability, database::Bases, mongo, postgres, redis};
pub use cases::Effort;
use stage::Stage;
use table::Configuration;
pub use table::Table;

/// Measures both configurations. The production one gets private servers, durable ones where installed.
///
/// # Panics
/// Panics when a part does not start or gives a wrong response.
pub async fn run(effort: Effort) -> Table {
    let machine = machine::line();
    progress("embedded stores");
    let mut configurations =
        vec![measured("embedded", "SQLite; the process's memory".to_owned(), Vec::new(), true, effort).await];

    progress("PostgreSQL, MongoDB and Redis");
    let durable = Durability::Durable;
    // A durable substitute is slow for reasons outside the origin.
    let of_mongo = if mongo::durable_one_decides_races() { durable } else { Durability::Fleeting };
    let servers = (postgres::start(durable).await, mongo::start(of_mongo).await, redis::start(durable).await);
    let bases = Bases {
        postgres: servers.0.url().to_owned(),
        mongo: servers.1.url().to_owned(),
        redis: servers.2.url().to_owned(),
    };
    let (names, is_mongodb) = names(&bases).await;
    let vars = bases.fresh().await;
    configurations.push(measured("production", names, vars, is_mongodb, effort).await);
    Table { machine, configurations }
}

/// Returns the names of the servers, and true when MongoDB itself is one of them.
async fn names(bases: &Bases) -> (String, bool) {
    let (postgres, mongo, redis) = tokio::join!(
        postgres::about(&bases.postgres),
        mongo::about(&bases.mongo),
        redis::about(&bases.redis)
    );
    let abouts = [postgres, mongo, redis].map(|about| about.unwrap_or_else(|reason| panic!("{reason}")));
    let is_mongodb = abouts.iter().any(|about| about.name == "MongoDB");
    let names = abouts.map(|about| format!("{} {}", about.name, about.version));
    (names.join("; "), is_mongodb)
}

async fn measured(
    name: &'static str,
    stores: String,
    vars: Vec<(&'static str, String)>,
    has_indexes: bool,
    effort: Effort,
) -> Configuration {
    let mut stage = Stage::set(vars).await;
    let figures = cases::measure(&mut stage, has_indexes, effort).await;
    Configuration { name, stores, figures }
}
