//! The order of changes, which the schema's triggers keep.

use rusqlite::Connection;
use shared::id::Id;

use super::conversations;
use crate::store::{chats::Change, error::StoreResult, sqlite::row::Columns, values::signed};

/// The changes after a position, in the order of the unique index of positions.
pub(super) const AFTER: &str = "SELECT conversation_id, position FROM changes WHERE user_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3";

pub(super) const FORGET: &str = "DELETE FROM changes WHERE user_id = ?1 AND conversation_id IN \
                                 (SELECT conversation_id FROM changes WHERE user_id = ?1 LIMIT ?2)";

/// Removes records of a user's changes, who has no conversation.
pub(super) fn forget(c: &Connection, user_id: Id, limit: u32) -> StoreResult<u64> {
    let gone = c.prepare_cached(FORGET)?.execute((user_id.as_bytes(), limit))?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}

/// Returns the changes after a position, in order. The conversations are read while the statement is open, so from one snapshot:
/// none is newer than its position.
pub(super) fn after(c: &Connection, user_id: Id, position: u64, limit: u32) -> StoreResult<Vec<Change>> {
    let mut statement = c.prepare_cached(AFTER)?;
    let mut rows = statement.query((user_id.as_bytes(), signed(position), limit))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of("changes", row);
        let conversation_id = columns.id("conversation_id")?;
        found.push(Change {
            position: columns.count("position")?,
            conversation_id,
            conversation: conversations::find(c, user_id, conversation_id)?,
        });
    }
    Ok(found)
}
