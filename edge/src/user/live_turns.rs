//! The turns in memory: open ones, and ended ones for late readers.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use shared::{
    chat::{admission::KnownKey, turn::TurnState},
    id::Id,
    limits::memory::{cache_bytes, kept},
};
use worker::Result;

use super::{
    live_turn::{LiveTurn, TurnOrigin},
    memory::held_bytes,
    store::{Store, StoredTurnRow},
};
use crate::platform;

/// Ended turns kept in memory.
const MAX_ENDED: usize = 16;

/// The turns of this user that are in memory.
pub struct LiveTurns {
    store: Rc<Store>,
    turns: RefCell<HashMap<Id, Rc<LiveTurn>>>,
}

/// Counts of open turns.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenTurns {
    /// The number of open turns, without those that wait.
    pub open: usize,
    /// The number of those that have not started, with those that wait.
    pub starting: u64,
    /// The number of those that wait in the given conversation.
    pub waiting: usize,
    /// The bytes of all that wait.
    pub waiting_bytes: usize,
    /// True when one is of the given conversation.
    pub is_conversation_busy: bool,
    /// The last one of the given conversation.
    pub newest: Option<Id>,
}

impl LiveTurns {
    /// Makes a registry that holds nothing yet.
    pub fn new(store: Rc<Store>) -> Self {
        Self { store, turns: RefCell::default() }
    }

    /// Finds a turn in memory or storage.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn find(&self, turn: Id) -> Result<Option<Rc<LiveTurn>>> {
        if let Some(turn) = self.turns.borrow().get(&turn) {
            return Ok(Some(Rc::clone(turn)));
        }
        Ok(self.store.load(turn)?.map(|row| self.adopt(row)))
    }

    /// Finds the turn that a client's key names.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn find_key(&self, key: &str) -> Result<Option<KnownKey>> {
        let in_memory = self.turns.borrow().values().find_map(|turn| turn.known_by(key));
        match in_memory {
            Some(known) => Ok(Some(known)),
            None => self.store.find_key(key),
        }
    }

    /// Counts the open turns.
    pub fn open(&self, conversation: Id) -> OpenTurns {
        let mut counts = OpenTurns::default();
        for turn in self.turns.borrow().values().filter(|turn| turn.is_open()) {
            let (is_here, is_queued) = (turn.conversation_id() == conversation, turn.is_queued());
            counts.open += usize::from(!is_queued);
            counts.starting += u64::from(is_queued || turn.is_starting());
            counts.waiting += usize::from(is_queued && is_here);
            counts.waiting_bytes += turn.waiting_bytes();
            counts.is_conversation_busy |= is_here;
            counts.newest = counts.newest.max(Some(turn.id()).filter(|_| is_here));
        }
        counts
    }

    /// Returns the turns that wait, in order.
    pub fn queued(&self) -> Vec<Rc<LiveTurn>> {
        let mut queued = self.all(LiveTurn::is_queued);
        queued.sort_unstable_by_key(|turn| turn.id());
        queued
    }

    /// Returns the turn of a conversation that is to start: the first that waits, when no other one is open.
    pub fn next_queued(&self, conversation: Id) -> Option<Rc<LiveTurn>> {
        let open = self.all(|turn| turn.is_open() && turn.conversation_id() == conversation);
        if open.iter().any(|turn| !turn.is_queued()) {
            return None;
        }
        open.into_iter().min_by_key(|turn| turn.id())
    }

    /// Keeps the connections open of a turn's readers, and of those that wait behind it.
    pub fn ping(&self, turn: &LiveTurn) {
        turn.ping();
        for waiting in
            self.all(|other| other.is_queued() && other.conversation_id() == turn.conversation_id())
        {
            waiting.ping();
        }
    }

    /// Returns the open turns.
    pub fn all_open(&self) -> Vec<Rc<LiveTurn>> {
        self.all(LiveTurn::is_open)
    }

    fn all(&self, is_wanted: impl Fn(&LiveTurn) -> bool) -> Vec<Rc<LiveTurn>> {
        self.turns.borrow().values().filter(|turn| is_wanted(turn)).cloned().collect()
    }

    /// Returns whether any turn is open.
    pub fn has_open(&self) -> bool {
        self.turns.borrow().values().any(|turn| turn.is_open())
    }

    /// Takes the turn of a row that storage holds as ended into memory. One that the origin has is closed; another is once its
    /// delivery was tried.
    fn adopt(&self, row: StoredTurnRow) -> Rc<LiveTurn> {
        let turn = restore(row);
        if turn.state().is_some_and(|state| state.record().persisted) {
            turn.change(TurnState::close);
        }
        self.track(&turn);
        turn
    }

    /// Keeps a turn in memory, and evicts ended ones beyond the capacity: storage has them.
    pub fn track(&self, turn: &Rc<LiveTurn>) {
        let mut turns = self.turns.borrow_mut();
        turns.insert(turn.id(), Rc::clone(turn));
        let ended = turns.values().filter(|turn| !turn.is_open());
        let mut ended: Vec<_> = ended.map(|turn| (turn.id(), turn.held_bytes())).collect();
        ended.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        let sizes = ended.iter().map(|(_, bytes)| *bytes);
        let kept = kept(sizes, MAX_ENDED, cache_bytes(held_bytes()));
        for (id, _) in ended.iter().skip(kept) {
            turns.remove(id);
        }
    }

    /// Removes a turn that never began.
    pub fn remove(&self, turn: Id) {
        self.turns.borrow_mut().remove(&turn);
    }

    /// Wakes the readers of every open turn: a session may have ended.
    pub fn wake(&self) {
        for turn in self.turns.borrow().values().filter(|turn| turn.is_open()) {
            turn.wake();
        }
    }

    /// Removes all turns, and returns the open ones.
    pub fn forget_all(&self) -> Vec<Rc<LiveTurn>> {
        self.turns.take().into_values().filter(|turn| turn.is_open()).collect()
    }

    /// Removes the ended turns of a conversation.
    pub fn forget_ended(&self, conversation: Id) {
        self.turns.borrow_mut().retain(|_, turn| turn.conversation_id() != conversation || turn.is_open());
    }
}

/// Makes a turn in memory from its stored form.
pub fn restore(row: StoredTurnRow) -> Rc<LiveTurn> {
    let segments = row.segments.iter().map(|(first_id, frames)| (*first_id, frames.as_str()));
    let is_end_stored = row.record.messages.answer().status.is_terminal();
    let origin = TurnOrigin {
        conversation_id: row.record.conversation_id,
        session_id: None,
        key: row.key,
        fingerprint: row.fingerprint,
        token: row.token,
    };
    let state = TurnState::restore(row.record, segments, platform::now());
    LiveTurn::restored(state, origin, is_end_stored)
}
