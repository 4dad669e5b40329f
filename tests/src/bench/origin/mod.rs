//! The measurement behind `cargo xtask bench origin`: the origin alone, without a Worker in front, on its embedded stores
//! and on PostgreSQL, MongoDB and Redis. Signing up and in are left out: what they cost is argon2id, on purpose.
//!
//! - [`stage`]: the origins, their users and conversations
//! - [`delivery`]: finished turns, signed as the Worker signs them
//! - [`cases`]: what is measured
//! - [`table`]: how it is told

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

/// Measures both configurations. The production one gets private servers that put what they acknowledge on the disk,
/// where there are such.
///
/// # Panics
/// When a part does not come up or gives a wrong answer.
pub async fn run(effort: Effort) -> Table {
    let machine = machine::line();
    progress("embedded stores");
    let mut configurations =
        vec![measured("embedded", "SQLite; the process's memory".to_owned(), Vec::new(), true, effort).await];

    progress("PostgreSQL, MongoDB and Redis");
    let durable = Durability::Durable;
    // A stand-in that is durable is slow for reasons that are not the origin's.
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

/// What the servers are, and whether MongoDB is among them itself.
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
