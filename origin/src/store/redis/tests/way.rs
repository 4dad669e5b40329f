//! A way to a server that can be made bad.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use super::private::until;

/// A way that can be made to swallow everything: connections stay, nothing arrives. Or to take its time.
pub(super) struct Way {
    addr: String,
    is_open: watch::Sender<bool>,
    /// How late answers arrive.
    delay: watch::Sender<Duration>,
    /// Connections on which something may still arrive.
    passing: Arc<AtomicUsize>,
}

impl Way {
    pub(super) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let (is_open, watched) = watch::channel(true);
        let (delay, delayed) = watch::channel(Duration::ZERO);
        let passing = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&passing);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, mut watched, count) = (server.clone(), watched.clone(), Arc::clone(&count));
                let delayed = delayed.clone();
                count.fetch_add(1, SeqCst);
                tokio::spawn(async move {
                    let (mut questions, mut answers) = client.into_split();
                    let is_swallowed = !*watched.borrow() || {
                        let (from, mut to) = TcpStream::connect(server).await.unwrap().into_split();
                        tokio::select! {
                            _ = copy(&mut questions, &mut to) => false,
                            () = copy_late(from, &mut answers, delayed) => false,
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
        Self { addr, is_open, delay, passing }
    }

    /// From the return on nothing arrives.
    pub(super) async fn close(&self) {
        self.is_open.send_replace(false);
        until(async || self.passing.load(SeqCst) == 0).await;
    }

    pub(super) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// From now on answers are so late.
    pub(super) fn delay(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }
}

/// Copies until either end has gone.
async fn copy_late(mut from: OwnedReadHalf, to: &mut OwnedWriteHalf, delay: watch::Receiver<Duration>) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let delay = *delay.borrow();
        tokio::time::sleep(delay).await;
        if to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
}
