//! A Redis server that one test has to itself.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::PATIENT;

/// The attempts to reach a server that starts.
const START_ATTEMPTS: u32 = 400;
const START_PAUSE: Duration = Duration::from_millis(25);
/// The bus of a cluster has the port that is so much higher.
const BUS_OFFSET: u16 = 10_000;
const SLOTS: u16 = 16_384;

/// A server on a port of its own; it ends with the value.
pub(in crate::store) struct PrivateRedis {
    port: Port,
    arguments: Vec<String>,
    folder: TempDir,
    process: Child,
}

impl PrivateRedis {
    /// A server with these arguments beside the usual.
    pub(in crate::store) async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, arguments) =
            (Port::reserve(), arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let process = spawn(&port, &arguments, &folder);
        let mut server = Self { port, arguments, folder, process };
        server.ready().await;
        server
    }

    /// A cluster of one node, which has all slots.
    pub(in crate::store) async fn cluster() -> Self {
        let server = Self::start(&["--cluster-enabled", "yes"]).await;
        let mut connection = server.connect().await.unwrap();
        let slots: Vec<u16> = (0..SLOTS).collect();
        redis::cmd("CLUSTER").arg("ADDSLOTS").arg(slots).exec_async(&mut connection).await.unwrap();
        until(async || {
            let info: String =
                redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection.clone()).await.unwrap();
            info.contains("cluster_state:ok")
        })
        .await;
        server
    }

    pub(in crate::store) fn addr(&self) -> String {
        self.port.addr()
    }

    pub(in crate::store) fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// A connection beside the store's.
    pub(super) async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        connect(&self.url()).await
    }

    /// Returns true when it has a key of this pattern.
    pub(super) async fn has(&self, pattern: &str) -> bool {
        !self.keys(pattern).await.is_empty()
    }

    /// Returns the seconds since any key of this pattern was used.
    pub(super) async fn idle_s(&self, pattern: &str) -> u64 {
        let mut connection = self.connect().await.unwrap();
        let mut idle_s = u64::MAX;
        for key in self.keys(pattern).await {
            let mut idle = redis::cmd("OBJECT");
            let idle: u64 = idle.arg("IDLETIME").arg(key).query_async(&mut connection).await.unwrap();
            idle_s = idle_s.min(idle);
        }
        idle_s
    }

    /// Returns the number of keys that it has evicted.
    pub(super) async fn evicted(&self) -> usize {
        let mut connection = self.connect().await.unwrap();
        let info: String = redis::cmd("INFO").arg("stats").query_async(&mut connection).await.unwrap();
        let count = info.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap();
        count.parse().unwrap()
    }

    async fn keys(&self, pattern: &str) -> Vec<String> {
        let mut connection = self.connect().await.unwrap();
        redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap()
    }

    /// Makes it the replica of another, or a master.
    pub(super) async fn follow(&self, master: Option<&Self>) {
        let (host, port) =
            master.map_or(("NO", "ONE".to_owned()), |master| ("127.0.0.1", master.port.number.to_string()));
        let mut connection = self.connect().await.unwrap();
        redis::cmd("REPLICAOF").arg(host).arg(port).exec_async(&mut connection).await.unwrap();
    }

    /// Ends it as a crash does.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on the same port and folder.
    pub(super) async fn restart(&mut self) {
        self.process = spawn(&self.port, &self.arguments, &self.folder);
        self.ready().await;
    }

    /// Sends the process a signal by its name, such as `STOP`.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    async fn ready(&mut self) {
        for _ in 0..START_ATTEMPTS {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("redis-server ended at once: {status}");
            }
            // A server with a password answers so.
            if let Ok(mut connection) = self.connect().await
                && redis::cmd("PING").exec_async(&mut connection).await.is_ok_or_refused()
            {
                return;
            }
            tokio::time::sleep(START_PAUSE).await;
        }
        panic!("redis-server did not start");
    }
}

/// A connection of a test's own, with as much time as a busy machine may take.
pub(super) async fn connect(url: &str) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENT))
        .set_response_timeout(Some(PATIENT));
    Client::open(url).unwrap().get_multiplexed_async_connection_with_config(&config).await
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits, for a bounded time, until this holds.
pub(in crate::store) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..START_ATTEMPTS {
        if holds().await {
            return;
        }
        tokio::time::sleep(START_PAUSE).await;
    }
    panic!("it did not come to hold in time");
}

trait OkOrRefused {
    fn is_ok_or_refused(&self) -> bool;
}

impl OkOrRefused for RedisResult<()> {
    fn is_ok_or_refused(&self) -> bool {
        self.as_ref().map_or_else(|error| error.code() == Some("NOAUTH"), |()| true)
    }
}

fn spawn(port: &Port, arguments: &[String], folder: &TempDir) -> Child {
    let program = std::env::var("EDGECHAT_REDIS_BIN").unwrap_or_else(|_| "redis-server".to_owned());
    Command::new(&program)
        .args(["--bind", "127.0.0.1", "--port", &port.number.to_string(), "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(folder.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{program} does not start ({error}): run this suite by `cargo xtask test`")
        })
}

/// A port of the loopback address, and the one of its bus, reserved while the value lives.
pub(super) struct Port {
    number: u16,
    /// Bound, never listening: connections are refused until a server starts.
    _held: Option<[TcpSocket; 2]>,
}

impl Port {
    /// Takes a free port.
    pub(super) fn reserve() -> Self {
        loop {
            let port = bound(0).unwrap();
            let number = port.local_addr().unwrap().port();
            if let Some(Ok(bus)) = number.checked_add(BUS_OFFSET).map(bound) {
                // Elsewhere than on Linux this would take the address from the server itself.
                return Self { number, _held: cfg!(target_os = "linux").then_some([port, bus]) };
            }
        }
    }

    pub(super) fn addr(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.number)
    }
}

fn bound(port: u16) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}
