//! Deletions of conversations: those that can be undone, those for good, and moves to another user.

use rusqlite::{Connection, OptionalExtension as _};
use shared::{id::Id, time::Timestamp};

use crate::store::error::StoreResult;

/// Conversations of a user, deleted ones at last.
macro_rules! some_of_user {
    () => {
        "SELECT id FROM conversations WHERE user_id = ?1 AND deleted_at IS NULL \
         UNION ALL SELECT id FROM conversations WHERE user_id = ?1 AND deleted_at IS NOT NULL LIMIT ?2"
    };
}

pub(super) const DELETE_MANY: &str = concat!("DELETE FROM conversations WHERE id IN (", some_of_user!(), ")");
pub(super) const GIVE: &str =
    concat!("UPDATE conversations SET user_id = ?3 WHERE id IN (", some_of_user!(), ")");
pub(super) const TO_PURGE: &str = "SELECT id FROM conversations WHERE deleted_at IS NOT NULL AND deleted_at <= ?1 \
                                   ORDER BY deleted_at LIMIT 1";
/// Removals of what belongs to a conversation, in their order.
pub(super) const PURGES: [&str; 4] = [
    "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE conversation_id = ?1 LIMIT ?2)",
    "DELETE FROM turns WHERE id IN (SELECT id FROM turns WHERE conversation_id = ?1 LIMIT ?2)",
    "DELETE FROM branches WHERE id IN (SELECT id FROM branches WHERE conversation_id = ?1 LIMIT ?2)",
    "DELETE FROM deleted_messages WHERE id IN (SELECT id FROM deleted_messages WHERE conversation_id = ?1 LIMIT ?2)",
];

/// Deletes a conversation, if it is the user's.
pub(super) fn delete(c: &Connection, user_id: Id, id: Id, now: Timestamp) -> StoreResult<bool> {
    let sql =
        "UPDATE conversations SET deleted_at = ?3 WHERE id = ?1 AND user_id = ?2 AND deleted_at IS NULL";
    Ok(c.prepare_cached(sql)?.execute((id.as_bytes(), user_id.as_bytes(), now.as_millis()))? == 1)
}

/// Removes a part of a conversation that was deleted by then, or at last itself.
pub(super) fn purge(c: &Connection, before: Timestamp, limit: u32) -> StoreResult<u64> {
    let read = |row: &rusqlite::Row<'_>| row.get::<_, [u8; 16]>(0);
    let Some(id) = c.prepare_cached(TO_PURGE)?.query_row([before.as_millis()], read).optional()? else {
        return Ok(0);
    };
    for sql in PURGES {
        let gone = c.prepare_cached(sql)?.execute((id, limit))?;
        if gone > 0 {
            return Ok(u64::try_from(gone).unwrap_or(u64::MAX));
        }
    }
    c.prepare_cached("DELETE FROM conversations WHERE id = ?1")?.execute([id])?;
    Ok(1)
}

/// Removes conversations of a user with their contents.
pub(super) fn delete_many(c: &Connection, user_id: Id, limit: u32) -> StoreResult<u64> {
    let gone = c.prepare_cached(DELETE_MANY)?.execute((user_id.as_bytes(), limit))?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}

/// Gives conversations of a user to another one. The schema's trigger makes each a change of the other one's.
pub(super) fn give(c: &Connection, from: Id, to: Id, limit: u32) -> StoreResult<u64> {
    let given = c.prepare_cached(GIVE)?.execute((from.as_bytes(), limit, to.as_bytes()))?;
    Ok(u64::try_from(given).unwrap_or(u64::MAX))
}
