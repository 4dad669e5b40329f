//! Delivery of ended turns to the origin, until the origin has them.
//!
//! Pending turns are known in memory and found in storage after a start; failed attempts are not stored, so that a new
//! process tries at once.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use shared::{
    api::{
        ApiError, ErrorCode,
        internal::{DeliveryReceipt, MAX_DELIVERY_AGE_MS, TurnDelivery},
    },
    chat::{
        delivery::{self, Backlog},
        turn::TurnState,
    },
    id::Id,
    telemetry::OutboxReport,
    time::{SECOND_MS, Timestamp},
};
use worker::{Error, Result};

use super::{
    alarm::Alarm,
    live_turn::LiveTurn,
    live_turns::LiveTurns,
    store::{Store, Undelivered},
};
use crate::{
    log::Scope,
    origin::{Call, OriginClient},
    platform::{self, HeaderLines},
};

/// The timeout of a retried delivery.
const RETRY_TIMEOUT_MS: i64 = 10 * SECOND_MS;
/// The delay of a delivery whose turn cannot be read: for a version that can.
const UNREADABLE_RETRY_MS: i64 = 600 * SECOND_MS;
/// The most deliveries of one alarm, and the most earlier turns that are delivered with one.
const MAX_BATCH: usize = 16;

/// The outcome of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The origin has the turn, or rejected it: later turns may be delivered.
    Answered,
    /// The origin cannot be reached: later turns wait as well.
    Unreachable,
}

/// A turn that waits for its delivery.
#[derive(Clone, Copy, Debug)]
struct Pending {
    conversation_id: Id,
    /// Its bytes in storage, about.
    bytes: usize,
    /// Failed deliveries so far.
    attempts: u32,
    due: Timestamp,
}

/// The turns that the origin does not have.
pub struct Outbox {
    store: Rc<Store>,
    turns: Rc<LiveTurns>,
    origin: OriginClient,
    alarm: Rc<Alarm>,
    /// By id, which is the order in which they began.
    pending: RefCell<BTreeMap<Id, Pending>>,
    /// Conversations of which the origin knows more than is cached here.
    outdated: RefCell<Vec<Id>>,
    /// The number of turns that may wait.
    max_turns: usize,
}

