//! A turn from its admission to its end: its inputs, the provider's call, its events, and the hand-over to the outbox.

use std::{pin::pin, rc::Rc};

use futures_util::{FutureExt, future::select};
use shared::{
    api::{
        ApiError, ErrorCode,
        chat::{Part, Role, SendMessage, TurnKind},
        internal::ConversationContext,
        models::{self, Model},
    },
    chat::{
        admission::{self, Admission, AdmissionRequest},
        context, delivery,
        pace::Pace,
        turn::{Input, TurnOutcome, TurnSpec, TurnState},
    },
    id::Id,
    limits::memory,
    provider::{ModelRequest, Outcome, ProviderFailure, estimate},
    telemetry::TraceContext,
    time::Timestamp,
};
use worker::Result;

use super::{
    Identity,
    alarm::Alarm,
    contexts::Contexts,
    journal::Journal,
    limits::Limits,
    live_turn::{LiveTurn, TurnOrigin},
    live_turns::{LiveTurns, restore},
    memory::held_bytes,
    outbox::Outbox,
    sessions::SessionGate,
    store::{NewTurnRow, Store},
};
use crate::{
    config::Config,
    log::Scope,
    platform::{self, Ticker, Timer},
    provider::{CompletionStream, Next},
    reply::Error,
    telemetry::TurnSpan,
};

/// Tokens kept free for the answer when the request does not bound it.
const ANSWER_TOKENS: u32 = 8_192;
/// The most tokens of history in a prompt, for latency and cost.
const HISTORY_TOKENS: usize = 100_000;
/// Seconds after which a message may be sent again for which this isolate has no memory now.
const OVERLOADED_RETRY_S: u64 = 2;

/// A message that asks for a turn.
pub struct TurnRequest {
    /// The caller.
    pub identity: Identity,
    /// The conversation.
    pub conversation: Id,
    /// The message.
    pub message: SendMessage,
    /// The idempotency key.
    pub key: Option<String>,
    /// True when the words are shown as they arrive.
    pub is_streamed: bool,
    /// The time of its arrival.
    pub now: Timestamp,
}

/// The provider's call in progress, or the error of making it.
type PendingCall = std::result::Result<CompletionStream, ProviderFailure>;

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

/// The turn of a request that was admitted.
pub enum Admitted {
    /// A new turn; [`Runner::run`] runs it.
    New(Rc<LiveTurn>),
    /// A turn that was requested before.
    Known(Rc<LiveTurn>),
}

