//! The address of a MongoDB server.

use std::fmt;

use mongodb::options::{ConnectionString, HostInfo};

use crate::config::{Secret, reader::Reader};

/// The database where `MONGODB_URL` names none.
const DEFAULT_DATABASE: &str = "edgechat";

/// The connection settings of MongoDB.
#[derive(Clone, Debug)]
pub struct MongoConfig {
    /// The address, with its password: `MONGODB_URL`. Its `maxPoolSize`, default 32, is the most connections.
    pub url: Secret,
    /// The database: the path of `MONGODB_URL`, default `edgechat`.
    pub database: String,
    hosts: String,
}

impl MongoConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let url = reader.text("MONGODB_URL")?;
        let config = Self::parse(url);
        if config.is_none() {
            reader.wrong(
                "MONGODB_URL",
                "held something that is no MongoDB address",
                "it should hold one such as mongodb://user:password@host:27017/edgechat",
            );
        }
        config
    }

    /// Parses an address; `None` when it is invalid.
    pub fn parse(url: &str) -> Option<Self> {
        let parsed = ConnectionString::parse(url).ok()?;
        Some(Self {
            url: Secret::new(url),
            hosts: hosts(&parsed.host_info),
            database: parsed.default_database.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()),
        })
    }
}

fn hosts(info: &HostInfo) -> String {
    match info {
        HostInfo::HostIdentifiers(hosts) => {
            hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
        HostInfo::DnsRecord(name) => name.clone(),
        _ => "an address of another kind".to_owned(),
    }
}

/// The address without user and password.
impl fmt::Display for MongoConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hosts, self.database)
    }
}
