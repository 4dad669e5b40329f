//! From a turn's end to the origin, until the origin has it. One alarm is heartbeat, watchdog and retry.

use std::{rc::Rc, time::Duration};

use shared::{
    api::internal::{DeliveryReceipt, MAX_DELIVERY_AGE_MS, TURNS_PATH, TurnDelivery},
    chat::{
        delivery::{self, KEPT_MS, Upcoming, heartbeat},
        turn::{Ending, TurnState},
    },
    id::Id,
    time::{SECOND_MS, Timestamp},
};
use worker::{Error, Headers, Result};

use super::{User, cell::TurnCell, store::StoredTurnRow};
use crate::{
    origin::{self, Call},
    platform,
};

/// How long a retried delivery may take.
const RETRY_PATIENCE_MS: i64 = 10 * SECOND_MS;

/// How long a delivery waits whose turn cannot be read: for a version that can.
const UNREADABLE_RETRY_MS: i64 = 600 * SECOND_MS;

/// The outcome of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivered {
    /// The origin has the turn, or said what is wrong with it: what comes after it may go.
    Answered,
    /// The origin cannot be reached: what comes after it waits as well.
    Unreachable,
}

impl User {
    /// Ends a turn: storage first, then the origin, then the closing event that tells whether the origin has it.
    pub(super) async fn finish(&self, cell: &Rc<TurnCell>, ending: Ending, request_id: &str) {
        self.end(cell, ending, request_id);
        if let Some(state) = cell.state() {
            self.append_turn(state.record());
        }
        let until = platform::now().plus_millis(delivery::CLOSING_PATIENCE_MS);
        self.deliver_in_order(cell, 0, until, request_id).await;
        cell.change(TurnState::close);
        self.remember(cell);
    }

