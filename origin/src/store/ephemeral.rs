//! The ephemeral port: what may be lost at any moment, such as counters of throttles and nonces that were seen.

use async_trait::async_trait;
use shared::{limits::window::FixedWindow, time::Timestamp};

pub use shared::limits::window::WindowDecision;

use super::error::StoreResult;

/// Short-lived state.
#[async_trait]
pub trait Ephemeral: Send + Sync + 'static {
    /// The name of the product behind, such as `memory`.
    fn backend(&self) -> &'static str;

    /// Answers when the store does.
    async fn ping(&self) -> StoreResult<()>;

    /// Counts one more under this key, unless its window is full, in one step: of any number at once exactly as many are
    /// allowed as the window holds. A key is always used with the same window.
    async fn count(&self, key: &str, window: FixedWindow, now: Timestamp) -> StoreResult<WindowDecision>;

    /// Forgets what was counted under this key.
    async fn forget(&self, key: &str) -> StoreResult<()>;

    /// Whether this key is seen for the first time; it is remembered until `until`. Of any number at once one is the
    /// first.
    async fn first_seen(&self, key: &str, until: Timestamp, now: Timestamp) -> StoreResult<bool>;
}
