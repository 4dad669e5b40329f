//! Events for user objects, kept until the Worker acknowledges them.

use async_trait::async_trait;
use shared::{api::internal::user_event::AddressedEvent, id::Id, time::Timestamp};

use crate::store::error::StoreResult;

/// An event that was leased for its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeasedEvent {
    /// The event.
    pub event: AddressedEvent,
    /// The number of its leases, this one included.
    pub attempts: u32,
}

/// Events for user objects.
#[async_trait]
pub trait Events: Send + Sync + 'static {
    /// Stores events that are due since their time. One whose id is there changes nothing.
    async fn append_events(&self, events: Vec<AddressedEvent>) -> StoreResult<()>;

    /// Leases up to `limit` events that are due, those due longest first: they are due again at `until`. Of any number of
    /// calls at once each event goes to one.
    async fn lease_events(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<LeasedEvent>>;

    /// Forgets events that have arrived, as far as they are there.
    async fn acknowledge_events(&self, events: Vec<Id>) -> StoreResult<()>;

    /// Makes events due at another time, as far as they are there.
    async fn postpone_events(&self, events: Vec<(Id, Timestamp)>) -> StoreResult<()>;
}
