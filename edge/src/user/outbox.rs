//! From a turn's end to the origin, until the origin has it. One alarm is heartbeat, watchdog and retry.

use std::rc::Rc;

use shared::{
    api::internal::{DeliveryReceipt, MAX_DELIVERY_AGE_MS, TURNS_PATH, TurnDelivery},
    chat::{
        delivery::{self, KEPT_MS, Upcoming, heartbeat},
        turn::{Ending, TurnState},
    },
    id::Id,
    time::Timestamp,
};
use worker::{Headers, Result};

use super::{User, cell::TurnCell, context::discard};
use crate::{
    origin::{self, Call},
    platform,
};

/// How long a retried delivery may take.
const RETRY_PATIENCE_MS: u64 = 10_000;

impl User {
    /// Ends a turn: storage first, then the origin, then the closing event that tells whether the origin has it.
    pub(super) async fn finish(&self, cell: &Rc<TurnCell>, ending: Ending, request_id: &str) {
        let now = platform::now();
        cell.change(|state| state.end(ending, now));
        if let Err(error) = self.store_end(cell, now) {
            worker::console_error!("request {request_id}: turn {}: storing its end: {error}", cell.id);
        }
        if let Some(state) = cell.state() {
            self.grow_context(state.record());
        }
        let patience_ms = u64::try_from(delivery::CLOSING_PATIENCE_MS).unwrap_or_default();
        self.deliver(cell, 0, patience_ms, request_id).await;
        cell.change(TurnState::close);
        self.remember(cell);
    }

    /// Stores the last events and the end, without an await between them. Where that cannot be, storage at least learns
    /// that the turn runs no more.
    fn store_end(&self, cell: &TurnCell, now: Timestamp) -> Result<()> {
        let stored = self.checkpoint(cell);
        let Some(state) = cell.state() else {
            return Ok(());
        };
        // The first delivery goes out at once; the alarm looks after it only should this process die.
        let deliver_at = heartbeat(now);
        let stored = stored.and_then(|()| self.store()?.end_turn(state.record(), deliver_at));
        if stored.is_err() {
            self.store()?.end_turn(&state.record().without_answer(), deliver_at)?;
        }
        stored
    }

    /// Tries to deliver an ended turn, and notes how it went.
    async fn deliver(&self, cell: &TurnCell, attempts: u32, patience_ms: u64, request_id: &str) {
        let Some(delivery) = cell.state().and_then(|state| state.delivery()) else {
            return;
        };
        let sent = platform::within(patience_ms, self.post(&delivery, &cell.token, request_id)).await;
        let noted = match sent {
            Some(Ok(receipt)) => {
                cell.change(TurnState::mark_persisted);
                self.delivered(cell, receipt)
            }
            failed => {
                let why = match failed {
                    Some(Err(error)) => error.to_string(),
                    _ => "no answer in time".to_owned(),
                };
                worker::console_error!(
                    "request {request_id}: turn {}: delivery {}: {why}",
                    cell.id,
                    attempts + 1
                );
                self.deliver_again(cell.id, delivery.created_at, attempts + 1).await
            }
        };
        if let Err(error) = noted {
            worker::console_error!("request {request_id}: turn {}: noting its delivery: {error}", cell.id);
        }
    }

    fn delivered(&self, cell: &TurnCell, receipt: DeliveryReceipt) -> Result<()> {
        self.store()?.delivered(cell.id)?;
        let expected = cell.state().map_or(0, |state| state.record().assistant_message.seq);
        // Where the origin counts further than we do, or has no such conversation any more, what is cached is wrong.
        if !receipt.conversation_exists || receipt.last_seq > expected {
            self.forget_context(cell.conversation_id)?;
        }
        Ok(())
    }

    /// Sets the next delivery, unless the turn is so old that the origin takes it no more.
    async fn deliver_again(&self, turn: Id, created_at: Timestamp, attempts: u32) -> Result<()> {
        if platform::now().millis_since(created_at) > MAX_DELIVERY_AGE_MS {
            worker::console_error!("turn {turn}: given up after {attempts} deliveries");
            return self.store()?.give_up(turn);
        }
        let jitter = u32::from_le_bytes(platform::random());
        let at = delivery::next_attempt(attempts, platform::now(), jitter);
        self.store()?.deliver_later(turn, attempts, at)?;
        self.ring_by(at).await;
        Ok(())
    }

    async fn post(&self, delivery: &TurnDelivery, token: &str, request_id: &str) -> Result<DeliveryReceipt> {
        let config = self.config()?;
        let body = serde_json::to_vec(delivery)?;
        let call =
            Call { method: "POST", path_and_query: TURNS_PATH, body: &body, request_id, client_ip: "" };
        let headers = Headers::new();
        headers.set("Content-Type", "application/json")?;
        headers.set("Authorization", &format!("Bearer {token}"))?;
        let mut response = origin::send(&config, &call, headers).await?;
        if response.status_code() != 200 {
            discard(&response);
            return Err(worker::Error::RustError(format!("the origin answered {}", response.status_code())));
        }
        Ok(serde_json::from_slice(&response.bytes().await?)?)
    }

    /// After a start: turns that storage holds as running were cut off. Each ends as interrupted and is delivered.
    pub(super) fn recover(self: &Rc<Self>) -> Result<()> {
        if self.recovered.replace(true) {
            return Ok(());
        }
        let now = platform::now();
        for id in self.store()?.running()? {
            let Some(row) = self.store()?.load(id)? else {
                continue;
            };
            let segments = row.segments.iter().map(|(first_id, frames)| (*first_id, frames.as_str()));
            let state = TurnState::restore(row.record, segments, now);
            let cell = TurnCell::restored(state, row.key, row.fingerprint, row.token);
            self.remember(&cell);
            let user = Rc::clone(self);
            self.state
                .wait_until(async move { user.finish(&cell, Ending::Interrupted, &id.to_string()).await });
        }
        if let Some(at) = self.store()?.next_delivery()? {
            let user = Rc::clone(self);
            self.state.wait_until(async move { user.ring_by(at).await });
        }
        Ok(())
    }

    /// The alarm: recovers, retries, forgets what is old, and sets itself anew while there is something to do.
    pub(super) async fn ring(self: &Rc<Self>) -> Result<()> {
        self.alarm_at.set(None);
        self.recover()?;
        for id in self.store()?.due(platform::now())? {
            let Some(row) = self.store()?.load(id)? else {
                continue;
            };
            if let Some(cell) = self.find(id)? {
                self.deliver(&cell, row.attempts, RETRY_PATIENCE_MS, &id.to_string()).await;
            }
        }
        let now = platform::now();
        self.store()?.purge(now.plus_millis(-KEPT_MS))?;
        let upcoming = Upcoming {
            running: self.turns.borrow().values().any(|cell| cell.is_open()),
            delivery: self.store()?.next_delivery()?,
            oldest_done: self.store()?.oldest_done()?,
        };
        if let Some(at) = upcoming.next(now) {
            self.ring_by(at).await;
        }
        Ok(())
    }

    /// Makes sure the alarm comes by then.
    pub(super) async fn ring_by(&self, at: Timestamp) {
        if self.alarm_at.get().is_some_and(|set| set <= at) {
            return;
        }
        self.alarm_at.set(Some(at));
        let offset_ms = at.millis_since(platform::now()).max(0);
        if let Err(error) = self.state.storage().set_alarm(offset_ms).await {
            self.alarm_at.set(None);
            worker::console_error!("setting the alarm: {error}");
        }
    }
}
