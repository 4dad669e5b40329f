//! A turn in memory, shared by the task that runs it and the readers that follow it.

use std::{
    cell::{Cell, Ref, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use shared::{api::ApiError, chat::turn::TurnState, id::Id, sse};
use web_sys::AbortController;

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
        let (wakers, pings) = (RefCell::default(), Cell::default());
        Rc::new(Self { id, conversation_id, key, fingerprint, token, abort, phase, wakers, pings })
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
            Phase::Live(state) => Some(change(state)),
            Phase::Starting | Phase::Refused(_) => None,
        };
        self.wake();
        result
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
    pub fn ping(&self) {
        self.pings.set(self.pings.get() + 1);
        self.wake();
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
    cursor: u64,
    pings: u64,
}

impl Reader {
    /// A reader that holds every event up to `after`.
    pub fn attach(cell: Rc<TurnCell>, after: u64) -> Self {
        let (first, cursor) = cell.state().map_or((Vec::new(), after), |state| state.log().attach(after));
        let pings = cell.pings.get();
        Self { cell, first, cursor, pings }
    }
}

impl Stream for Reader {
    type Item = worker::Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut bytes = std::mem::take(&mut self.first);
        let cell = Rc::clone(&self.cell);
        let Some(state) = cell.state() else {
            return Poll::Ready(None);
        };
        if let Some((events, cursor)) = state.log().read(self.cursor) {
            bytes.extend_from_slice(events);
            self.cursor = cursor;
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
