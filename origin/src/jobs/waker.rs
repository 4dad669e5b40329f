//! Tells the runner of this process that something is due. Other processes find it when they look.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes the runner. Clones wake the same one.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<Notify>);

impl Waker {
    /// Says that a job was scheduled that is due now. One that is said while nobody waits is heard by the next who does.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits for [`Self::wake`].
    pub(super) async fn woken(&self) {
        self.0.notified().await;
    }
}
