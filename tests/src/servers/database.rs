//! A database per test, on servers that many tests share.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    future::Future,
    hash::{BuildHasher, RandomState},
    io::Write,
    path::Path,
    time::Duration,
};

use ::redis::{AsyncConnectionConfig, Client as Redis, aio::MultiplexedConnection};
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};

use super::{provided, required};

/// The variable with the address of the PostgreSQL in which tests create their databases.
pub const POSTGRES: &str = "EDGECHAT_TEST_POSTGRES";
/// The variable with the address of the MongoDB server for semantics and races.
pub const MONGO: &str = "EDGECHAT_TEST_MONGO";
/// The variable with the address of the MongoDB server that can be killed, where that is another.
pub const MONGO_DURABLE: &str = "EDGECHAT_TEST_MONGO_DURABLE";
/// The variable with the address of the Redis in which each test has a prefix.
pub const REDIS: &str = "EDGECHAT_TEST_REDIS";
/// The variable with the path of the file in which tests note each database that they create, and again when they are done
/// with it, so that `edgechat-servers` drops it.
pub const NOTES: &str = "EDGECHAT_TEST_DATABASES";

/// The bound of one step with a server.
const BOUND: Duration = Duration::from_secs(10);
const PREFIX: &str = "edgechat_test_";
/// The suffix of a name whose test has ended.
const DONE: &str = " done";

/// The addresses of three servers, with a user that may create databases.
#[derive(Clone, Debug)]
pub struct Bases {
    /// PostgreSQL.
    pub postgres: String,
    /// MongoDB or a server with its protocol.
    pub mongo: String,
    /// Redis.
    pub redis: String,
}

impl Bases {
    /// The servers of this test run.
    ///
    /// # Panics
    /// Panics when the environment does not name them.
    pub fn of_the_run() -> Self {
        Self { postgres: required(POSTGRES), mongo: required(MONGO), redis: required(REDIS) }
    }

    /// Creates an empty database on each, and returns the origin's variables for them.
    ///
    /// # Panics
    /// Panics when PostgreSQL refuses.
    pub async fn fresh(&self) -> Vec<(&'static str, String)> {
        self.create().await.1
    }

    /// Does the same as [`Self::fresh`], for the life of the lease.
    ///
    /// # Panics
    /// Panics when PostgreSQL refuses.
    pub async fn leased(&self) -> (Vec<(&'static str, String)>, Lease) {
        let (name, vars) = self.create().await;
        (vars, Lease(name))
    }

    async fn create(&self) -> (String, Vec<(&'static str, String)>) {
        let name = format!("{PREFIX}{:016x}", RandomState::new().hash_one(std::process::id()));
        note(&name);
        let made = make(&self.postgres, &name).await;
        made.unwrap_or_else(|error| panic!("PostgreSQL creates no database: {error}"));
        let vars = vec![
            ("DATABASE_URL", with_database(&self.postgres, &name)),
            ("MONGODB_URL", with_database(&with_auth_source(&self.mongo), &name)),
            ("REDIS_URL", self.redis.clone()),
            ("REDIS_KEY_PREFIX", name.clone()),
        ];
        (name, vars)
    }

    /// Drops what [`Self::fresh`] created under these names. What cannot be dropped stays.
    pub async fn drop_all<'a>(&self, names: impl Iterator<Item = &'a String> + Clone) {
        if let Ok(client) = postgres(&self.postgres).await {
            for name in names.clone() {
                let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            }
        }
        if let Ok(client) = mongo(&self.mongo).await {
            for name in names.clone() {
                let _ = timeout(BOUND, async { client.database(name).drop().await }).await;
            }
        }
        if let Ok(connection) = redis(&self.redis).await {
            let _ = within_bound(forget_keys(connection, names)).await;
        }
    }
}

/// The databases of one test, which may be dropped when it ends.
#[derive(Debug)]
pub struct Lease(String);

impl Drop for Lease {
    fn drop(&mut self) {
        note(&format!("{}{DONE}", self.0));
    }
}

/// Reads the notes of tests from this file: names, and true for each whose test has ended.
pub fn noted(file: &Path) -> BTreeMap<String, bool> {
    let mut names = BTreeMap::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        let (name, done) = line.strip_suffix(DONE).map_or((line, false), |name| (name, true));
        if name.strip_prefix(PREFIX).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit())) {
            *names.entry(name.to_owned()).or_default() |= done;
        }
    }
    names
}

/// Opens a connection to PostgreSQL, without TLS.
///
/// # Errors
/// Fails when there is none within ten seconds; the text is the reason.
pub async fn postgres(url: &str) -> Result<tokio_postgres::Client, String> {
    let url = url.replacen("postgresql+asyncpg://", "postgresql://", 1);
    let config: Config = url.parse().map_err(|_| {
        "it is no address of a PostgreSQL that tests can use, such as postgres://user:password@host:5432/name with \
         sslmode=disable or prefer"
    })?;
    let (client, connection) = within_bound(config.connect(NoTls)).await?;
    tokio::spawn(async move {
        // An error reaches the next query.
        let _ = connection.await;
    });
    Ok(client)
}

