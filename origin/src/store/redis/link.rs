//! The lifetime of one connection.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::{sync::Notify, time::Instant};

use super::connection::Connection;

/// A connection and its state.
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) made_at: Instant,
    is_given_up: AtomicBool,
    given_up: Notify,
}

impl Link {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            made_at: Instant::now(),
            is_given_up: AtomicBool::new(false),
            given_up: Notify::new(),
        }
    }

    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        self.given_up.notify_waiters();
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Acquire)
    }

    pub(super) async fn wait_given_up(&self) {
        // It is subscribed from here on, so nothing is missed between the check and the wait.
        let given_up = self.given_up.notified();
        if !self.is_given_up() {
            given_up.await;
        }
    }
}
