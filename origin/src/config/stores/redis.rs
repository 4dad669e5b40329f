//! The address of a Redis server.

use std::fmt;

use redis::IntoConnectionInfo as _;

use crate::config::{
    Secret,
    reader::{Reader, quoted},
};

const DEFAULT_PREFIX: &str = "edgechat";
const MAX_PREFIX: usize = 64;

/// How to reach Redis.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// The address, with its password: `REDIS_URL`.
    pub url: Secret,
    /// `REDIS_KEY_PREFIX`, default `edgechat`: what all keys begin with.
    pub key_prefix: String,
    host: String,
}

impl RedisConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let url = reader.text("REDIS_URL")?;
        let key_prefix = key_prefix(reader);
        let Ok(parsed) = url.into_connection_info() else {
            reader.wrong(
                "REDIS_URL",
                "held something that is no Redis address",
                "it should hold one such as redis://:password@host:6379/0",
            );
            return None;
        };
        Some(Self { url: Secret::new(url), key_prefix, host: parsed.addr().to_string() })
    }
}

fn key_prefix(reader: &mut Reader<'_>) -> String {
    let Some(text) = reader.text("REDIS_KEY_PREFIX") else { return DEFAULT_PREFIX.to_owned() };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    // Braces would choose the cluster's slot for all keys at once.
    if text.len() > MAX_PREFIX || !text.chars().all(is_plain) {
        let wanted = format!("it should hold at most {MAX_PREFIX} letters, digits or any of - _ . :");
        reader.wrong("REDIS_KEY_PREFIX", quoted(text), wanted);
    }
    text.to_owned()
}

/// Where it is, without user and password.
impl fmt::Display for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, keys {}:…", self.host, self.key_prefix)
    }
}
