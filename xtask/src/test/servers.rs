//! The databases of a test run, held by the program `edgechat-servers`: started once, for every suite, and ended with the
//! run however that ends.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::Result;
use serde::Deserialize;

use crate::{
    build::{self, Profile},
    process::part::Part,
    scratch::Scratch,
    setup::Servers,
    workspace::Workspace,
};

/// Long: the first time, a container engine has to fetch images.
const START_TIMEOUT: Duration = Duration::from_mins(5);
/// The embedded stores, for people.
const EMBEDDED: &str = "SQLite and the process's own memory";

/// The stores that a suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Every adapter.
    Everything,
    /// The embedded ones.
    Embedded,
    /// The production ones, among them private ones that are killed.
    Production,
    /// The production ones, none of which is killed.
    ProductionUnharmed,
}

/// The running servers. Dropping it ends them, and removes what the tests have left on those that go on.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    programs: &'a Servers,
    part: Option<Part>,
    offer: Offer,
}

impl<'a> Running<'a> {
    /// Starts what the environment does not name, and waits until all are ready.
    ///
    /// # Errors
    /// Fails when a server does not come up, or one that the environment names cannot be used.
    pub(crate) fn start(workspace: &Workspace, programs: &'a Servers, scratch: &Scratch) -> Result<Self> {
        let mut command = Command::new(workspace.binary(Profile::Debug.folder(), build::SERVERS));
        programs.set_vars(&mut command);
        scratch.set_vars(&mut command);
        let mut part = Part::start("test servers", &command, &workspace.setup_logs().join("servers.log"))?;
        let offer = part.wait_until(START_TIMEOUT, |log| {
            log.lines().find_map(|line| serde_json::from_str::<Offer>(line).ok())
        })?;
        Ok(Self { programs, part: Some(part), offer })
    }

    /// Sets the variables from which a suite knows the servers, and the programs for those that it kills.
    pub(crate) fn set_vars(&self, command: &mut Command) {
        let Offer { postgres, mongo, mongo_durable, redis, databases } = &self.offer;
        self.programs.set_vars(command);
        command
            .env("EDGECHAT_TEST_POSTGRES", &postgres.url)
            .env("EDGECHAT_TEST_MONGO", &mongo.url)
            .env("EDGECHAT_TEST_REDIS", &redis.url)
            .env("EDGECHAT_TEST_DATABASES", databases)
            // A suite on the embedded stores has an origin that must not find these.
            .env_remove("DATABASE_URL")
            .env_remove("MONGODB_URL")
            .env_remove("REDIS_URL");
        match mongo_durable {
            Some(durable) => command.env("EDGECHAT_TEST_MONGO_DURABLE", &durable.url),
            None => command.env_remove("EDGECHAT_TEST_MONGO_DURABLE"),
        };
    }

    /// Describes what a suite runs on in one line: names, versions, and what those cannot show.
    pub(crate) fn describe(&self, runs_on: Use) -> String {
        self.offer.describe(runs_on)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            part.stop();
        }
    }
}

/// The line that `edgechat-servers` prints.
#[derive(Debug, Deserialize)]
struct Offer {
    postgres: Supplied,
    mongo: Supplied,
    mongo_durable: Option<Supplied>,
    redis: Supplied,
    databases: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Supplied {
    url: String,
    from: String,
    about: About,
}

#[derive(Debug, Deserialize)]
struct About {
    name: String,
    version: String,
    cannot_show: Vec<String>,
}

impl Offer {
    fn describe(&self, runs_on: Use) -> String {
        let Self { postgres, mongo, mongo_durable, redis, .. } = self;
        let durable = mongo_durable.as_ref();
        match runs_on {
            Use::Embedded => EMBEDDED.to_owned(),
            Use::Everything => {
                let servers = [Some(postgres), Some(mongo), durable, Some(redis)];
                let all: Vec<_> = servers.into_iter().flatten().map(Supplied::describe).collect();
                format!("{EMBEDDED}; {}", all.join("; "))
            }
            Use::ProductionUnharmed => [postgres, mongo, redis].map(Supplied::describe).join("; "),
            Use::Production => {
                let shared = [postgres, mongo, redis].map(Supplied::describe);
                let killed = durable.map_or(mongo.about.name.as_str(), |durable| &durable.about.name);
                format!("{}; killed are private servers (MongoDB as {killed})", shared.join("; "))
            }
        }
    }
}

impl Supplied {
    fn describe(&self) -> String {
        let About { name, version, cannot_show } = &self.about;
        let lacks: Vec<_> = cannot_show.iter().map(|what| format!(", no {what}")).collect();
        format!("{name} {version} ({}{})", self.from, lacks.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(durable: bool) -> Offer {
        let supplied = |name: &str, cannot_show: &[&str]| {
            serde_json::json!({ "url": "x://y", "from": "program",
                "about": { "name": name, "version": "1.2", "cannot_show": cannot_show } })
        };
        let mut offer = serde_json::json!({
            "postgres": supplied("PostgreSQL", &[]), "mongo": supplied("mongo-java-server", &["explain"]),
            "mongo_durable": null, "redis": supplied("Redis", &[]), "databases": "/notes" });
        if durable {
            offer["mongo_durable"] = supplied("FerretDB", &["races", "speed"]);
        }
        serde_json::from_value(offer).unwrap()
    }

    #[test]
    fn description_names_servers_versions_and_limits() {
        assert_eq!(offer(true).describe(Use::Embedded), EMBEDDED);
        assert_eq!(
            offer(true).describe(Use::Everything),
            "SQLite and the process's own memory; PostgreSQL 1.2 (program); mongo-java-server 1.2 (program, no \
             explain); FerretDB 1.2 (program, no races, no speed); Redis 1.2 (program)"
        );
        let production = offer(true).describe(Use::Production);
        assert!(production.ends_with("; killed are private servers (MongoDB as FerretDB)"), "{production}");
        assert!(production.starts_with(&offer(true).describe(Use::ProductionUnharmed)), "{production}");
        assert!(offer(false).describe(Use::Production).contains("MongoDB as mongo-java-server"));
    }
}
