//! A port that stays reserved for a test.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of the loopback address, reserved while the value lives, also while its process is dead.
#[derive(Debug)]
pub struct Port {
    addr: SocketAddr,
    /// A bound socket that never listens. Linux lets another socket with `SO_REUSEADDR` listen on the same address, and does not
    /// give the port out as a free one. Elsewhere the process could not listen there itself.
    _hold: Option<TcpSocket>,
}

impl Port {
    /// Takes a free port.
    ///
    /// # Panics
    /// Panics when no port is free.
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("SO_REUSEADDR on a new socket");
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let addr = socket.local_addr().expect("a bound socket has an address");
        Self { addr, _hold: cfg!(target_os = "linux").then_some(socket) }
    }

    /// The port alone.
    pub(crate) fn number(&self) -> u16 {
        self.addr.port()
    }

    /// The listening address, `127.0.0.1:PORT`.
    pub(crate) fn addr(&self) -> String {
        self.addr.to_string()
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}
