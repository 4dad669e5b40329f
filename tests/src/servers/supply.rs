//! The servers of a whole test run: those that the environment names, and private ones for the rest.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{
    About, Durability, Server, compose,
    database::{Bases, noted},
    mongo, postgres, provided, redis,
};

/// The interval at which the databases of ended tests are dropped.
const TIDYING: Duration = Duration::from_secs(2);

/// One server of the run.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Supplied {
    /// Its address.
    pub url: String,
    /// Its source: the variable that names it, `container` or `program`.
    pub from: String,
    /// Its product and version.
    pub about: About,
}

/// The line of JSON that `edgechat-servers` prints when all servers are ready.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// PostgreSQL.
    pub postgres: Supplied,
    /// The server for semantics and races.
    pub mongo: Supplied,
    /// The server that can be killed, where that is another.
    pub mongo_durable: Option<Supplied>,
    /// Redis.
    pub redis: Supplied,
    /// The file in which tests note the names of their databases.
    pub databases: PathBuf,
}

/// Running servers. The private ones end with the value.
#[derive(Debug)]
pub struct Supply {
    offer: Offer,
    notes: NamedTempFile,
    /// True when a server keeps running after this value ends.
    outlived: bool,
    dropped: BTreeSet<String>,
    _servers: Vec<Server>,
}

impl Supply {
    /// Starts the servers that the environment (`DATABASE_URL`, `MONGODB_URL`, `REDIS_URL`) does not name.
    ///
    /// # Errors
    /// Fails when a named server cannot be reached; the text names its variable and the reason, and not its address, which
    /// may hold a password.
    ///
    /// # Panics
    /// Panics when a private server does not come up.
    pub async fn gather() -> Result<Self, String> {
        let (mut servers, mut outlived) = (Vec::new(), false);
        let mut url_of = |variable: &'static str, server: Option<Server>| {
            let Some(server) = server else {
                outlived = true;
                return (provided(variable).unwrap_or_default(), variable);
            };
            let url = server.url().to_owned();
            let from = if server.is_container() { "container" } else { "program" };
            servers.push(server);
            (url, from)
        };
        let fleeting = Durability::Fleeting;
        let (postgres, mongo, redis) = tokio::join!(
            unless_named("DATABASE_URL", postgres::start(fleeting)),
            unless_named("MONGODB_URL", mongo::start(fleeting)),
            unless_named("REDIS_URL", redis::start(fleeting)),
        );
        let postgres = url_of("DATABASE_URL", postgres);
        let own_mongo = mongo.is_some();
        let mongo = url_of("MONGODB_URL", mongo);
        let redis = url_of("REDIS_URL", redis);
        let durable = if own_mongo && !mongo::durable_one_decides_races() {
            Some(url_of("MONGODB_URL", Some(mongo::start(Durability::Durable).await)))
        } else {
            None
        };
        let notes = NamedTempFile::new().expect("a file in the temporary folder");
        let offer = Offer {
            postgres: supplied(postgres, async |url| postgres::about(url).await).await?,
            mongo: supplied(mongo, async |url| mongo::about(url).await).await?,
            mongo_durable: match durable {
                Some(durable) => Some(supplied(durable, async |url| mongo::about(url).await).await?),
                None => None,
            },
            redis: supplied(redis, async |url| redis::about(url).await).await?,
            databases: notes.path().to_owned(),
        };
        Ok(Self { offer, notes, outlived, dropped: BTreeSet::new(), _servers: servers })
    }

    /// The servers.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Drops the databases of ended tests until it is cancelled: a whole run needs gigabytes otherwise.
    pub async fn tidy(&mut self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(TIDYING).await;
            self.drop_databases(|done| done).await;
        }
    }

    /// Ends the run: drops the databases that tests have left on servers that keep running, and stops private servers.
    pub async fn end(mut self) {
        if self.outlived {
            self.drop_databases(|_| true).await;
        }
        drop(self);
        compose::sweep();
    }

    async fn drop_databases(&mut self, is_due: impl Fn(bool) -> bool) {
        let noted = noted(self.notes.path()).into_iter();
        let due: Vec<_> = noted
            .filter(|(name, done)| is_due(*done) && !self.dropped.contains(name))
            .map(|(name, _)| name)
            .collect();
        if !due.is_empty() {
            let Offer { postgres, mongo, redis, .. } = &self.offer;
            let url = |supplied: &Supplied| supplied.url.clone();
            let bases = Bases { postgres: url(postgres), mongo: url(mongo), redis: url(redis) };
            bases.drop_all(due.iter()).await;
            self.dropped.extend(due);
        }
    }
}

async fn unless_named(variable: &str, server: impl Future<Output = Server>) -> Option<Server> {
    match provided(variable) {
        Some(_) => None,
        None => Some(server.await),
    }
}

async fn supplied(
    (url, from): (String, &'static str),
    ask: impl AsyncFnOnce(&str) -> Result<About, String>,
) -> Result<Supplied, String> {
    let about = ask(&url).await.map_err(|reason| format!("{from} cannot be used: {reason}"))?;
    Ok(Supplied { url, from: from.to_owned(), about })
}
