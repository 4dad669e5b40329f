//! The provider of one test: plays the scripts that the test queued, and records the calls.

use std::{
    collections::VecDeque,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::{
    call::{Call, Received},
    script::Script,
    server::serve,
};
use crate::wait::bounded;

/// The answer when nothing is queued and the message names no script.
pub(super) const PLAIN: [&str; 4] = ["Hello ", "from ", "the ", "script."];

/// A provider on a port of its own that ends with the value.
#[derive(Debug)]
pub struct ScriptedGemini {
    addr: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

/// A choice of the script by the call.
type Chooser = Box<dyn Fn(&Received) -> Script + Send + Sync>;

#[derive(Default)]
struct State {
    queue: Mutex<VecDeque<Answer>>,
    received: Mutex<Vec<Received>>,
    chooser: OnceLock<Chooser>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("queue", &self.queue).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Answer {
    Play(Script),
    HandOver(oneshot::Sender<Call>),
}

impl ScriptedGemini {
    /// Starts a provider on a free port of the loopback address.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State::default());
        let answering = Arc::clone(&state);
        let server = tokio::spawn(async move {
            let answer = Arc::new(move |call: Call| answering.answer(call));
            drop(serve(listener, answer).await);
        });
        Self { addr, state, server }
    }

    /// The base URL, as `GEMINI_API_BASE` takes it.
    pub fn base(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Queues a script for the next call that has none.
    pub fn will(&self, script: Script) {
        lock(&self.state.queue).push_back(Answer::Play(script));
    }

    /// Queues the next call that has no script to be answered by the test, piece by piece.
    pub fn hand_over(&self) -> ExpectedCall {
        let (sender, receiver) = oneshot::channel();
        lock(&self.state.queue).push_back(Answer::HandOver(sender));
        ExpectedCall(receiver)
    }

    /// Sets the choice of the script of every call without a queued one. Such calls are not kept for [`Self::received`]: a long
    /// run has many.
    ///
    /// # Panics
    /// Panics when there is a chooser already.
    pub fn choose(&self, chooser: impl Fn(&Received) -> Script + Send + Sync + 'static) {
        assert!(self.state.chooser.set(Box::new(chooser)).is_ok(), "the provider has a chooser already");
    }

    /// Every call so far, oldest first.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    /// The number of calls so far.
    pub fn calls(&self) -> usize {
        lock(&self.state.received).len()
    }
}

impl Drop for ScriptedGemini {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    fn answer(&self, call: Call) {
        let queued = lock(&self.queue).pop_front();
        if queued.is_none()
            && let Some(choose) = self.chooser.get()
        {
            return play(choose(call.received()), call);
        }
        lock(&self.received).push(call.received().clone());
        match queued {
            Some(Answer::HandOver(test)) => drop(test.send(call)),
            Some(Answer::Play(script)) => play(script, call),
            None => {
                let script = Script::asked_for(&call.received().prompt());
                play(script.unwrap_or_else(|| Script::pieces(PLAIN)), call);
            }
        }
    }
}

fn play(script: Script, call: Call) {
    // A disconnected caller is checked on the caller's side.
    tokio::spawn(async move {
        let _ = script.play(call).await;
    });
}

/// Locks a mutex. A test that panicked poisons its locks; their values are still valid.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that is still to come.
#[derive(Debug)]
pub struct ExpectedCall(oneshot::Receiver<Call>);

impl ExpectedCall {
    /// Waits for the call.
    pub async fn arrives(self) -> Call {
        bounded("a call of the provider", self.0).await.expect("the provider ended before it was called")
    }
}
