//! Readers that have all events of an ended turn: one that reconnects repeatedly, as an EventSource may, gets its 204 here,
//! and the user's object is not woken.

use std::{cell::RefCell, collections::HashMap};

use shared::id::Id;

/// The most turns in memory, some hundred kilobytes.
const MAX_TURNS: usize = 4_096;

thread_local! {
    /// The id of the last event of a user's turn.
    static LAST_IDS: RefCell<HashMap<(Id, Id), u64>> = RefCell::default();
}

/// Records that nothing follows this event, as the user's object answered. The ids of an ended turn never change.
pub(super) fn record(user: Id, turn: Id, cursor: u64) {
    LAST_IDS.with_borrow_mut(|last_ids| {
        if last_ids.len() >= MAX_TURNS {
            last_ids.clear();
        }
        last_ids.insert((user, turn), cursor);
    });
}

/// Returns whether nothing follows this event, as far as this isolate knows.
pub(super) fn is_complete(user: Id, turn: Id, cursor: u64) -> bool {
    LAST_IDS.with_borrow(|last_ids| last_ids.get(&(user, turn)) == Some(&cursor))
}
