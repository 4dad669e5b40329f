//! The address of a Redis server or cluster.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, io::tcp::TcpSettings};

use crate::config::reader::{Reader, quoted};

const DEFAULT_PREFIX: &str = "edgechat";
const MAX_PREFIX: usize = 64;
const MAX_NODES: usize = 64;
/// The suffix of the scheme of a cluster's address.
const CLUSTER_MARK: &str = "+cluster";

/// The connection settings of Redis.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// The address: `REDIS_URL`.
    pub address: RedisAddress,
    /// `REDIS_KEY_PREFIX`, default `edgechat`: the prefix of all keys.
    pub key_prefix: String,
}

/// The address and the password of Redis. `Debug` leaves the password out.
#[derive(Clone, Debug)]
pub enum RedisAddress {
    /// One server: `redis://…`, or `rediss://…` with TLS.
    Server(Box<ConnectionInfo>),
    /// Some nodes of a cluster, which name the others: `redis+cluster://host1,host2`, or `rediss+cluster://…`.
    Cluster(Vec<ConnectionInfo>),
}

impl RedisConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let url = reader.text("REDIS_URL")?;
        let key_prefix = key_prefix(reader);
        let Some(address) = RedisAddress::parse(url) else {
            reader.wrong(
                "REDIS_URL",
                "held something that is no Redis address",
                "it should hold one such as redis://:password@host:6379/0 or redis+cluster://host1,host2",
            );
            return None;
        };
        Some(Self { address, key_prefix })
    }
}

impl RedisAddress {
    /// Parses the address of a server or of a cluster; `None` when it is neither.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let Some(scheme) = scheme.strip_suffix(CLUSTER_MARK) else {
            return node(url).map(|node| Self::Server(Box::new(node)));
        };
        let (hosts, path) = match rest.find(['/', '?', '#']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        let (user, hosts) = match hosts.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), hosts),
        };
        let nodes: Option<Vec<_>> =
            hosts.split(',').map(|host| node(&format!("{scheme}://{user}{host}{path}"))).collect();
        let is_network = |node: &ConnectionInfo| !matches!(node.addr(), ConnectionAddr::Unix(_));
        nodes.filter(|nodes| nodes.len() <= MAX_NODES && nodes.iter().all(is_network)).map(Self::Cluster)
    }
}

/// Parses the address of one server. Its connections send without delay and discard unsent data when they are dropped. The
/// server may still run commands it has received, long after the caller saw them fail.
fn node(url: &str) -> Option<ConnectionInfo> {
    let tcp = TcpSettings::default().set_nodelay(true).set_linger_time(std::time::Duration::ZERO);
    url.into_connection_info().ok().map(|node| node.set_tcp_settings(tcp))
}

fn key_prefix(reader: &mut Reader<'_>) -> String {
    let Some(text) = reader.text("REDIS_KEY_PREFIX") else { return DEFAULT_PREFIX.to_owned() };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    // Braces would put all keys into one slot of the cluster.
    if text.len() > MAX_PREFIX || !text.chars().all(is_plain) {
        let wanted = format!("it should hold at most {MAX_PREFIX} letters, digits or any of - _ . :");
        reader.wrong("REDIS_KEY_PREFIX", quoted(text), wanted);
    }
    text.to_owned()
}

/// The address without user and password.
impl fmt::Display for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            RedisAddress::Server(node) => write!(f, "{}", node.addr())?,
            RedisAddress::Cluster(nodes) => {
                f.write_str("cluster of ")?;
                for (index, node) in nodes.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "," };
                    write!(f, "{separator}{}", node.addr())?;
                }
            }
        }
        write!(f, ", keys {}:…", self.key_prefix)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn shown(url: &str) -> Option<String> {
        let address = RedisAddress::parse(url)?;
        Some(RedisConfig { address, key_prefix: "p".to_owned() }.to_string())
    }

    #[rstest]
    #[case("redis://:secret@db:6380/2", "db:6380, keys p:…")]
    #[case("rediss://db", "db:6379, keys p:…")]
    #[case("redis+cluster://a", "cluster of a:6379, keys p:…")]
    #[case("rediss+cluster://user:secret@a:1,b,c:3/0", "cluster of a:1,b:6379,c:3, keys p:…")]
    #[case("redis+cluster://[::1]:7000,b?protocol=resp3", "cluster of ::1:7000,b:6379, keys p:…")]
    fn address_is_shown_with_its_servers(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(shown(url).as_deref(), Some(expected));
    }

    #[rstest]
    #[case("db:6379")]
    #[case("http://db")]
    #[case("redis://")]
    #[case("redis+cluster://")]
    #[case("redis+cluster://a,,b")]
    #[case("redis+sentinel://a")]
    #[case("unix+cluster:///run/redis.sock")]
    fn invalid_address_is_refused(#[case] url: &str) {
        assert_eq!(shown(url), None);
    }

    #[test]
    fn password_is_set_on_each_node_and_never_shown() {
        let address = RedisAddress::parse("redis+cluster://me:s3cret@a,b").unwrap();
        assert!(!format!("{address:?}").contains("s3cret"));
        let RedisAddress::Cluster(nodes) = address else { panic!("a cluster") };
        let passwords: Vec<_> = nodes.iter().map(|node| node.redis_settings().password()).collect();
        assert_eq!(passwords, [Some("s3cret"), Some("s3cret")]);
    }
}
