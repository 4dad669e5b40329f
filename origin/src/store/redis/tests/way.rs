//! A proxy to a server that can fail.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::private::until;

/// A proxy to a server that can drop everything: connections stay open, nothing arrives.
pub(super) struct Way {
    addr: String,
    is_open: watch::Sender<bool>,
    /// Connections on which something may still arrive.
    passing: Arc<AtomicUsize>,
}

impl Way {
    pub(super) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let (is_open, watched) = watch::channel(true);
        let passing = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&passing);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut watched, count) = (server.clone(), watched.clone(), Arc::clone(&count));
                count.fetch_add(1, SeqCst);
                tokio::spawn(async move {
                    let is_swallowed = !*watched.borrow() || {
                        let mut server = TcpStream::connect(server).await.unwrap();
                        tokio::select! {
                            _ = copy_bidirectional(&mut client, &mut server) => false,
                            _ = watched.wait_for(|is_open| !is_open) => true,
                        }
                    };
                    count.fetch_sub(1, SeqCst);
                    if is_swallowed {
                        // The connection is held, and never read again.
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { addr, is_open, passing }
    }

    /// From the return on nothing arrives.
    pub(super) async fn close(&self) {
        self.is_open.send_replace(false);
        until(async || self.passing.load(SeqCst) == 0).await;
    }

    pub(super) fn open(&self) {
        self.is_open.send_replace(true);
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }
}
