//! An address that stays the test's own.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of the loopback address that nobody else gets while the value lives, also while its process is dead.
#[derive(Debug)]
pub struct Port {
    addr: SocketAddr,
    /// Bound, never listening. Linux lets another socket with `SO_REUSEADDR` listen on the same address, and hands the
    /// port to nobody who asks for any free one. Elsewhere that would take the address from the process itself.
    _hold: Option<TcpSocket>,
}

impl Port {
    /// Takes a free port.
    ///
    /// # Panics
    /// When there is none.
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

    /// As a listening address, `127.0.0.1:PORT`.
    pub(crate) fn addr(&self) -> String {
        self.addr.to_string()
    }

    /// As a base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}
