//! One multiplexed connection to a server, or one to a cluster, and how it is made.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue as _, Pipeline, RedisFuture,
    RedisResult, TlsCertificates, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo},
};
use rustls::RootCertStore;

use crate::config::stores::redis::RedisAddress;

/// The timeout of one attempt to connect to a server.
const CONNECT: Duration = Duration::from_millis(500);
/// Commands that may wait to be sent before callers do.
const SEND_BUFFER: usize = 1_024;
const MICROS_A_SECOND: u64 = 1_000_000;

/// Makes connections to one address.
pub(super) enum Connector {
    Server(Box<Client>),
    Cluster(Box<ClusterClient>),
}

/// A connection that any number of callers share. Responses match their commands, also when a caller does not wait for its
/// own.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connector {
    /// Fails when the address can never be connected to.
    pub(super) fn new(address: &RedisAddress) -> RedisResult<Self> {
        Ok(match address {
            RedisAddress::Server(node) => Self::Server(Box::new(match tls_roots(node.addr()) {
                Some(certificates) => Client::build_with_tls((**node).clone(), certificates)?,
                None => Client::open((**node).clone())?,
            })),
            RedisAddress::Cluster(nodes) => {
                // The adapter bounds every command itself, with all its redirections.
                let mut builder = ClusterClient::builder(nodes.iter().cloned())
                    .connection_timeout(CONNECT)
                    .overall_response_timeout(None)
                    .response_timeout(CONNECT)
                    .retries(2);
                if let Some(node) = nodes.first() {
                    builder = builder.tcp_settings(node.tcp_settings().clone());
                    if let Some(certificates) = tls_roots(node.addr()) {
                        builder = builder.certs(certificates);
                    }
                }
                Self::Cluster(Box::new(builder.build()?))
            }
        })
    }

    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        Ok(match self {
            Self::Server(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT))
                    .set_response_timeout(None)
                    .set_pipeline_buffer_size(SEND_BUFFER);
                Connection::Server(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Self::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
        })
    }
}

impl Connection {
    /// The server's clock in microseconds; of a cluster the one that is furthest on.
    pub(super) async fn time_us(&mut self) -> RedisResult<u64> {
        let time = redis::cmd("TIME");
        let answer = match self {
            Self::Server(connection) => connection.send_packed_command(&time).await?,
            Self::Cluster(connection) => {
                let everywhere = (MultipleNodeRoutingInfo::AllMasters, Some(ResponsePolicy::CombineArrays));
                connection.route_command(time, RoutingInfo::MultiNode(everywhere)).await?
            }
        };
        let parts = Vec::<u64>::from_redis_value(answer)?;
        let (clocks, _) = parts.as_chunks::<2>();
        let clocks = clocks.iter().map(|[seconds, micros]| seconds.saturating_mul(MICROS_A_SECOND) + micros);
        Ok(clocks.max().unwrap_or_default())
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Returns the system's trusted roots where the address asks for TLS. `None` leaves the choice to the library, which brings
/// the roots of public authorities.
fn tls_roots(address: &ConnectionAddr) -> Option<TlsCertificates> {
    let ConnectionAddr::TcpTls { .. } = address else { return None };
    // The library uses the process's provider. Any provider set before is this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let found = rustls_native_certs::load_native_certs().certs;
    // An unreadable one must not exclude the others.
    let readable = found.into_iter().filter(|cert| RootCertStore::empty().add(cert.clone()).is_ok());
    let mut pem = String::new();
    for cert in readable {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        STANDARD.encode_string(cert, &mut pem);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    (!pem.is_empty()).then(|| TlsCertificates { client_tls: None, root_cert: Some(pem.into_bytes()) })
}
