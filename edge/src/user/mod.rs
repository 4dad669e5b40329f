//! The user object: one Durable Object a user, holding all that must be exact for that user.
//!
//! - [`routes`](self): decode, call, reply
//! - [`cell`]: a turn in memory and its readers
//! - [`memory`]: how much of it there may be
//! - [`store`]: its SQLite
//! - [`context`]: what conversations look like here
//! - [`session`]: whether who asks may still come in
//! - [`turns`]: from a message to its turn
//! - [`pump`]: from the provider's answer to the turn's end
//! - [`outbox`]: from the end to the origin, until it has it
//!
//! It is a write-ahead log and a cache; the origin stays the system of record.

mod cell;
mod context;
mod memory;
mod outbox;
mod pump;
mod session;
mod store;
mod turns;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use futures_util::StreamExt;
use js_sys::{Function, Reflect};
use serde::{Deserialize, Serialize};
use shared::{
    api::{ErrorCode, account::Plan},
    auth::sessions::Sessions,
    chat::{
        replay::{self, Resume},
        turn::TurnState,
    },
    http::{accept, headers::X_REQUEST_ID},
    id::Id,
    limits::{gcra::Tat, memory as limits},
    sse,
    time::Timestamp,
};
use wasm_bindgen::{JsCast, JsValue};
use worker::{
    DurableObject, Env, Headers, Request, Response, ResponseBuilder, Result, State, durable_object,
};

use self::{
    cell::{Reader, TurnCell},
    context::Contexts,
    store::{Store, StoredTurnRow},
};
use crate::{
    config::Config,
    platform,
    reply::{self, Failure},
    routes::{self, UserRoute},
};

/// The header the front hands the verified identity over in. It never leaves the platform: requests from outside reach
/// only the front, which drops the name.
pub const IDENTITY: &str = "X-EdgeChat-Identity";

/// Ended turns kept in memory for readers that come late.
const ENDED_IN_MEMORY: usize = 16;

/// Who asks, as the front verified it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub user_id: Id,
    /// Their session; none from a front that was deployed before this was told.
    #[serde(default)]
    pub session_id: Option<Id>,
    /// Their plan.
    pub plan: Plan,
    /// The client's address.
    pub client_ip: String,
    /// The access token.
    pub token: String,
    /// When the token was found valid. What this request begins, it begins then: the origin holds a delivery to it. Now, from a
    /// front that was deployed before this was told.
    #[serde(default = "platform::now")]
    pub verified_at: Timestamp,
}

/// The Durable Object class.
#[durable_object(alarm)]
pub struct UserObject {
    user: Rc<User>,
}

/// The object's parts, shared with the tasks that outlive a request.
struct User {
    state: State,
    /// The same as the platform has it, for what `State` does not offer.
    handle: JsValue,
    env: Env,
    store: OnceCell<Store>,
    turns: RefCell<HashMap<Id, Rc<TurnCell>>>,
    contexts: RefCell<Contexts>,
    sessions: RefCell<Sessions>,
    rate: Cell<Option<Tat>>,
    alarm_at: Cell<Option<Timestamp>>,
    recovered: Cell<bool>,
}

impl DurableObject for UserObject {
    fn new(state: State, env: Env) -> Self {
        let platform_state = state._inner();
        let handle = JsValue::from(&platform_state);
        let user = Rc::new(User {
            state: State::from(platform_state),
            handle,
            env,
            store: OnceCell::new(),
            turns: RefCell::default(),
            contexts: RefCell::default(),
            sessions: RefCell::default(),
            rate: Cell::default(),
            alarm_at: Cell::default(),
            recovered: Cell::default(),
        });
        Self { user }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let request_id = request.headers().get(X_REQUEST_ID)?.unwrap_or_default();
        let served = self.user.serve(request, &request_id).await;
        reply::answer(served, &request_id)
    }

    async fn alarm(&self) -> Result<Response> {
        self.user.ring().await;
        Response::empty()
    }
}

