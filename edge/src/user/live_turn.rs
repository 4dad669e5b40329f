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
    api::{ApiError, ErrorCode, chat::Turn},
    chat::{admission::KnownKey, replay::Resume, turn::TurnState},
    id::Id,
    sse,
};

use super::{memory::HeldBytes, sessions::SessionGate};
use crate::{platform::CallHandle, reply::Error};

/// Readers that may follow one turn at once: a person's devices, and connections that are lost without a word.
const MAX_READERS: usize = 16;
/// Seconds after which one more reader may try again.
const READERS_RETRY_S: u64 = 5;
/// Bytes that a reader gets at once: events for a slow one are held here once, and not in its connection.
const CHUNK_BYTES: usize = 64 * 1024;

/// The phase of a turn in this process.
enum Phase {
    /// Admitted; it waits for the turns before it.
    Queued,
    /// Admitted; its context is being looked up.
    Starting,
    /// It has a state.
    Started(Box<TurnState>),
    /// It never began.
    Rejected(ApiError),
}

/// The request that a turn came from.
#[derive(Clone, Debug)]
pub struct TurnOrigin {
    /// Its conversation.
    pub conversation_id: Id,
    /// The session whose token started it; none after a restart, which ends it.
    pub session_id: Option<Id>,
    /// The client's key.
    pub key: Option<String>,
    /// The fingerprint of the request that made it.
    pub fingerprint: u64,
    /// The access token that started it, for its delivery.
    pub token: String,
}

/// What is known of a turn that waits.
struct Waiting {
    outline: Turn,
    /// The bytes of its request in storage.
    bytes: usize,
}

/// A turn in memory.
pub struct LiveTurn {
    id: Id,
    origin: TurnOrigin,
    /// None for a turn that never waited.
    waiting: Option<Waiting>,
    is_stopped: Cell<bool>,
    phase: RefCell<Phase>,
    call: RefCell<Option<CallHandle>>,
    wakers: RefCell<Vec<Waker>>,
    pings: Cell<u64>,
    readers: Cell<usize>,
    held: RefCell<HeldBytes>,
    is_end_stored: Cell<bool>,
    /// True when it had ended before this process began.
    is_of_before: Cell<bool>,
}

impl LiveTurn {
    /// Makes a turn that was just admitted.
    pub fn starting(id: Id, origin: TurnOrigin) -> Rc<Self> {
        Rc::new(Self::new(id, origin, Phase::Starting, None))
    }

    /// Makes a turn that waits for those before it, with what is shown of it and the bytes of its request.
    pub fn queued(outline: Turn, bytes: usize, origin: TurnOrigin) -> Rc<Self> {
        Rc::new(Self::new(outline.id, origin, Phase::Queued, Some(Waiting { outline, bytes })))
    }

    fn new(id: Id, origin: TurnOrigin, phase: Phase, waiting: Option<Waiting>) -> Self {
        Self {
            id,
            origin,
            waiting,
            is_stopped: Cell::default(),
            phase: RefCell::new(phase),
            call: RefCell::default(),
            wakers: RefCell::default(),
            pings: Cell::default(),
            readers: Cell::default(),
            held: RefCell::default(),
            is_end_stored: Cell::default(),
            is_of_before: Cell::default(),
        }
    }

    /// Makes a turn from storage. `is_end_stored` is true when storage has its end.
    pub fn restored(state: TurnState, origin: TurnOrigin, is_end_stored: bool) -> Rc<Self> {
        let turn = Self::starting(state.record().turn_id, origin);
        turn.is_end_stored.set(is_end_stored);
        turn.is_of_before.set(is_end_stored);
        turn.start(state, None);
        turn
    }

    /// The turn's id.
    pub const fn id(&self) -> Id {
        self.id
    }

    /// The turn's conversation.
    pub const fn conversation_id(&self) -> Id {
        self.origin.conversation_id
    }

    /// Returns the request that it came from.
    pub const fn origin(&self) -> &TurnOrigin {
        &self.origin
    }

    /// Returns the turn's id and request fingerprint, when its idempotency key is this one.
    pub fn known_by(&self, key: &str) -> Option<KnownKey> {
        (self.origin.key.as_deref() == Some(key))
            .then_some(KnownKey { turn_id: self.id, fingerprint: self.origin.fingerprint })
    }

