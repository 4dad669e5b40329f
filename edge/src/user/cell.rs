//! A turn in memory, shared by the task that runs it and the readers that follow it.

use std::{
    cell::{Cell, Ref, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use shared::{
    api::{ApiError, ErrorCode},
    chat::turn::TurnState,
    id::Id,
    sse,
    time::Timestamp,
};
use web_sys::AbortController;

use super::memory::HeldBytes;
use crate::platform;

/// Readers that may follow one turn at once: a person's devices, and connections that are lost without a word.
const MAX_READERS: usize = 16;
/// Seconds after which one more reader may try again.
const READERS_RETRY_S: u64 = 5;
/// Bytes that a reader gets at once: what waits for a slow one is held here once, and not in its connection.
const CHUNK_BYTES: usize = 64 * 1024;

/// How far a turn has come in this process.
enum Phase {
    /// Admitted; its context is being looked up.
    Starting,
    /// It has a state.
    Live(Box<TurnState>),
    /// It never began.
    Refused(ApiError),
}

/// A turn in memory.
pub struct TurnCell {
    /// The turn.
    pub id: Id,
    /// Its conversation.
    pub conversation_id: Id,
    /// The client's key.
    pub key: Option<String>,
    /// The fingerprint of the request that made it.
    pub fingerprint: u64,
    /// The access token that started it, for its delivery.
    pub token: String,
    /// Cuts the provider's call off.
    abort: Option<AbortController>,
    phase: RefCell<Phase>,
    wakers: RefCell<Vec<Waker>>,
    pings: Cell<u64>,
    last_write_at: Cell<Timestamp>,
    readers: Cell<usize>,
    held: RefCell<HeldBytes>,
    /// Whether storage has its end.
    pub end_is_stored: Cell<bool>,
}

impl TurnCell {
    /// A turn that was just admitted.
    pub fn starting(
        id: Id,
        conversation_id: Id,
        key: Option<String>,
        fingerprint: u64,
        token: String,
    ) -> Rc<Self> {
        let phase = RefCell::new(Phase::Starting);
        let abort = AbortController::new().ok();
        Rc::new(Self {
            id,
            conversation_id,
            key,
            fingerprint,
            token,
            abort,
            phase,
            wakers: RefCell::default(),
            pings: Cell::default(),
            last_write_at: Cell::default(),
            readers: Cell::default(),
            held: RefCell::default(),
            end_is_stored: Cell::default(),
        })
    }

    /// A turn from storage.
    pub fn restored(state: TurnState, key: Option<String>, fingerprint: u64, token: String) -> Rc<Self> {
        let record = state.record();
        let cell =
            Self::starting(record.turn_id, record.user_message.conversation_id, key, fingerprint, token);
        cell.go_live(state);
        cell
    }

    /// The turn has begun.
    pub fn go_live(&self, state: TurnState) {
        self.last_write_at.set(platform::now());
        self.held.borrow_mut().set(state.memory_bytes());
        self.phase.replace(Phase::Live(Box::new(state)));
        self.wake();
    }

    /// The turn could not begin.
    pub fn refuse(&self, error: ApiError) {
        self.phase.replace(Phase::Refused(error));
        self.wake();
    }

    /// Its state, once it has begun.
    pub fn state(&self) -> Option<Ref<'_, TurnState>> {
        Ref::filter_map(self.phase.borrow(), |phase| match phase {
            Phase::Live(state) => Some(&**state),
            Phase::Starting | Phase::Refused(_) => None,
        })
        .ok()
    }

    /// Changes its state and tells its readers.
    pub fn change<T>(&self, change: impl FnOnce(&mut TurnState) -> T) -> Option<T> {
        let result = match &mut *self.phase.borrow_mut() {
            Phase::Live(state) => {
                let last_id = state.log().last_id();
                let result = change(state);
                if state.log().last_id() > last_id {
                    self.last_write_at.set(platform::now());
                }
                self.held.borrow_mut().set(state.memory_bytes());
                Some(result)
            }
            Phase::Starting | Phase::Refused(_) => None,
        };
        self.wake();
        result
    }

    /// Returns the bytes of memory it takes.
    pub fn held_bytes(&self) -> usize {
        self.held.borrow().bytes()
    }

    /// Whether the conversation must wait for it: it starts, runs, or has not told its end.
    pub fn is_open(&self) -> bool {
        match &*self.phase.borrow() {
            Phase::Starting => true,
            Phase::Live(state) => !state.is_closed(),
            Phase::Refused(_) => false,
        }
    }

    /// Whether it was admitted and has not begun.
    pub fn is_starting(&self) -> bool {
        matches!(&*self.phase.borrow(), Phase::Starting)
    }

    /// Cuts the provider's call off.
    pub fn abort(&self) {
        if let Some(abort) = &self.abort {
            abort.abort();
        }
    }

    /// What cuts the provider's call off.
    pub fn abort_signal(&self) -> Option<web_sys::AbortSignal> {
        self.abort.as_ref().map(AbortController::signal)
    }

    /// Keeps idle readers' connections open.
    pub fn ping(&self, now: Timestamp) {
        self.last_write_at.set(now);
        self.pings.set(self.pings.get() + 1);
        self.wake();
    }

    /// Returns when its readers last got something.
    pub fn last_write_at(&self) -> Timestamp {
        self.last_write_at.get()
    }

    /// Waits until the turn has begun, or could not.
    pub async fn begun(&self) -> Result<(), ApiError> {
        poll_fn(|context| match &*self.phase.borrow() {
            Phase::Starting => self.wait(context),
            Phase::Live(_) => Poll::Ready(Ok(())),
            Phase::Refused(error) => Poll::Ready(Err(error.clone())),
        })
        .await
    }

    /// Waits until a turn that has begun has told its end.
    pub async fn closed(&self) {
        poll_fn(|context| if self.is_open() { self.wait(context) } else { Poll::Ready(()) }).await;
    }

    fn wait<T>(&self, context: &Context<'_>) -> Poll<T> {
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn wake(&self) {
        for waker in self.wakers.take() {
            waker.wake();
        }
    }
}

/// Follows a turn from a cursor to its end.
pub struct Reader {
    cell: Rc<TurnCell>,
    first: Vec<u8>,
    offset: usize,
    pings: u64,
}

impl Reader {
    /// Attaches a reader that gets the stream's opening and these bytes first, and then every event after `cursor`.
    ///
    /// Errors: [`ErrorCode::RateLimited`] when too many follow the turn already.
    pub fn attach(cell: Rc<TurnCell>, first: &[u8], cursor: u64) -> Result<Self, ApiError> {
        if cell.readers.get() >= MAX_READERS {
            let detail = format!("More than {MAX_READERS} connections follow this answer already");
            return Err(ApiError::new(ErrorCode::RateLimited, detail).retry_after(READERS_RETRY_S));
        }
        cell.readers.set(cell.readers.get() + 1);
        let mut opening = sse::opening();
        opening.extend_from_slice(first);
        let offset = cell.state().map_or(0, |state| state.log().offset_after(cursor));
        let pings = cell.pings.get();
        Ok(Self { cell, first: opening, offset, pings })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.cell.readers.set(self.cell.readers.get().saturating_sub(1));
    }
}

impl Stream for Reader {
    type Item = worker::Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let cell = Rc::clone(&self.cell);
        let Some(state) = cell.state() else {
            return Poll::Ready(None);
        };
        let mut bytes = std::mem::take(&mut self.first);
        if bytes.len() > CHUNK_BYTES {
            self.first = bytes.split_off(CHUNK_BYTES);
        }
        let events = state.log().read(self.offset, CHUNK_BYTES - bytes.len());
        if self.first.is_empty() && !events.is_empty() {
            bytes.extend_from_slice(events);
            self.offset += events.len();
        }
        if !bytes.is_empty() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        if state.is_closed() {
            return Poll::Ready(None);
        }
        if self.pings < cell.pings.get() {
            self.pings = cell.pings.get();
            return Poll::Ready(Some(Ok(sse::PING.to_vec())));
        }
        cell.wait(context)
    }
}