impl User {
    async fn serve(self: &Rc<Self>, mut request: Request, request_id: &str) -> Result<Response, Failure> {
        self.recover()?;
        let method = request.method().to_string();
        let Some(route) = routes::user(&method, &request.path()) else {
            return Err(ErrorCode::NotFound.into());
        };
        let identity: Identity = request
            .headers()
            .get(IDENTITY)?
            .and_then(|json| serde_json::from_str(&json).ok())
            .ok_or(Failure::Told(ErrorCode::TokenMissing.into()))?;
        match route {
            UserRoute::SendMessage(conversation) => {
                self.send_message(&mut request, conversation, &identity, request_id).await
            }
            UserRoute::Turn(turn) => Ok(reply::json(200, &self.view(turn, &identity, request_id).await?)?),
            UserRoute::TurnEvents(turn) => {
                let cursor = event_cursor(&request)?;
                self.events(turn, cursor, &identity, request_id).await
            }
            UserRoute::CancelTurn(turn) => {
                self.cancel(turn, &identity, request_id).await?;
                Ok(reply::json(202, &self.view(turn, &identity, request_id).await?)?)
            }
            UserRoute::ConversationChanged(conversation) => {
                self.forget_context(conversation)?;
                Ok(Response::empty()?)
            }
            UserRoute::ConversationDeleted(conversation) => {
                self.forget_conversation(conversation)?;
                Ok(Response::empty()?)
            }
            UserRoute::Reset if self.config()?.fault_injection => Err(self.reset().await?),
            UserRoute::Reset => Err(ErrorCode::NotFound.into()),
        }
    }

    /// The configuration; a wrong variable is logged and told as our mistake.
    fn config(&self) -> Result<Rc<Config>> {
        Config::of(&self.env).map_err(|error| worker::Error::RustError(error.to_string()))
    }

    /// Resets this object as the platform does when it moves or updates one: whoever calls it gets an error. It happens in a
    /// timer of the platform's own, as it would end WASM code that is running in the middle, and with it the whole isolate.
    async fn reset(&self) -> Result<Failure> {
        worker::console_error!("the user object is reset: provoked by FAULT_INJECTION");
        let abort: Function = Reflect::get(&self.handle, &JsValue::from_str("abort"))?.dyn_into()?;
        let timer: Function =
            Reflect::get(&js_sys::global(), &JsValue::from_str("setTimeout"))?.dyn_into()?;
        timer.call1(&JsValue::UNDEFINED, &abort.bind0(&self.handle))?;
        worker::Delay::from(std::time::Duration::from_secs(5)).await;
        Ok(ErrorCode::Internal.into())
    }

