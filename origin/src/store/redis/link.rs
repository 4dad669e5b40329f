//! One connection for as long as it is trusted.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::{sync::Notify, time::Instant};

use super::connection::Connection;

/// A connection, and what is known of it.
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
        // It hears of what happens from here on, so nothing is missed between the look and the wait.
        let given_up = self.given_up.notified();
        if !self.is_given_up() {
            given_up.await;
        }
    }
}
