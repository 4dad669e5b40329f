//! Storage of running turns: their events, checkpoint by checkpoint, and their end.

use std::rc::Rc;

use shared::chat::log::Segment;
use worker::Result;

use super::{live_turn::LiveTurn, store::Store};

/// Stores the events of turns.
pub struct Journal {
    store: Rc<Store>,
}

impl Journal {
    /// Makes a journal in this store.
    pub const fn new(store: Rc<Store>) -> Self {
        Self { store }
    }

    /// Stores the events that storage lacks.
    ///
    /// # Errors
    /// Fails with the errors of SQLite; the next checkpoint includes the events that this one could not store.
    pub fn checkpoint(&self, turn: &LiveTurn) -> Result<()> {
        match self.checkpoint_but_last(turn)? {
            Some(last) => self.store_segment(turn, last),
            None => Ok(()),
        }
    }

    /// Stores the last events and the end, without an await between them. Should that fail, storage at least records that the
    /// turn no longer runs.
    ///
    /// # Errors
    /// Fails with the errors of SQLite.
    pub fn end(&self, turn: &LiveTurn) -> Result<()> {
        let stored = self.end_whole(turn);
        if stored.is_err()
            && let Some(state) = turn.state()
        {
            self.store.end_turn(&state.record_without_answer(), None)?;
        }
        stored
    }

    fn end_whole(&self, turn: &LiveTurn) -> Result<()> {
        let last = self.checkpoint_but_last(turn)?;
        let last_id = last.as_ref().map(|segment| segment.last_id);
        if let Some(state) = turn.state() {
            self.store.end_turn(state.record(), last)?;
        }
        if let Some(last_id) = last_id {
            turn.change(|state| state.mark_saved(last_id));
        }
        Ok(())
    }

    /// Stores the missing events except their last segment, and returns that.
    fn checkpoint_but_last(&self, turn: &LiveTurn) -> Result<Option<Segment>> {
        loop {
            let next = turn.state().and_then(|state| {
                let segment = state.log().unsaved()?;
                let is_last = segment.last_id == state.log().words_end();
                Some((segment, is_last))
            });
            match next {
                Some((segment, false)) => self.store_segment(turn, segment)?,
                next => return Ok(next.map(|(last, _)| last)),
            }
        }
    }

    fn store_segment(&self, turn: &LiveTurn, segment: Segment) -> Result<()> {
        let last_id = segment.last_id;
        self.store.checkpoint(turn.id(), segment)?;
        turn.change(|state| state.mark_saved(last_id));
        Ok(())
    }
}