    /// Starts the turn, with the handle that cancels the provider's call.
    pub fn start(&self, state: TurnState, call: Option<CallHandle>) {
        self.held.borrow_mut().set(state.memory_bytes());
        self.call.replace(call);
        self.phase.replace(Phase::Started(Box::new(state)));
        self.wake();
    }

    /// Rejects a turn that could not begin.
    pub fn reject(&self, error: ApiError) {
        self.phase.replace(Phase::Rejected(error));
        self.wake();
    }

    /// Returns its state, once it has started.
    pub fn state(&self) -> Option<Ref<'_, TurnState>> {
        Ref::filter_map(self.phase.borrow(), |phase| match phase {
            Phase::Started(state) => Some(&**state),
            Phase::Queued | Phase::Starting | Phase::Rejected(_) => None,
        })
        .ok()
    }

    /// Changes its state and wakes its readers.
    pub fn change<T>(&self, change: impl FnOnce(&mut TurnState) -> T) -> Option<T> {
        let (result, is_news) = match &mut *self.phase.borrow_mut() {
            Phase::Started(state) => {
                let before = (state.log().last_id(), state.is_closed());
                let result = change(state);
                self.held.borrow_mut().set(state.memory_bytes());
                (Some(result), before != (state.log().last_id(), state.is_closed()))
            }
            Phase::Queued | Phase::Starting | Phase::Rejected(_) => (None, false),
        };
        if is_news {
            self.wake();
        }
        result
    }

    /// Returns the bytes of memory it takes.
    pub fn held_bytes(&self) -> usize {
        self.held.borrow().bytes()
    }

    /// Returns whether the conversation must wait for it: it starts, runs, or has ended in this process and has not closed.
    pub fn is_open(&self) -> bool {
        !self.is_of_before.get() && !self.is_closed()
    }

    fn is_closed(&self) -> bool {
        match &*self.phase.borrow() {
            Phase::Queued | Phase::Starting => false,
            Phase::Started(state) => state.is_closed(),
            Phase::Rejected(_) => true,
        }
    }

    /// Returns whether it was admitted and has not started.
    pub fn is_starting(&self) -> bool {
        matches!(&*self.phase.borrow(), Phase::Starting)
    }

    /// Returns whether it waits for the turns before it.
    pub fn is_queued(&self) -> bool {
        matches!(&*self.phase.borrow(), Phase::Queued)
    }

    /// Returns whether it had to wait before it started.
    pub const fn has_waited(&self) -> bool {
        self.waiting.is_some()
    }

    /// Returns the bytes of its request while it waits.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.as_ref().filter(|_| self.is_queued()).map_or(0, |waiting| waiting.bytes)
    }

    /// Lets a turn that waited start.
    pub fn leave_queue(&self) {
        self.phase.replace(Phase::Starting);
    }

    /// Returns the turn as clients see it, once it has started or while it waits.
    pub fn view(&self) -> Option<Turn> {
        match &*self.phase.borrow() {
            Phase::Queued => self.waiting.as_ref().map(|waiting| waiting.outline.clone()),
            Phase::Started(state) => Some(state.view()),
            Phase::Starting | Phase::Rejected(_) => None,
        }
    }

    /// Lets a turn that is starting not begin.
    pub fn stop_starting(&self) {
        self.is_stopped.set(true);
    }

    /// Returns whether it is not to begin.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }

    /// Returns true while the model may still send output.
    pub fn is_running(&self) -> bool {
        self.state().is_some_and(|state| state.is_running())
    }

    /// Returns whether its end is not in storage, and takes it as stored.
    pub fn take_unstored_end(&self) -> bool {
        !self.is_end_stored.replace(true)
    }

    /// Cancels the provider's call.
    pub fn cut_off(&self) {
        if let Some(call) = self.call.take() {
            call.abort();
        }
    }

    /// Keeps its readers' connections open.
    pub fn ping(&self) {
        self.pings.set(self.pings.get() + 1);
        self.wake();
    }

    /// Waits until the turn has started.
    ///
    /// # Errors
    /// Fails with the reason why it could not.
    pub async fn wait_started(&self) -> Result<(), ApiError> {
        poll_fn(|context| match &*self.phase.borrow() {
            Phase::Queued | Phase::Starting => self.wait(context),
            Phase::Started(_) => Poll::Ready(Ok(())),
            Phase::Rejected(error) => Poll::Ready(Err(error.clone())),
        })
        .await
    }

    /// Waits until a turn that has started has closed.
    pub async fn wait_finished(&self) {
        poll_fn(|context| if self.is_closed() { Poll::Ready(()) } else { self.wait(context) }).await;
    }

    fn wait<T>(&self, context: &Context<'_>) -> Poll<T> {
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Wakes its waiters.
    pub fn wake(&self) {
        for waker in self.wakers.take() {
            waker.wake();
        }
    }
}

