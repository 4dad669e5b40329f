//! Readers that have everything of a turn that has ended: one that comes back again and again, as an EventSource may, gets
//! its 204 here, and the user's object sleeps on.

use std::{cell::RefCell, collections::HashMap};

use shared::id::Id;

/// Turns remembered at once, some hundred kilobytes at most.
const MAX_TURNS: usize = 4_096;

thread_local! {
    /// The id of the last event of a user's turn.
    static LAST_IDS: RefCell<HashMap<(Id, Id), u64>> = RefCell::default();
}

/// Notes that the user's object said that nothing follows this event. The ids of an ended turn never change.
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
