//! The Durable Object: wires the components and hands each request to its handler.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
};

use js_sys::{Function, Reflect};
use shared::{
    api::{ErrorCode, internal::user_event::AddressedEvent},
    chat::delivery::{AlarmSchedule, HEARTBEAT_MS, RETENTION_MS, heartbeat},
    http::headers::IDEMPOTENCY_KEY,
    id::Id,
    time::Timestamp,
};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{Env, Response, Result, State, worker_sys};

use super::{
    HANDOVER, Handover, Identity,
    admission::TurnRequest,
    alarm::Alarm,
    contexts::Contexts,
    handlers::{events, messages, turns},
    journal::Journal,
    limits::Limits,
    live_turn::LiveTurn,
    live_turns::LiveTurns,
    outbox::Outbox,
    runner::Runner,
    sessions::SessionGate,
    store::Store,
};
use crate::{
    body::{CONTENT_ENCODING, CONTENT_LENGTH},
    config::Config,
    log::Scope,
    origin::OriginClient,
    platform::{self, HeaderLines, Incoming, Ticker},
    reply::{self, Error},
    routes::{self, UserRoute},
    telemetry,
};

/// The interval between ticks of running turns, in milliseconds.
const TICK_MS: u32 = 1_000;

/// The headers of a request that are used here.
const HEADERS: &[&str] =
    &[HANDOVER, "Accept", "Prefer", IDEMPOTENCY_KEY, "Last-Event-ID", CONTENT_LENGTH, CONTENT_ENCODING];

/// The Durable Object class. It is exported without the macro of `worker`, which reads and builds more of each request and
/// response than is used here.
#[wasm_bindgen]
pub struct UserObject {
    state: Rc<State>,
    /// The same as the platform's object, for methods that `State` lacks.
    handle: JsValue,
    env: Env,
    user: OnceCell<Rc<User>>,
}

/// The components, wired.
pub struct User {
    state: Rc<State>,
    alarm: Rc<Alarm>,
    is_recovered: Cell<bool>,
    pub(super) outbox: Rc<Outbox>,
    pub(super) store: Rc<Store>,
    pub(super) sessions: Rc<SessionGate>,
    pub(super) contexts: Rc<Contexts>,
    pub(super) turns: Rc<LiveTurns>,
    pub(super) runner: Runner,
}

#[wasm_bindgen]
impl UserObject {
    /// Makes the object, when the platform starts it.
    #[wasm_bindgen(constructor)]
    pub fn new(state: worker_sys::DurableObjectState, env: Env) -> Self {
        let handle = JsValue::from(&state);
        Self { state: Rc::new(State::from(state)), handle, env, user: OnceCell::new() }
    }

    /// Answers a request of the front's.
    pub async fn fetch(&self, request: web_sys::Request) -> std::result::Result<web_sys::Response, JsValue> {
        let request = Incoming::new(request, HEADERS);
        match request.header(HANDOVER).and_then(|json| serde_json::from_str(json).ok()) {
            Some(Handover::Request { identity, request_id, dress, trace }) => {
                let is_traced = Config::of(&self.env).is_ok_and(|config| config.traces.is_some());
                let trace = trace.filter(|_| is_traced);
                let scope = Scope::new(&request_id).with_user(identity.user_id).with_trace(trace);
                let served = self.serve(&request, identity, &scope).await;
                let response = web_sys::Response::from(reply::answer(served, &scope)?);
                platform::dress(&response, &HeaderLines::from_lines(dress));
                if let Some(user) = self.user.get().filter(|user| trace.is_some() && !user.turns.has_open()) {
                    user.flush_spans();
                }
                Ok(response)
            }
            Some(Handover::Events { user_id, request_id, events }) => {
                let scope = Scope::new(&request_id).with_user(user_id);
                Ok(reply::answer(self.apply(&events, &scope), &scope)?.into())
            }
            None => Ok(reply::problem(&ErrorCode::TokenMissing.into(), "")?.into()),
        }
    }