/// Follows a turn from a cursor to its end, or to the end of the reader's session.
pub struct Reader {
    turn: Rc<LiveTurn>,
    sessions: Rc<SessionGate>,
    session: Id,
    first: Vec<u8>,
    next: NextEvents,
    pings: u64,
}

/// The events that a reader gets next.
#[derive(Clone, Copy)]
enum NextEvents {
    /// Those after this cursor, once the turn starts.
    After(u64),
    /// Those from this offset in the log on.
    From(usize),
}

impl Reader {
    /// Attaches a reader that holds every event up to `cursor`; none when it holds everything and nothing follows. One of a turn
    /// that waits gets pings until it starts.
    ///
    /// # Errors
    /// Fails with [`ErrorCode::RateLimited`] when too many follow the turn already; with [`ErrorCode::NotFound`] when it is
    /// starting, or never started.
    pub fn attach(
        turn: &Rc<LiveTurn>,
        cursor: u64,
        sessions: &Rc<SessionGate>,
        session: Id,
    ) -> Result<Option<Self>, Error> {
        let mut first = sse::opening();
        let next = match turn.state() {
            None if turn.is_queued() => NextEvents::After(cursor),
            None => return Err(ErrorCode::NotFound.into()),
            Some(state) => match resume(&state, cursor, &mut first) {
                Some(offset) => NextEvents::From(offset),
                None => return Ok(None),
            },
        };
        if turn.readers.get() >= MAX_READERS {
            let detail = format!("More than {MAX_READERS} connections follow this answer already");
            let error = ApiError::new(ErrorCode::RateLimited, detail);
            return Err(error.retry_after(READERS_RETRY_S).into());
        }
        turn.readers.set(turn.readers.get() + 1);
        let (turn, sessions, pings) = (Rc::clone(turn), Rc::clone(sessions), turn.pings.get());
        Ok(Some(Self { turn, sessions, session, first, next, pings }))
    }

    fn ping_or_wait(&mut self, turn: &LiveTurn, context: &Context<'_>) -> Poll<Option<Vec<u8>>> {
        if self.pings < turn.pings.get() {
            self.pings = turn.pings.get();
            return Poll::Ready(Some(sse::PING.to_vec()));
        }
        turn.wait(context)
    }
}

/// Finds the offset at which a reader with every event up to `cursor` resumes, and writes what it gets before that; none when it has
/// everything.
fn resume(state: &TurnState, cursor: u64, first: &mut Vec<u8>) -> Option<usize> {
    let Resume::From(rest, cursor) = state.resume(cursor) else { return None };
    first.extend_from_slice(&rest);
    Some(state.log().offset_after(cursor))
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.turn.readers.set(self.turn.readers.get().saturating_sub(1));
    }
}

impl Stream for Reader {
    type Item = Vec<u8>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let turn = Rc::clone(&self.turn);
        // Its client gets no further event; a new request gets the reason.
        if self.sessions.is_ended(self.session) {
            return Poll::Ready(None);
        }
        let mut bytes = std::mem::take(&mut self.first);
        let Some(state) = turn.state() else {
            return match bytes.is_empty() {
                false => Poll::Ready(Some(bytes)),
                true if turn.is_closed() => Poll::Ready(None),
                true => self.ping_or_wait(&turn, context),
            };
        };
        let offset = match self.next {
            NextEvents::From(offset) => offset,
            NextEvents::After(cursor) => match resume(&state, cursor, &mut bytes) {
                Some(offset) => offset,
                None => return Poll::Ready(None),
            },
        };
        if bytes.len() > CHUNK_BYTES {
            self.first = bytes.split_off(CHUNK_BYTES);
        }
        let events = state.log().read(offset, CHUNK_BYTES - bytes.len());
        let mut read = 0;
        if self.first.is_empty() && !events.is_empty() {
            bytes.extend_from_slice(events);
            read = events.len();
        }
        self.next = NextEvents::From(offset + read);
        if !bytes.is_empty() {
            return Poll::Ready(Some(bytes));
        }
        if state.is_closed() {
            return Poll::Ready(None);
        }
        drop(state);
        self.ping_or_wait(&turn, context)
    }
}