    fn store(&self) -> Result<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::open(&self.state, platform::now())?;
        Ok(self.store.get_or_init(|| store))
    }

    /// The turn in memory or storage.
    fn find(&self, turn: Id) -> Result<Option<Rc<TurnCell>>> {
        if let Some(cell) = self.turns.borrow().get(&turn) {
            return Ok(Some(Rc::clone(cell)));
        }
        Ok(self.store()?.load(turn)?.map(|row| self.adopt(row)))
    }

    /// The turn of a row that storage holds as ended: as it is in memory, or else taken into memory.
    fn adopt(&self, row: StoredTurnRow) -> Rc<TurnCell> {
        if let Some(cell) = self.turns.borrow().get(&row.record.turn_id) {
            return Rc::clone(cell);
        }
        let cell = outbox::restored(row, platform::now());
        cell.change(TurnState::close);
        self.remember(&cell);
        cell
    }

    /// Keeps a turn in memory, and lets those go that have ended and for which there is no room: storage has them.
    fn remember(&self, cell: &Rc<TurnCell>) {
        let mut turns = self.turns.borrow_mut();
        turns.insert(cell.id, Rc::clone(cell));
        let ended = turns.values().filter(|cell| !cell.is_open());
        let mut ended: Vec<_> = ended.map(|cell| (cell.id, cell.held_bytes())).collect();
        ended.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        let sizes = ended.iter().map(|(_, bytes)| *bytes);
        let kept = limits::kept(sizes, ENDED_IN_MEMORY, limits::cache_bytes(memory::held_bytes()));
        for (id, _) in ended.iter().skip(kept) {
            turns.remove(id);
        }
    }

    /// Attaches a reader that holds every event up to `cursor`; none when it holds everything and nothing follows.
    fn reader(&self, cell: &Rc<TurnCell>, cursor: u64) -> Result<Option<Reader>, Failure> {
        let Some(state) = cell.state() else {
            return Err(ErrorCode::NotFound.into());
        };
        let Resume::From(first, cursor) = state.resume(cursor) else {
            return Ok(None);
        };
        drop(state);
        Ok(Some(Reader::attach(Rc::clone(cell), &first, cursor)?))
    }

    /// `GET chat/turns/{id}`.
    async fn view(
        &self,
        turn: Id,
        identity: &Identity,
        request_id: &str,
    ) -> Result<shared::api::chat::Turn, Failure> {
        if let Some(cell) = self.find(turn)? {
            self.check_session(identity, request_id).await?;
            cell.begun().await?;
            return cell.state().map(|state| state.view()).ok_or(ErrorCode::NotFound.into());
        }
        let stored = self.stored_turn(turn, identity, request_id).await?;
        Ok(replay::stored_view(stored))
    }

    /// `GET chat/turns/{id}/events`.
    async fn events(
        &self,
        turn: Id,
        cursor: u64,
        identity: &Identity,
        request_id: &str,
    ) -> Result<Response, Failure> {
        if let Some(cell) = self.find(turn)? {
            self.check_session(identity, request_id).await?;
            cell.begun().await?;
            return match self.reader(&cell, cursor)? {
                Some(reader) => Ok(stream(reader, turn)?),
                None => Ok(nothing_follows()),
            };
        }
        let stored = self.stored_turn(turn, identity, request_id).await?;
        let Some(events) = replay::stored_events(&stored, cursor) else {
            return Ok(nothing_follows());
        };
        let mut body = sse::opening();
        body.extend_from_slice(&events);
        Ok(reply::events(&[("Location", &turn_location(turn))])?.fixed(body))
    }
}

/// A turn's events from a reader on.
fn stream(reader: Reader, turn: Id) -> Result<Response> {
    let location = turn_location(turn);
    reply::events(&[("Location", &location)])?.from_stream(reader.fuse())
}

/// The answer to a reader that holds all events of a turn that has ended: an EventSource stops on it, and would come back
/// after any other (WHATWG HTML, section 9.2).
pub fn nothing_follows() -> Response {
    ResponseBuilder::new().with_status(204).empty()
}

/// Where a turn is found.
fn turn_location(turn: Id) -> String {
    format!("/api/v1/chat/turns/{turn}")
}

/// Reads the id of the last event that a reader has.
pub fn event_cursor(request: &Request) -> Result<u64, Failure> {
    let held = request.headers().get("Last-Event-ID")?;
    let url = request.url()?;
    let after = url.query_pairs().find(|(name, _)| name == "after").map(|(_, value)| value.into_owned());
    Ok(accept::event_cursor(held.as_deref(), after.as_deref())?)
}

/// `202 Accepted` for a turn that goes on without its client.
fn accepted(turn: &shared::api::chat::Turn) -> Result<Response> {
    let headers = Headers::new();
    headers.set("Content-Type", "application/json")?;
    headers.set("Cache-Control", "no-store")?;
    headers.set("Preference-Applied", "respond-async")?;
    headers.set("Location", &turn_location(turn.id))?;
    Ok(ResponseBuilder::new().with_status(202).with_headers(headers).fixed(serde_json::to_vec(turn)?))
}