    /// Serves the alarm.
    pub async fn alarm(&self) -> std::result::Result<(), JsValue> {
        let scope = Scope::new("alarm");
        match self.user() {
            Ok(user) => {
                user.on_alarm(&scope).await;
                user.flush_spans();
            }
            // Such as with a wrong variable: pending work waits for a version that can.
            Err(error) => {
                scope.error("the alarm", &error);
                self.state.storage().set_alarm(HEARTBEAT_MS).await?;
            }
        }
        Ok(())
    }
}

impl UserObject {
    /// Applies events of the origin.
    fn apply(&self, events: &[AddressedEvent], scope: &Scope) -> std::result::Result<Response, Error> {
        let user = self.user()?;
        user.recover(scope)?;
        Ok(reply::json(200, &events::apply(user, events, scope))?)
    }

    async fn serve(
        &self,
        request: &Incoming,
        mut identity: Identity,
        scope: &Scope,
    ) -> std::result::Result<Response, Error> {
        let user = self.user()?;
        let path = routes::path(&request.url);
        let route = routes::user(&request.method, path).ok_or(ErrorCode::NotFound)?;
        user.recover(scope)?;
        user.sessions.reject_revoked(&identity)?;
        identity.plan = user.sessions.plan(&identity);
        match route {
            UserRoute::Send(conversation, target) => {
                messages::send(user, request, conversation, target, identity, scope).await
            }
            UserRoute::Turn(turn) => Ok(reply::json(200, &turns::show(user, turn, &identity, scope).await?)?),
            UserRoute::TurnEvents(turn) => {
                let cursor = turns::event_cursor(request)?;
                turns::events(user, turn, cursor, &identity, scope).await
            }
            UserRoute::CancelTurn(turn) => {
                Ok(reply::json(202, &turns::cancel(user, turn, &identity, scope).await?)?)
            }
            UserRoute::Reset if Config::of_worker(&self.env)?.fault_injection => {
                Err(self.reset(scope).await?)
            }
            UserRoute::Reset => Err(ErrorCode::NotFound.into()),
        }
    }

    /// Returns the components, wired at the first request. A wrong variable is logged and answered as an internal error.
    fn user(&self) -> Result<&Rc<User>> {
        if let Some(user) = self.user.get() {
            return Ok(user);
        }
        let user = User::wire(&self.state, Config::of_worker(&self.env)?)?;
        Ok(self.user.get_or_init(|| Rc::new(user)))
    }

    /// Resets this object as the platform does when it moves or updates one: callers get an error. It runs in a timer of the
    /// platform, as it would otherwise abort running WASM code, and with it the whole isolate.
    async fn reset(&self, scope: &Scope) -> Result<Error> {
        scope.error("the user object is reset", &"provoked by FAULT_INJECTION");
        let abort: Function = Reflect::get(&self.handle, &JsValue::from_str("abort"))?.dyn_into()?;
        let timer: Function =
            Reflect::get(&js_sys::global(), &JsValue::from_str("setTimeout"))?.dyn_into()?;
        timer.call1(&JsValue::UNDEFINED, &abort.bind0(&self.handle))?;
        worker::Delay::from(std::time::Duration::from_secs(5)).await;
        Ok(ErrorCode::Internal.into())
    }
}

impl User {
    fn wire(state: &Rc<State>, config: Rc<Config>) -> Result<Self> {
        let store = Rc::new(Store::open(state)?);
        let origin = OriginClient::new(Rc::clone(&config));
        let sessions = Rc::new(SessionGate::open(origin.clone(), Rc::clone(&store))?);
        let alarm = Rc::new(Alarm::new(Rc::clone(state)));
        let turns = Rc::new(LiveTurns::new(Rc::clone(&store)));
        let contexts = Rc::new(Contexts::new(Rc::clone(&store), Rc::clone(&sessions)));
        let max_turns = config.outbox_max_turns;
        let outbox =
            Outbox::open(Rc::clone(&store), Rc::clone(&turns), origin, Rc::clone(&alarm), max_turns)?;
        let outbox = Rc::new(outbox);
        let runner = Runner {
            limits: Limits::new(Rc::clone(&config), Rc::clone(&store)),
            config,
            store: Rc::clone(&store),
            journal: Journal::new(Rc::clone(&store)),
            sessions: Rc::clone(&sessions),
            contexts: Rc::clone(&contexts),
            turns: Rc::clone(&turns),
            outbox: Rc::clone(&outbox),
            alarm: Rc::clone(&alarm),
            ticker: Ticker::new(TICK_MS),
        };
        let is_recovered = Cell::new(false);
        Ok(Self {
            state: Rc::clone(state),
            alarm,
            outbox,
            is_recovered,
            store,
            sessions,
            contexts,
            turns,
            runner,
        })
    }

