//! Posts the events that the accounts keep, until the Worker acknowledges them.
//!
//! Each serving origin does so for whatever is due: a lease keeps two of them from doing the same at once, and an event that
//! arrives twice does nothing more.

use std::{sync::Arc, time::Duration};

use shared::{
    api::internal::user_event::{AddressedEvent, EventBatch, MAX_BATCH_EVENTS, UserEvent},
    chat::delivery::next_event_attempt,
    id::Id,
    time::{DAY_MS, SECOND_MS, Timestamp},
};
use tokio::sync::Notify;

use super::edge::EdgeClient;
use crate::{
    clock::Clock,
    random::Random,
    store::{StoreResult, Stores, accounts::events::LeasedEvent, ephemeral::CacheGroup},
};

/// The time between two looks at what is due: so long may an event wait that another process stored.
const PAUSE: Duration = Duration::from_secs(1);
/// The time for which leased events are nobody else's, longer than a call to the Worker may take.
const LEASE_MS: i64 = 15 * SECOND_MS;
/// The age at which an event is given up: no access token of before, and no cached context, is left by then. A Worker that
/// was away for so long finds an account's end out by asking.
const MAX_AGE_MS: i64 = 7 * DAY_MS;

/// Delivers events to the Worker.
pub struct EventDelivery {
    edge: Option<EdgeClient>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    due: Notify,
}

/// The outcome of a look at what is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Events that the Worker acknowledged.
    pub acknowledged: usize,
    /// Events that are to be sent again.
    pub postponed: usize,
}

impl EventDelivery {
    /// Makes a delivery to this Worker. Without one, events are dropped: user objects find out by asking.
    pub fn new(edge: Option<EdgeClient>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { edge, clock, random, due: Notify::new() }
    }

    /// Returns whether there is a Worker to deliver to.
    pub const fn has_worker(&self) -> bool {
        self.edge.is_some()
    }

    /// Says that something is due now.
    pub fn wake(&self) {
        self.due.notify_one();
    }

    /// Posts events once, ahead of the serving origin that will do so again and take note. Returns whether the Worker
    /// acknowledged all of them.
    pub async fn post_ahead(&self, events: Vec<AddressedEvent>) -> bool {
        let Some(edge) = &self.edge else { return false };
        let wanted: Vec<_> = events.iter().map(|event| event.id).collect();
        let acknowledged = self.post(edge, events, self.clock.now()).await;
        wanted.iter().all(|id| acknowledged.contains(id))
    }

    /// Delivers whatever becomes due, until it is dropped.
    pub async fn run(&self, stores: &Stores) {
        loop {
            if let Err(error) = self.deliver_due(stores).await {
                tracing::warn!(%error, "events for the Worker cannot be read; they stay");
            }
            let _ = tokio::time::timeout(PAUSE, self.due.notified()).await;
        }
    }

    /// Delivers what is due now, each event once.
    ///
    /// # Errors
    /// Fails when the accounts do; what was not acknowledged becomes due again when its lease is over.
    pub async fn deliver_due(&self, stores: &Stores) -> StoreResult<Delivered> {
        let mut total = Delivered::default();
        loop {
            let now = self.clock.now();
            let limit = u32::try_from(MAX_BATCH_EVENTS).unwrap_or(u32::MAX);
            let events = stores.accounts.lease_events(now, now.plus_millis(LEASE_MS), limit).await?;
            if events.is_empty() {
                return Ok(total);
            }
            let delivered = self.deliver(stores, events, now).await?;
            total.acknowledged += delivered.acknowledged;
            total.postponed += delivered.postponed;
        }
    }

    async fn deliver(
        &self,
        stores: &Stores,
        events: Vec<LeasedEvent>,
        now: Timestamp,
    ) -> StoreResult<Delivered> {
        // Another process may have ended the session.
        for event in events.iter().filter(|event| is_about_sessions(event.event.event)) {
            stores.ephemeral.invalidate(CacheGroup::SessionsOf(event.event.user_id)).await;
        }
        let acknowledged = match &self.edge {
            Some(edge) => self.post(edge, events.iter().map(|event| event.event).collect(), now).await,
            None => events.iter().map(|event| event.event.id).collect(),
        };
        let (done, again): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| {
            acknowledged.contains(&event.event.id) || now.millis_since(event.event.at) > MAX_AGE_MS
        });
        for given_up in done.iter().filter(|event| !acknowledged.contains(&event.event.id)) {
            tracing::error!(event = %given_up.event.id, "an event for the Worker is given up after a week");
        }
        let delivered = Delivered { acknowledged: acknowledged.len(), postponed: again.len() };
        stores.accounts.acknowledge_events(done.iter().map(|event| event.event.id).collect()).await?;
        let again = again.iter().map(|event| (event.event.id, self.next_attempt(event.attempts))).collect();
        stores.accounts.postpone_events(again).await?;
        Ok(delivered)
    }

    /// Posts events and returns those that were acknowledged. What does not arrive is logged.
    async fn post(&self, edge: &EdgeClient, events: Vec<AddressedEvent>, now: Timestamp) -> Vec<Id> {
        let batch = EventBatch { events };
        let request_id = self.random.id(now);
        match edge.post(&batch, request_id, now, self.random.id(now)).await {
            Ok(receipt) => receipt.acknowledged,
            Err(error) => {
                tracing::warn!(%request_id, %error, events = batch.events.len(), "events did not reach the Worker");
                Vec::new()
            }
        }
    }

    fn next_attempt(&self, attempts: u32) -> Timestamp {
        let mut jitter = [0; 4];
        self.random.fill(&mut jitter);
        next_event_attempt(attempts, self.clock.now(), u32::from_le_bytes(jitter))
    }
}

/// Returns whether what is remembered of a user's sessions is wrong after this event.
const fn is_about_sessions(event: UserEvent) -> bool {
    match event {
        UserEvent::SessionEnded { .. }
        | UserEvent::UserSessionsEnded { .. }
        | UserEvent::PlanChanged { .. }
        | UserEvent::UserDeleted => true,
        UserEvent::ConversationChanged { .. }
        | UserEvent::ConversationDeleted { .. }
        | UserEvent::Unknown => false,
    }
}