impl Runner {
    /// Admits a request, before anything is awaited: equal requests at once are one turn.
    ///
    /// # Errors
    /// Fails with the errors of [`admission::admit`]; with [`ErrorCode::Overloaded`] without memory for one more.
    pub fn admit(&self, request: &TurnRequest) -> std::result::Result<Admitted, Error> {
        let fingerprint = admission::fingerprint(request.conversation, &request.message);
        let known = match &request.key {
            None => None,
            Some(key) => self.turns.find_key(key)?,
        };
        if known.is_none() && !memory::has_room_for_turn(held_bytes()) {
            let error = ApiError::from(ErrorCode::Overloaded);
            return Err(error.retry_after(OVERLOADED_RETRY_S).into());
        }
        if known.is_none() {
            self.outbox.reject_when_full()?;
        }
        let open = self.turns.open(request.conversation);
        let check = self.limits.check(request.identity.plan, open.starting, request.now)?;
        let admission = admission::admit(AdmissionRequest {
            known,
            fingerprint,
            conversation_busy: open.is_conversation_busy,
            running: open.open,
            rate: check.rate,
            daily: check.daily,
        });
        match admission {
            Admission::Refuse(error) => Err(error.into()),
            // Found before anything is awaited: should the turn be rejected meanwhile, this request gets the same answer.
            Admission::Attach(turn) => {
                Ok(Admitted::Known(self.turns.find(turn)?.ok_or(ErrorCode::NotFound)?))
            }
            Admission::Run => {
                self.limits.admit(check.tat);
                let origin = TurnOrigin {
                    conversation_id: request.conversation,
                    key: request.key.clone(),
                    fingerprint,
                    token: request.identity.token.clone(),
                };
                let turn = LiveTurn::starting(platform::new_id(request.now), origin);
                self.turns.track(&turn);
                Ok(Admitted::New(turn))
            }
        }
    }

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
            Err(error) => {
                self.turns.remove(turn.id());
                turn.reject(error.for_client("the turn could not begin", &scope));
            }
        }
        span.end(turn.id(), turn.state().as_ref().map(|state| state.record()));
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

    /// Forgets the contexts of which the origin knows more.
    pub fn forget_outdated(&self, scope: &Scope) {
        for conversation in self.outbox.take_outdated() {
            scope.logged("forgetting a context", self.contexts.forget(conversation));
        }
    }

    /// Sends the provider's call, then stores that the turn runs. In this order, because the response waits for storage anyway
    /// and the model takes time. Meanwhile the session is checked, too: until it is known to be active, nothing is shown. Nothing
    /// goes to the provider before the user is known to have agreed to the documents that the origin requires.
    async fn begin(
        &self,
        turn: &LiveTurn,
        request: &TurnRequest,
        caller: Option<TraceContext>,
        scope: &Scope,
    ) -> std::result::Result<PendingCall, Error> {
        let conversation = request.conversation;
        let fetched = self.contexts.load(conversation, &request.identity, scope).await?;
        let parts = request.message.to_parts();
        let prepared = self.contexts.read(conversation, |context| {
            let name = request.message.model.as_deref().or(context.model.as_deref());
            let name = name.unwrap_or(&self.config.default_model);
            let model = models::resolve(name).ok_or_else(|| unknown_model(name))?;
            let prompt = prompt(&request.message, context, &parts, model);
            let before = (context.head.message_id, context.children.clone(), context.last_seq);
            Ok::<_, ApiError>((model, name.to_owned(), prompt, before))
        });
        let (model, name, prompt, (head, siblings, last_seq)) = prepared.ok_or(ErrorCode::NotFound)??;

        self.sessions.require_consents(&request.identity, request.now, scope).await?;
        let call = CompletionStream::begin(&self.config, model, &prompt, request.is_streamed, scope);
        let call = call.map_err(|error| {
            scope.error("the provider's call", &error);
            ProviderFailure::Disconnected
        });
        self.sessions.check(&request.identity, scope).await?;
        // The check may have brought another word than the one that was known before the call.
        self.sessions.reject_missing_consents(request.now)?;
        let state = TurnState::begin(TurnSpec {
            turn_id: turn.id(),
            user_id: request.identity.user_id,
            conversation_id: conversation,
            kind: TurnKind::Reply,
            head_before: head,
            parent_id: head,
            siblings,
            last_seq,
            input: vec![Input {
                id: platform::new_id(request.now),
                role: Role::User,
                parts,
                tool_calls: Vec::new(),
            }],
            answer_id: platform::new_id(request.now),
            model: name,
            created_at: request.identity.verified_at,
        })
        .with_trace(caller)
        .with_prompt_tokens(estimate::prompt_tokens(&prompt));
        let charge = self.limits.next_charge(request.now)?;
        let origin = turn.origin();
        self.store.begin_turn(&NewTurnRow {
            record: state.record(),
            key: origin.key.as_deref(),
            fingerprint: origin.fingerprint,
            token: &origin.token,
            day: charge.day,
            rate: charge.rate,
            context: self.contexts.current(fetched).as_ref(),
        })?;
        self.limits.charge(charge);
        turn.start(state, call.as_ref().ok().and_then(CompletionStream::handle));
        self.alarm.schedule(delivery::heartbeat(request.now), scope).await;
        Ok(call)
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
            turn.ping();
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

/// Makes the request to the model.
fn prompt(
    message: &SendMessage,
    context: &ConversationContext,
    parts: &[Part],
    model: &Model,
) -> ModelRequest {
    let answer = message.max_output_tokens.unwrap_or(ANSWER_TOKENS);
    let room = usize::try_from(model.context_window.saturating_sub(answer)).unwrap_or(usize::MAX);
    let mut request = ModelRequest {
        system: context.system.clone(),
        messages: context::prompt(&context.messages, parts, room.min(HISTORY_TOKENS)),
        temperature: message.temperature,
        max_output_tokens: message.max_output_tokens,
        response_format: message.response_format.clone().map(Into::into),
    };
    request.fit_to(model);
    request
}

fn unknown_model(name: &str) -> ApiError {
    ApiError::invalid_field("model", format!("{name} is not a model of this server; ai/models lists them"))
}