    /// Finds a turn in memory or storage; an ended one is closed.
    pub(super) async fn find_turn(&self, turn: Id, scope: &Scope) -> Result<Option<Rc<LiveTurn>>> {
        let found = self.turns.find(turn)?;
        if let Some(turn) = &found {
            self.close_ended_turn(turn, scope).await;
        }
        Ok(found)
    }

    /// Closes a turn that ended before this process began.
    pub(super) async fn close_ended_turn(&self, turn: &Rc<LiveTurn>, scope: &Scope) {
        self.outbox.close_ended_turn(turn, scope).await;
        self.runner.forget_outdated(scope);
    }

    /// Runs a turn beyond the request that asked for it, and then the next one that waits for it.
    pub(super) fn spawn_turn(self: &Rc<Self>, turn: &Rc<LiveTurn>, request: TurnRequest, scope: &Scope) {
        let (user, turn, scope) = (Rc::clone(self), Rc::clone(turn), scope.clone());
        self.state.wait_until(async move {
            user.runner.run(&turn, request, &scope).await;
            user.start_next(turn.conversation_id());
            user.flush_spans();
        });
    }

    /// Sends the spans that ended, after whatever goes on. While a turn runs, its end does so for all.
    fn flush_spans(&self) {
        telemetry::flush(&self.runner.config, "user", |post| self.state.wait_until(post));
    }

    /// Recovers after a start: ends interrupted turns, delivers pending ones to the origin, and starts those that wait.
    fn recover(self: &Rc<Self>, scope: &Scope) -> Result<()> {
        if self.is_recovered.get() {
            return Ok(());
        }
        let cut_off = self.runner.recover(scope)?;
        self.runner.restore_queue(scope)?;
        for turn in cut_off {
            // No client's request: the turn's id is its request id at the origin.
            let (user, scope) = (Rc::clone(self), Scope::new(&turn.id().to_string()).with_turn(turn.id()));
            self.state.wait_until(async move {
                user.runner.finish_cut_off(&turn, &scope).await;
                user.start_next(turn.conversation_id());
                user.flush_spans();
            });
        }
        self.advance_queues();
        if let Some(at) = self.outbox.next_due() {
            let (user, scope) = (Rc::clone(self), scope.clone());
            self.state.wait_until(async move { user.alarm.schedule(at, &scope).await });
        }
        self.is_recovered.set(true);
        Ok(())
    }

    /// Recovers, retries and records deliveries, looks after the queues, purges old rows, and sets the alarm again while there is work, or when that is
    /// unknown.
    async fn on_alarm(self: &Rc<Self>, scope: &Scope) {
        self.alarm.clear();
        scope.logged("recovering", self.recover(scope));
        self.outbox.deliver_due(scope).await;
        self.runner.forget_outdated(scope);
        self.advance_queues();
        let now = platform::now();
        scope.logged("noting deliveries", self.store.write_deliveries());
        scope.logged("purging", self.store.purge(now.plus_millis(-RETENTION_MS)));
        let next = match self.store.oldest_done() {
            Ok(oldest_done) => self.schedule(oldest_done).next(now),
            Err(error) => {
                scope.error("what the alarm is for", &error);
                Some(heartbeat(now))
            }
        };
        if let Some(at) = next {
            self.alarm.schedule(at, scope).await;
        }
    }

    fn schedule(&self, oldest_done: Option<Timestamp>) -> AlarmSchedule {
        AlarmSchedule { running: self.turns.has_open(), delivery: self.outbox.next_due(), oldest_done }
    }
}