    /// Ends a turn here and in storage; only the first ending counts.
    pub(super) fn end(&self, cell: &TurnCell, ending: Ending, request_id: &str) {
        let now = platform::now();
        cell.change(|state| state.end(ending, now));
        if cell.end_is_stored.replace(true) {
            return;
        }
        if let Err(error) = self.store_end(cell, now) {
            worker::console_error!("request {request_id}: turn {}: storing its end: {error}", cell.id);
        }
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
            self.store()?.end_turn(&state.record_without_answer(), deliver_at)?;
        }
        stored
    }

    /// Delivers a turn, and before it what of its conversation the origin does not have: the origin gives out `seq` in the
    /// order in which turns reach it. Ends by `until`.
    async fn deliver_in_order(
        &self,
        cell: &Rc<TurnCell>,
        attempts: u32,
        until: Timestamp,
        request_id: &str,
    ) -> Delivered {
        let earlier = self.store().and_then(|store| store.undelivered_before(cell.conversation_id, cell.id));
        let earlier = earlier.unwrap_or_else(|error| {
            worker::console_error!("request {request_id}: turn {}: what comes before it: {error}", cell.id);
            Vec::new()
        });
        for id in earlier {
            if let Some((attempts, earlier)) = self.load_undelivered(id)
                && self.deliver(&earlier, attempts, until, request_id).await == Delivered::Unreachable
            {
                return Delivered::Unreachable;
            }
        }
        self.deliver(cell, attempts, until, request_id).await
    }

    /// Loads how often the delivery of a turn failed that the outbox holds, and the turn. One that cannot be read is logged and put off.
    fn load_undelivered(&self, id: Id) -> Option<(u32, Rc<TurnCell>)> {
        let found = self.store().and_then(|store| store.load(id));
        let found = found.map(|row| row.map(|row| (row.attempts, self.adopt(row))));
        found.unwrap_or_else(|error| {
            worker::console_error!("turn {id}: it cannot be read for its delivery: {error}");
            let later = platform::now().plus_millis(UNREADABLE_RETRY_MS);
            if let Err(error) = self.store().and_then(|store| store.back_off(id, later)) {
                worker::console_error!("turn {id}: putting its delivery off: {error}");
            }
            None
        })
    }

    /// Tries to deliver an ended turn until then, and notes how it went.
    async fn deliver(&self, cell: &TurnCell, attempts: u32, until: Timestamp, request_id: &str) -> Delivered {
        let Some(delivery) =
            cell.state().filter(|state| !state.record().persisted).and_then(|s| s.delivery())
        else {
            return Delivered::Answered;
        };
        let left_ms = u64::try_from(until.millis_since(platform::now())).unwrap_or_default();
        let sent = self.post(&delivery, &cell.token, Duration::from_millis(left_ms), request_id).await;
        let (delivered, noted) = match sent {
            Ok(receipt) => {
                cell.change(TurnState::mark_persisted);
                (Delivered::Answered, self.delivered(cell, receipt))
            }
            Err(DeliveryError { outcome, why }) => {
                let attempts = attempts + 1;
                worker::console_error!("request {request_id}: turn {}: delivery {attempts}: {why}", cell.id);
                (outcome, self.deliver_again(cell.id, delivery.created_at, attempts).await)
            }
        };
        if let Err(error) = noted {
            worker::console_error!("request {request_id}: turn {}: noting its delivery: {error}", cell.id);
        }
        delivered
    }

    fn delivered(&self, cell: &TurnCell, receipt: DeliveryReceipt) -> Result<()> {
        self.store()?.delivered(cell.id, platform::now())?;
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

    async fn post(
        &self,
        delivery: &TurnDelivery,
        token: &str,
        timeout: Duration,
        request_id: &str,
    ) -> std::result::Result<DeliveryReceipt, DeliveryError> {
        let config = self.config()?;
        let body = serde_json::to_vec(delivery).map_err(Error::from)?;
        let path_and_query = TURNS_PATH;
        let call = Call { method: "POST", path_and_query, body: &body, request_id, client_ip: "", timeout };
        let headers = Headers::new();
        headers.set("Content-Type", "application/json")?;
        headers.set("Authorization", &format!("Bearer {token}"))?;
        match origin::fetch(&config, &call, headers).await.map_err(Error::from)? {
            (200, receipt) => Ok(serde_json::from_slice(&receipt).map_err(Error::from)?),
            (status, _) => Err(DeliveryError::of_status(status)),
        }
    }

    /// After a start: turns that storage holds as running were cut off. Each ends as interrupted and is delivered. One that
    /// cannot be read is logged, and keeps no other from it; the next start tries it again.
    pub(super) fn recover(self: &Rc<Self>) -> Result<()> {
        if self.recovered.get() {
            return Ok(());
        }
        let now = platform::now();
        let store = self.store()?;
        let (running, next_delivery) = (store.running()?, store.next_delivery()?);
        for id in running {
            let row = match store.load(id) {
                Ok(Some(row)) => row,
                Ok(None) => continue,
                Err(error) => {
                    worker::console_error!("turn {id}: it was cut off and cannot be read: {error}");
                    continue;
                }
            };
            let cell = restored(row, now);
            self.remember(&cell);
            let user = Rc::clone(self);
            self.state
                .wait_until(async move { user.finish(&cell, Ending::Interrupted, &id.to_string()).await });
        }
        if let Some(at) = next_delivery {
            let user = Rc::clone(self);
            self.state.wait_until(async move { user.ring_by(at).await });
        }
        self.recovered.set(true);
        Ok(())
    }

    /// The alarm: recovers, retries, forgets what is old, and sets itself anew while there is something to do, or when it
    /// could not find out.
    pub(super) async fn ring(self: &Rc<Self>) {
        self.alarm_at.set(None);
        let logged = |what: &str, result: Result<()>| {
            if let Err(error) = result {
                worker::console_error!("alarm: {what}: {error}");
            }
        };
        logged("recovering", self.recover());
        logged("delivering", self.deliver_due().await);
        let now = platform::now();
        logged("purging", self.store().and_then(|store| store.purge(now.plus_millis(-KEPT_MS))));
        let upcoming = self.store().and_then(|store| {
            Ok(Upcoming {
                running: self.turns.borrow().values().any(|cell| cell.is_open()),
                delivery: store.next_delivery()?,
                oldest_done: store.oldest_done()?,
            })
        });
        let next = match upcoming {
            Ok(upcoming) => upcoming.next(now),
            Err(error) => {
                worker::console_error!("alarm: what is next: {error}");
                Some(heartbeat(now))
            }
        };
        if let Some(at) = next {
            self.ring_by(at).await;
        }
    }

    /// Tries the deliveries that are due, each by itself. When the origin cannot be reached, the rest of them wait for the
    /// next time.
    async fn deliver_due(self: &Rc<Self>) -> Result<()> {
        for id in self.store()?.due(platform::now())? {
            let Some((attempts, cell)) = self.load_undelivered(id) else {
                continue;
            };
            let until = platform::now().plus_millis(RETRY_PATIENCE_MS);
            if self.deliver_in_order(&cell, attempts, until, &id.to_string()).await == Delivered::Unreachable
            {
                let now = platform::now();
                return self.store()?.postpone_due(now, delivery::next_attempt(attempts + 1, now, 0));
            }
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

/// A delivery that failed.
struct DeliveryError {
    outcome: Delivered,
    why: String,
}

impl DeliveryError {
    /// The error of an answer with this status.
    fn of_status(status: u16) -> Self {
        let is_unreachable = delivery::is_unreachable(status);
        let outcome = if is_unreachable { Delivered::Unreachable } else { Delivered::Answered };
        Self { outcome, why: format!("the origin answered {status}") }
    }
}

impl From<Error> for DeliveryError {
    fn from(error: Error) -> Self {
        Self { outcome: Delivered::Unreachable, why: error.to_string() }
    }
}

/// Makes a turn in memory of what storage has of it.
pub(super) fn restored(row: StoredTurnRow, now: Timestamp) -> Rc<TurnCell> {
    let segments = row.segments.iter().map(|(first_id, frames)| (*first_id, frames.as_str()));
    let is_running = !row.record.assistant_message.status.is_terminal();
    let state = TurnState::restore(row.record, segments, now);
    let cell = TurnCell::restored(state, row.key, row.fingerprint, row.token);
    cell.end_is_stored.set(!is_running);
    cell
}
