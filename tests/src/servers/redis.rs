//! A private Redis.

use ::redis::InfoDict;

use super::{About, Durability, Server, compose, database, required};
use crate::test_env::part::{Launch, Part};

/// The variable with the path of `redis-server`.
pub const PROGRAM: &str = "EDGECHAT_REDIS_BIN";
const SERVICE: &str = "redis";

/// Starts an empty server.
///
/// # Panics
/// Panics when it cannot be started.
pub async fn start(durability: Durability) -> Server {
    let url = |addr: &str| format!("redis://{addr}");
    if compose::is_chosen() {
        return Server::container(SERVICE, durability, url).await;
    }
    let program = required(PROGRAM).into();
    Server::program(SERVICE, |dir, port| {
        let durable = match durability {
            Durability::Durable => ["--appendonly", "yes", "--appendfsync", "always"].as_slice(),
            Durability::Fleeting => &["--appendonly", "no"],
        };
        let mut args: Vec<_> = ["--bind", "127.0.0.1", "--save", ""].map(str::to_owned).to_vec();
        args.extend(["--port".to_owned(), port.number().to_string()]);
        args.extend(durable.iter().map(|&arg| arg.to_owned()));
        let url = url(&port.addr());
        let launch = Launch {
            name: "Redis",
            program,
            args,
            vars: Vec::new(),
            folder: dir,
            user: None,
            is_ready: |line| line.contains("Ready to accept connections"),
        };
        (Part::new(launch, port), url)
    })
    .await
}

/// Reads the product and version of a server.
///
/// # Errors
/// Fails when it cannot be reached; the text is the reason.
pub async fn about(url: &str) -> Result<About, String> {
    let mut connection = database::redis(url).await?;
    let info = ::redis::cmd("INFO").arg("server").query_async(&mut connection).await;
    let info: InfoDict = info.map_err(|error| error.to_string())?;
    let version: String = info.get("redis_version").unwrap_or_default();
    Ok(About::new("Redis", version, &[]))
}
