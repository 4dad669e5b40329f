//! A turn from its begin to its end: the provider's call, its events, and the hand-over to the outbox.
//!
//! Other parts of the [`Runner`] have files of their own: [`super::admission`], [`super::begin`], [`super::queue`].

use std::{pin::pin, rc::Rc};

use futures_util::{FutureExt, future::select};
use shared::{
    api::ApiError,
    chat::{
        delivery,
        pace::Pace,
        turn::{TurnOutcome, TurnState},
    },
    provider::{Outcome, ProviderFailure},
    time::Timestamp,
};
use worker::Result;

use super::{
    admission::TurnRequest,
    alarm::Alarm,
    contexts::Contexts,
    journal::Journal,
    limits::Limits,
    live_turn::LiveTurn,
    live_turns::{LiveTurns, restore},
    outbox::Outbox,
    sessions::SessionGate,
    store::Store,
};
use crate::{
    config::Config,
    log::Scope,
    platform::{self, Ticker, Timer},
    provider::{CompletionStream, Next},
    telemetry::TurnSpan,
};

/// The provider's call in progress, or the error of making it.
pub(super) type PendingCall = std::result::Result<CompletionStream, ProviderFailure>;

/// Runs the turns of this user.
pub struct Runner {
    pub(super) config: Rc<Config>,
    pub(super) store: Rc<Store>,
    pub(super) journal: Journal,
    pub(super) sessions: Rc<SessionGate>,
    pub(super) contexts: Rc<Contexts>,
    pub(super) limits: Limits,
    pub(super) turns: Rc<LiveTurns>,
    pub(super) outbox: Rc<Outbox>,
    pub(super) alarm: Rc<Alarm>,
    pub(super) ticker: Rc<Ticker>,
}

impl Runner {
    /// Runs a turn to its end, with or without readers.
    pub async fn run(&self, turn: &Rc<LiveTurn>, request: TurnRequest, scope: &Scope) {
        let caller = scope.trace();
        let mut span = TurnSpan::begin(caller, turn.id(), request.identity.verified_at);
        let scope = scope.with_turn(turn.id()).with_trace(caller.map(|caller| caller.within_turn(turn.id())));
        match self.begin(turn, &request, caller, &scope).await {
            Ok(call) => {
                span.started();
                let outcome = match call {
                    Ok(call) => self.stream_completion(turn, call, &mut span, &scope).await,
                    Err(failure) => TurnOutcome::Failed(failure),
                };
                self.finish(turn, outcome, &scope).await;
            }
            Err(error) => self.reject(turn, error.for_client("the turn could not begin", &scope), &scope),
        }
        span.end(turn.id(), turn.state().as_ref().map(|state| state.record()));
    }

    /// Ends a turn that could not begin. One that waited for its turn is shown as failed: its client has its id.
    fn reject(&self, turn: &LiveTurn, error: ApiError, scope: &Scope) {
        if turn.has_waited() {
            return self.drop_queued(turn, TurnOutcome::NotStarted(error.code.into()), scope);
        }
        self.turns.remove(turn.id());
        turn.reject(error);
    }

    /// Ends a turn that a restart cut off, and with it the span that another process began.
    pub async fn finish_cut_off(&self, turn: &Rc<LiveTurn>, scope: &Scope) {
        let started = turn.state().map(|state| (state.record().trace, state.record().created_at));
        let (caller, created_at) = started.unwrap_or_default();
        let caller = caller.filter(|_| self.config.traces.is_some());
        let span = TurnSpan::begin(caller, turn.id(), created_at);
        self.finish(turn, TurnOutcome::Interrupted, scope).await;
        span.end(turn.id(), turn.state().as_ref().map(|state| state.record()));
    }

