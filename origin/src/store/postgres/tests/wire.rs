//! A proxy to the server that can fall silent, like a suspended server: it accepts everything and answers nothing.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_postgres::config::Host;

use crate::config::stores::PostgresConfig;

/// A listener that forwards to the server of a configuration.
pub(super) struct Wire {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    silent: watch::Sender<Range<usize>>,
}

impl Wire {
    /// Starts a proxy to this server.
    pub(super) async fn to(config: &PostgresConfig) -> Self {
        let server = address(config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (silent, silence) = watch::channel(0..0);
        let wire = Self { address: listener.local_addr().unwrap(), accepted: Arc::default(), silent };
        let accepted = Arc::clone(&wire.accepted);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = accepted.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let (client, server) = (client.into_split(), server.into_split());
                tokio::spawn(pass(number, client.0, server.1, silence.clone()));
                tokio::spawn(pass(number, server.0, client.1, silence.clone()));
            }
        });
        wire
    }

    /// Returns the configuration with the proxy's address.
    pub(super) fn lead(&self, config: &PostgresConfig) -> PostgresConfig {
        let mut server = tokio_postgres::Config::new();
        server
            .host(self.address.ip().to_string())
            .port(self.address.port())
            .dbname(config.server.get_dbname().unwrap())
            .user(config.server.get_user().unwrap())
            .password(config.server.get_password().unwrap_or_default())
            .ssl_mode(config.server.get_ssl_mode());
        PostgresConfig { server, ..config.clone() }
    }

    /// Returns the number of connections made.
    pub(super) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Stops forwarding of all connections.
    pub(super) fn silence_all(&self) {
        self.silent.send_replace(0..usize::MAX);
    }

    /// Stops forwarding of the connections made so far for ever; later ones are forwarded.
    pub(super) fn silence_those_made(&self) {
        self.silent.send_replace(0..self.connections());
    }

    /// Forwards everything, also the bytes received in the silence.
    pub(super) fn speak(&self) {
        self.silent.send_replace(0..0);
    }
}

/// Returns the address of a configuration's first host.
pub(super) fn address(config: &PostgresConfig) -> String {
    match config.server.get_hosts() {
        [Host::Tcp(host), ..] => format!("{host}:{}", config.server.get_ports().first().unwrap()),
        hosts => panic!("no TCP address in {hosts:?}"),
    }
}

async fn pass(
    number: usize,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut silence: watch::Receiver<Range<usize>>,
) {
    let mut buffer = [0; 8_192];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let is_open = silence.wait_for(|silent| !silent.contains(&number)).await.is_ok();
        if !is_open || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