/// Creates a client of a MongoDB.
///
/// # Errors
/// Fails when the address is invalid; the text is the reason.
pub async fn mongo(url: &str) -> Result<mongodb::Client, String> {
    within_bound(async {
        let mut options = mongodb::options::ClientOptions::parse(url).await?;
        options.server_selection_timeout = Some(BOUND);
        mongodb::Client::with_options(options)
    })
    .await
}

/// Opens a connection to Redis.
///
/// # Errors
/// Fails when there is none within ten seconds; the text is the reason.
pub async fn redis(url: &str) -> Result<MultiplexedConnection, String> {
    // The library's default timeouts are too short for a busy machine.
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(BOUND)).set_response_timeout(Some(BOUND));
    let client = Redis::open(url).map_err(|error| error.to_string())?;
    within_bound(client.get_multiplexed_async_connection_with_config(&config)).await
}

/// Waits for one step with a server, at most ten seconds.
///
/// # Errors
/// Fails when it fails or takes too long; the text is the reason.
pub async fn within_bound<T, E: std::error::Error>(
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout(BOUND, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(_) => Err(format!("no answer within {BOUND:?}")),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

async fn make(url: &str, name: &str) -> Result<(), String> {
    let client = postgres(url).await?;
    within_bound(client.batch_execute(&format!("CREATE DATABASE {name}"))).await
}

/// Appends a line to the notes. One short line is written whole, however many tests write at once.
fn note(line: &str) {
    let file = provided(NOTES).and_then(|file| OpenOptions::new().append(true).open(file).ok());
    if let Some(mut file) = file {
        // A database that is not noted stays until its server ends.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

async fn forget_keys<'a>(
    mut connection: MultiplexedConnection,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), ::redis::RedisError> {
    for name in names {
        let mut cursor = 0_u64;
        loop {
            let mut scan = ::redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{name}*")).arg("COUNT").arg(1_000);
            let (next, keys): (u64, Vec<String>) = scan.query_async(&mut connection).await?;
            if !keys.is_empty() {
                let _: u64 = ::redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await?;
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
    }
    Ok(())
}

/// Replaces the database of an address. It may name several hosts, which no URL parser accepts.
fn with_database(url: &str, name: &str) -> String {
    let (front, _, query) = parts(url);
    format!("{front}/{name}{query}")
}

/// Adds `authSource` to an address with a user: MongoDB looks a user up in the database of the address unless that is set,
/// and the database is about to be replaced.
fn with_auth_source(url: &str) -> String {
    let (front, database, query) = parts(url);
    if !front.contains('@') || query.contains("authSource=") {
        return url.to_owned();
    }
    let source = if database.is_empty() { "admin" } else { database };
    let separator = if query.is_empty() { '?' } else { '&' };
    format!("{front}/{database}{query}{separator}authSource={source}")
}

/// Splits an address: the part before the path, the path without its slash, and the query with its question mark.
fn parts(url: &str) -> (&str, &str, &str) {
    let (rest, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let (_, after_scheme) = rest.split_once("://").unwrap_or(("", rest));
    let path = after_scheme.find('/').map_or("", |at| after_scheme.split_at(at).1);
    (rest.strip_suffix(path).unwrap_or(rest), path.trim_start_matches('/'), query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_of_address_is_replaced() {
        for (url, expected) in [
            ("postgres://u:p@db:5432/app?sslmode=require", "postgres://u:p@db:5432/mine?sslmode=require"),
            ("postgres://db", "postgres://db/mine"),
            ("mongodb://a:1,b:2/?replicaSet=r", "mongodb://a:1,b:2/mine?replicaSet=r"),
            ("mongodb://a:1,b:2?replicaSet=r/s", "mongodb://a:1,b:2/mine?replicaSet=r/s"),
        ] {
            assert_eq!(with_database(url, "mine"), expected);
        }
    }

    #[test]
    fn auth_source_is_kept() {
        for (url, expected) in [
            ("mongodb://a/", "mongodb://a/"),
            ("mongodb://u:p@a", "mongodb://u:p@a/?authSource=admin"),
            ("mongodb://u:p@a/app?tls=true", "mongodb://u:p@a/app?tls=true&authSource=app"),
            ("mongodb://u:p@a/app?authSource=x", "mongodb://u:p@a/app?authSource=x"),
        ] {
            assert_eq!(with_auth_source(url), expected);
        }
    }

    #[test]
    fn notes_with_other_names_are_ignored() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = "edgechat_test_0a\napp\n\nedgechat_test_1b\nedgechat_test_1b done\nedgechat_test_2;--\n";
        std::fs::write(file.path(), lines).unwrap();
        let expected = [("edgechat_test_0a", false), ("edgechat_test_1b", true)];
        assert_eq!(noted(file.path()), expected.map(|(name, done)| (name.to_owned(), done)).into());
        assert!(noted(Path::new("no/such/file")).is_empty());
    }
}