impl Outbox {
    /// Opens the outbox with the pending turns of storage.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn open(
        store: Rc<Store>,
        turns: Rc<LiveTurns>,
        origin: OriginClient,
        alarm: Rc<Alarm>,
        max_turns: usize,
    ) -> Result<Self> {
        let due = platform::now();
        let waiting = |turn: Undelivered| {
            let Undelivered { id, conversation_id, bytes } = turn;
            (id, Pending { conversation_id, bytes, attempts: 0, due })
        };
        let pending = RefCell::new(store.undelivered()?.into_iter().map(waiting).collect());
        Ok(Self { store, turns, origin, alarm, pending, outdated: RefCell::default(), max_turns })
    }

    /// Refuses one more turn while as many wait as may: the origin has been away for long.
    ///
    /// # Errors
    /// Fails with [`ErrorCode::OriginUnavailable`].
    pub fn reject_when_full(&self) -> std::result::Result<(), ApiError> {
        let mut backlog = Backlog::default();
        self.pending.borrow().values().for_each(|pending| backlog.add(pending.bytes));
        if backlog.is_full(self.max_turns) {
            let detail = "Too many answers wait to be stored";
            let error = ApiError::new(ErrorCode::OriginUnavailable, detail);
            return Err(error.retry_after(delivery::UNDELIVERED_RETRY_S));
        }
        Ok(())
    }

    /// Adds a turn whose end is stored. Its first delivery starts at once; the alarm retries it should that fail.
    pub fn add(&self, turn: &LiveTurn, now: Timestamp) {
        let due = delivery::heartbeat(now);
        let bytes = turn.held_bytes();
        let pending = Pending { conversation_id: turn.conversation_id(), bytes, attempts: 0, due };
        self.pending.borrow_mut().insert(turn.id(), pending);
    }

    /// Delivers a turn, after the undelivered earlier turns of its conversation: the origin assigns `seq` in the order in which
    /// turns reach it. Ends by `until`.
    pub async fn deliver_in_order(&self, turn: &Rc<LiveTurn>, until: Timestamp, scope: &Scope) -> Delivered {
        for id in self.earlier(turn) {
            if let Some(earlier) = self.load(id, scope)
                && self.deliver_one(&earlier, until, scope).await == Delivered::Unreachable
            {
                return Delivered::Unreachable;
            }
        }
        self.deliver_one(turn, until, scope).await
    }

    /// Closes a turn that ended before this process began, after a delivery attempt: a process may die between a delivery and
    /// its record.
    pub async fn close_ended_turn(&self, turn: &Rc<LiveTurn>, scope: &Scope) {
        if turn.is_open() || turn.state().is_none_or(|state| state.is_closed()) {
            return;
        }
        if self.pending.borrow().get(&turn.id()).is_some_and(|pending| pending.attempts == 0) {
            let until = platform::now().plus_millis(delivery::CLOSING_TIMEOUT_MS);
            self.deliver_in_order(turn, until, scope).await;
        }
        turn.change(TurnState::close);
    }

    /// Tries the due deliveries, each by itself. When the origin cannot be reached, the rest of them wait for the next alarm.
    pub async fn deliver_due(&self, scope: &Scope) {
        let now = platform::now();
        for id in self.due(now) {
            let Some(turn) = self.load(id, scope) else { continue };
            let until = platform::now().plus_millis(RETRY_TIMEOUT_MS);
            // No client's request: the turn's id is its request id at the origin.
            if self.deliver_in_order(&turn, until, &Scope::new(&id.to_string())).await
                == Delivered::Unreachable
            {
                return self.postpone_due(id);
            }
        }
    }

    /// Returns the time at which the next delivery is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.pending.borrow().values().map(|pending| pending.due).min()
    }

    /// Takes the conversations of which the origin has reported more than is cached here.
    pub fn take_outdated(&self) -> Vec<Id> {
        self.outdated.take()
    }

    /// Drops all pending turns.
    pub fn forget_all(&self) {
        self.pending.borrow_mut().clear();
    }

    fn due(&self, now: Timestamp) -> Vec<Id> {
        let pending = self.pending.borrow();
        let mut due: Vec<_> = pending
            .iter()
            .filter(|(_, pending)| pending.due <= now)
            .map(|(id, pending)| (pending.due, *id))
            .collect();
        due.sort_unstable();
        due.into_iter().take(MAX_BATCH).map(|(_, id)| id).collect()
    }

    /// Postpones every due delivery until this one is due again: the origin does not answer.
    fn postpone_due(&self, failed: Id) {
        let now = platform::now();
        let mut pending = self.pending.borrow_mut();
        let attempts = pending.get(&failed).map_or(1, |pending| pending.attempts.max(1));
        let later = delivery::next_attempt(attempts, now, 0);
        for pending in pending.values_mut().filter(|pending| pending.due <= now) {
            pending.due = later;
        }
    }

    /// Returns the pending turns of the same conversation that began before this one.
    fn earlier(&self, turn: &LiveTurn) -> Vec<Id> {
        let pending = self.pending.borrow();
        let earlier = pending.range(..turn.id());
        let same = earlier.filter(|(_, pending)| pending.conversation_id == turn.conversation_id());
        same.map(|(id, _)| *id).take(MAX_BATCH).collect()
    }

    /// Loads a pending turn. One that cannot be read is logged and postponed.
    fn load(&self, id: Id, scope: &Scope) -> Option<Rc<LiveTurn>> {
        match self.turns.find(id) {
            Ok(Some(turn)) => Some(turn),
            Ok(None) => {
                self.pending.borrow_mut().remove(&id);
                None
            }
            Err(error) => {
                scope.with_turn(id).error("reading a turn for its delivery", &error);
                self.put_off(id, platform::now().plus_millis(UNREADABLE_RETRY_MS));
                None
            }
        }
    }

    fn put_off(&self, id: Id, due: Timestamp) {
        if let Some(pending) = self.pending.borrow_mut().get_mut(&id) {
            pending.due = due;
        }
    }

    /// Tries to deliver an ended turn by `until`, and records the result. One that is no longer pending is not delivered: the account
    /// may have been deleted.
    async fn deliver_one(&self, turn: &LiveTurn, until: Timestamp, scope: &Scope) -> Delivered {
        if !self.pending.borrow().contains_key(&turn.id()) {
            return Delivered::Answered;
        }
        let delivery = turn.state().filter(|state| !state.record().persisted).and_then(|s| s.delivery());
        let Some(delivery) = delivery else {
            self.pending.borrow_mut().remove(&turn.id());
            return Delivered::Answered;
        };
        let now = platform::now();
        let left_ms = u64::try_from(until.millis_since(now)).unwrap_or_default();
        let report = self.report(delivery.finished_at, now);
        let caller = turn.state().and_then(|state| state.record().trace);
        let scope = scope.with_turn(turn.id()).with_trace(caller.map(|caller| caller.within_turn(turn.id())));
        let token = &turn.origin().token;
        match self.post(&delivery, report, token, Duration::from_millis(left_ms), &scope).await {
            Ok(receipt) => {
                turn.change(TurnState::mark_persisted);
                self.delivered(turn, receipt);
                Delivered::Answered
            }
            Err(DeliveryError { outcome, why }) => {
                scope.error("the delivery failed", &why);
                self.deliver_again(turn.id(), delivery.created_at, &scope).await;
                outcome
            }
        }
    }

    /// Returns what the origin is told of this outbox with a turn that ended then.
    fn report(&self, finished_at: Timestamp, now: Timestamp) -> OutboxReport {
        let others = self.pending.borrow().len().saturating_sub(1);
        OutboxReport {
            waited_ms: u64::try_from(now.millis_since(finished_at)).unwrap_or_default(),
            behind: u64::try_from(others).unwrap_or(u64::MAX),
        }
    }

    fn delivered(&self, turn: &LiveTurn, receipt: DeliveryReceipt) {
        self.pending.borrow_mut().remove(&turn.id());
        self.store.note_delivery(turn.id(), platform::now());
        let expected = turn.state().map_or(0, |state| state.record().messages.answer().seq);
        // Where the origin's count is higher than ours, or the conversation no longer exists, the cached context is stale.
        if !receipt.conversation_exists || receipt.last_seq > expected {
            self.outdated.borrow_mut().push(turn.conversation_id());
        }
    }

    /// Schedules the next delivery, unless the turn is so old that the origin no longer accepts it.
    async fn deliver_again(&self, turn: Id, created_at: Timestamp, scope: &Scope) {
        let now = platform::now();
        if now.millis_since(created_at) > MAX_DELIVERY_AGE_MS {
            scope.error("the delivery is given up", &"the origin takes turns of 30 days");
            self.pending.borrow_mut().remove(&turn);
            scope.logged("giving a delivery up", self.store.give_up(turn));
            return;
        }
        let at = {
            let mut pending = self.pending.borrow_mut();
            let Some(pending) = pending.get_mut(&turn) else { return };
            pending.attempts += 1;
            let jitter = u32::from_le_bytes(platform::random());
            pending.due = delivery::next_attempt(pending.attempts, now, jitter);
            pending.due
        };
        self.alarm.schedule(at, scope).await;
    }

    async fn post(
        &self,
        delivery: &TurnDelivery,
        report: OutboxReport,
        token: &str,
        timeout: Duration,
        scope: &Scope,
    ) -> std::result::Result<DeliveryReceipt, DeliveryError> {
        let body = serde_json::to_vec(delivery).map_err(Error::from)?;
        let call = Call {
            method: "POST",
            path_and_query: &report.path(),
            body: &body,
            scope,
            client_ip: "",
            timeout,
        };
        let mut headers = HeaderLines::default();
        headers.set("Content-Type", "application/json")?;
        headers.set("Authorization", &format!("Bearer {token}"))?;
        match self.origin.fetch(&call, headers).await.map_err(Error::from)? {
            (200, receipt) => Ok(serde_json::from_slice(&receipt).map_err(Error::from)?),
            (status, _) => Err(DeliveryError::of_status(status)),
        }
    }
}

/// A delivery that failed.
struct DeliveryError {
    outcome: Delivered,
    why: String,
}

impl DeliveryError {
    /// Returns the error of a response with this status.
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
