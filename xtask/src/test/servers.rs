//! The databases of a test run, held by the program `edgechat-servers`: started once, told to every suite, ended with the
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

/// The first time, a container engine has to fetch images.
const PATIENCE: Duration = Duration::from_mins(5);
/// What a suite on the embedded stores runs on.
const EMBEDDED: &str = "SQLite and the process's own memory";

/// Which stores a suite runs on.
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
    /// When a server does not come up, or one that the environment names cannot be used.
    pub(crate) fn start(workspace: &Workspace, programs: &'a Servers, scratch: &Scratch) -> Result<Self> {
        let mut command = Command::new(workspace.binary(Profile::Debug.folder(), build::SERVERS));
        programs.tell(&mut command);
        scratch.tell(&mut command);
        let mut part = Part::start("test servers", &command, &workspace.setup_logs().join("servers.log"))?;
        let offer = part.wait_until(PATIENCE, |said| {
            said.lines().find_map(|line| serde_json::from_str::<Offer>(line).ok())
        })?;
        Ok(Self { programs, part: Some(part), offer })
    }

    /// Tells a suite where the servers are, and where the programs for those that it kills.
    pub(crate) fn tell(&self, command: &mut Command) {
        let Offer { postgres, mongo, mongo_durable, redis, databases } = &self.offer;
        self.programs.tell(command);
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

    /// What a suite runs on, in which version, and what that cannot show; one line.
    pub(crate) fn of(&self, runs_on: Use) -> String {
        self.offer.line(runs_on)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            part.stop();
        }
    }
}

/// What `edgechat-servers` tells.
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
    fn line(&self, runs_on: Use) -> String {
        let Self { postgres, mongo, mongo_durable, redis, .. } = self;
        let durable = mongo_durable.as_ref();
        match runs_on {
            Use::Embedded => EMBEDDED.to_owned(),
            Use::Everything => {
                let servers = [Some(postgres), Some(mongo), durable, Some(redis)];
                let told: Vec<_> = servers.into_iter().flatten().map(Supplied::told).collect();
                format!("{EMBEDDED}; {}", told.join("; "))
            }
            Use::ProductionUnharmed => [postgres, mongo, redis].map(Supplied::told).join("; "),
            Use::Production => {
                let told = [postgres, mongo, redis].map(Supplied::told);
                let killed = durable.map_or(mongo.about.name.as_str(), |durable| &durable.about.name);
                format!("{}; killed are private servers (MongoDB as {killed})", told.join("; "))
            }
        }
    }
}

impl Supplied {
    fn told(&self) -> String {
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
        let mut told = serde_json::json!({
            "postgres": supplied("PostgreSQL", &[]), "mongo": supplied("mongo-java-server", &["explain"]),
            "mongo_durable": null, "redis": supplied("Redis", &[]), "databases": "/notes" });
        if durable {
            told["mongo_durable"] = supplied("FerretDB", &["races", "speed"]);
        }
        serde_json::from_value(told).unwrap()
    }

    #[test]
    fn a_suite_says_what_it_ran_on_and_what_that_cannot_show() {
        assert_eq!(offer(true).line(Use::Embedded), EMBEDDED);
        assert_eq!(
            offer(true).line(Use::Everything),
            "SQLite and the process's own memory; PostgreSQL 1.2 (program); mongo-java-server 1.2 (program, no \
             explain); FerretDB 1.2 (program, no races, no speed); Redis 1.2 (program)"
        );
        let production = offer(true).line(Use::Production);
        assert!(production.ends_with("; killed are private servers (MongoDB as FerretDB)"), "{production}");
        assert!(production.starts_with(&offer(true).line(Use::ProductionUnharmed)), "{production}");
        assert!(offer(false).line(Use::Production).contains("MongoDB as mongo-java-server"));
    }
}