    /// Ends the turns that storage holds as running: a restart interrupted them. One that cannot be read is logged and does not
    /// affect the others; the next start tries it again. Returns those that are to be finished.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn recover(&self, scope: &Scope) -> Result<Vec<Rc<LiveTurn>>> {
        let mut cut_off = Vec::new();
        for id in self.store.running()? {
            let row = scope.with_turn(id).logged("reading a turn that was cut off", self.store.load(id));
            if let Some(Some(row)) = row {
                let turn = restore(row);
                self.turns.track(&turn);
                cut_off.push(turn);
            }
        }
        Ok(cut_off)
    }

    /// Ends a turn: storage first, then the origin, then the closing event that says whether the origin has it.
    pub async fn finish(&self, turn: &Rc<LiveTurn>, outcome: TurnOutcome, scope: &Scope) {
        self.end(turn, outcome, scope);
        if let Some(state) = turn.state() {
            self.contexts.append(state.record());
        }
        let until = platform::now().plus_millis(delivery::CLOSING_TIMEOUT_MS);
        self.outbox.deliver_in_order(turn, until, scope).await;
        self.forget_outdated(scope);
        turn.change(TurnState::close);
        self.turns.track(turn);
    }

    /// Ends a turn here and in storage; only the first outcome counts.
    pub fn end(&self, turn: &LiveTurn, outcome: TurnOutcome, scope: &Scope) {
        let now = platform::now();
        turn.change(|state| state.end(outcome, now));
        if turn.take_unstored_end() {
            scope.logged("storing the end of a turn", self.store_end(turn, now));
            self.outbox.add(turn, now);
        }
    }

    /// Stops a turn: one that runs ends with its text so far, one that waits leaves the queue, one that is starting does not begin.
    pub fn stop(&self, turn: &LiveTurn, scope: &Scope) {
        if turn.is_queued() {
            self.drop_queued(turn, TurnOutcome::Cancelled, scope);
        } else if turn.is_starting() {
            turn.stop_starting();
        } else if turn.is_running() {
            self.end(turn, TurnOutcome::Cancelled, scope);
            turn.cut_off();
        }
    }

    /// Forgets the contexts of which the origin knows more.
    pub fn forget_outdated(&self, scope: &Scope) {
        for conversation in self.outbox.take_outdated() {
            scope.logged("forgetting a context", self.contexts.forget(conversation));
        }
    }

    /// Reads the model's output to its end, and runs the due actions of the turn: at each piece of the answer, when words have
    /// waited long enough, and at each tick.
    async fn stream_completion(
        &self,
        turn: &LiveTurn,
        mut call: CompletionStream,
        span: &mut TurnSpan,
        scope: &Scope,
    ) -> TurnOutcome {
        let mut now = platform::now();
        let mut pace = Pace::new(now, self.config.stream_flush_ms, self.config.stream_ping_ms);
        let (mut flush, mut ticks) = (Timer::default(), self.ticker.listen());
        let mut events = Vec::new();
        loop {
            let has_words = turn.state().is_some_and(|state| state.has_unflushed());
            let wait_ms = has_words.then(|| pace.flush_wait_ms(now));
            let (flushed, ticked) = (pin!(flush.fired(now, wait_ms)), pin!(ticks.next()));
            let (next, at) = call.next(select(flushed, ticked).map(drop), &mut events).await;
            now = at;
            if !turn.is_running() {
                return TurnOutcome::Cancelled;
            }
            if !events.is_empty() {
                span.note_first_words(&events);
                let flush_each = self.config.stream_flush_ms == 0;
                turn.change(|state| {
                    for event in events.drain(..) {
                        state.apply(event);
                        if flush_each {
                            state.flush();
                        }
                    }
                });
            }
            if turn.state().is_some_and(|state| state.is_too_long()) {
                return TurnOutcome::Failed(ProviderFailure::TooLarge);
            }
            if let Next::Ended(outcome) = next {
                return turn_outcome(outcome);
            }
            self.keep_pace(turn, &mut pace, now, scope);
        }
    }

    /// Runs the due actions of the turn.
    fn keep_pace(&self, turn: &LiveTurn, pace: &mut Pace, now: Timestamp, scope: &Scope) {
        let has_words = turn.state().is_some_and(|state| state.has_unflushed());
        let due = pace.take_due(now, has_words);
        if due.flush {
            turn.change(TurnState::flush);
        }
        // Before anything is awaited: until then no reader gets what was flushed.
        if due.checkpoint || turn.state().is_some_and(|state| state.log().is_checkpoint_due()) {
            // When that fails the turn continues; the next checkpoint has these events too.
            scope.logged("a checkpoint", self.journal.checkpoint(turn));
        }
        if due.ping {
            self.turns.ping(turn);
        }
    }

    /// Stores the end, and undoes the daily count of a failed turn.
    fn store_end(&self, turn: &LiveTurn, now: Timestamp) -> Result<()> {
        let stored = self.journal.end(turn);
        if let Some(state) = turn.state().filter(|state| state.is_failed())
            && let Some(day) = self.limits.refund(state.record().created_at, now)?
        {
            self.store.put_day(day)?;
        }
        stored
    }
}

/// Returns the outcome of a turn whose answer has this one.
const fn turn_outcome(outcome: Outcome) -> TurnOutcome {
    match outcome {
        Ok(end) => TurnOutcome::Answered(end),
        Err(failure) => TurnOutcome::Failed(failure),
    }
}
