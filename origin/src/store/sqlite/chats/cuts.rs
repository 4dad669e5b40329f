//! Deletions of messages, each with everything below it. Their ids stay known, so that no delivery brings one back.

use rusqlite::{Connection, named_params};
use shared::{
    api::{
        chat::Message,
        internal::{Head, TurnDelivery},
    },
    chat::tree::{Forks, Position, passes},
    id::Id,
    time::Timestamp,
};

use super::{
    conversations::{self, Kept},
    messages, tree,
};
use crate::store::{
    chats::{
        PageBuilder,
        deletions::{BRANCH_END, deletion_mark, preview_of},
    },
    error::StoreResult,
    sqlite::row::bytes,
    values::signed,
};

/// Notes the ids of a message and of those below it: the rest of its branch, and the branches that begin there.
pub(super) const NOTE_BELOW: &str = "WITH RECURSIVE below (branch_id, first_seq) AS (\
     SELECT branch_id, seq FROM messages WHERE id = ?2 UNION ALL \
     SELECT b.id, b.first_seq FROM below CROSS JOIN branches b INDEXED BY branches_by_origin \
     ON b.conversation_id = ?1 AND b.from_branch_id IS below.branch_id AND b.from_seq >= below.first_seq) \
     INSERT INTO deleted_messages (id, conversation_id) SELECT m.id, ?1 FROM below \
     CROSS JOIN messages m INDEXED BY messages_by_branch \
     ON m.conversation_id = ?1 AND m.branch_id IS below.branch_id AND m.seq >= below.first_seq WHERE true \
     ON CONFLICT (id) DO NOTHING";

/// Removals of what is noted as deleted: turns by their messages, messages, and branches, whose ids are those of their first ones.
const REMOVE_NOTED: [&str; 3] = [
    "DELETE FROM turns WHERE id IN (SELECT turn_id FROM messages WHERE id IN \
     (SELECT id FROM deleted_messages WHERE conversation_id = ?1))",
    "DELETE FROM messages WHERE id IN (SELECT id FROM deleted_messages WHERE conversation_id = ?1)",
    "DELETE FROM branches WHERE id IN (SELECT id FROM deleted_messages WHERE conversation_id = ?1)",
];

/// Deletes a message of the user's with everything below it; the caller holds the write transaction.
pub(super) fn delete(
    c: &Connection,
    user_id: Id,
    conversation_id: Id,
    message_id: Id,
    now: Timestamp,
) -> StoreResult<bool> {
    let found = conversations::kept(c, user_id, conversation_id)?.filter(|kept| !kept.is_deleted);
    let Some(Kept { shown, messages_deleted_at, .. }) = found else { return Ok(false) };
    let Some(place) = tree::position(c, conversation_id, message_id)? else { return Ok(false) };
    let parent_id = messages::find(c, message_id)?.and_then(|message| message.parent_id);
    let is_shown = tree::with_forks(c, &mut Forks::new(), |forks| passes(shown.position, place, forks))?;
    let end = if is_shown {
        let siblings = messages::children(c, conversation_id, parent_id)?;
        let newest = siblings.into_iter().rev().find(|id| *id != message_id);
        end_without(c, conversation_id, newest, place)?
    } else {
        shown.position
    };
    let newest = newest_of_path(c, conversation_id, end)?;
    let (head, position) = match newest.first() {
        _ if !is_shown => (shown.head, shown.position),
        None => (shown.head.moved_by_deletion(now, None), Position::default()),
        Some(last) => {
            let position = tree::position(c, conversation_id, last.id)?.unwrap_or(end);
            (shown.head.moved_by_deletion(now, Some(last.id)), position)
        }
    };
    c.prepare_cached(NOTE_BELOW)?.execute((conversation_id.as_bytes(), message_id.as_bytes()))?;
    for sql in REMOVE_NOTED {
        c.prepare_cached(sql)?.execute([conversation_id.as_bytes()])?;
    }
    let deleted_at = deletion_mark(now, messages_deleted_at);
    update(c, conversation_id, head, position, preview_of(&newest).as_deref(), deleted_at)?;
    Ok(true)
}

/// Drops a turn that follows a deleted message, or that has one: its messages from there on are deleted, too. Returns false
/// when it is no such turn.
pub(super) fn drop_turn(c: &Connection, delivery: &TurnDelivery) -> StoreResult<bool> {
    let mut is_dropped = match delivery.messages.parent_id() {
        Some(parent) => is_deleted(c, parent)?,
        None => false,
    };
    for message in delivery.messages.iter() {
        is_dropped = is_dropped || is_deleted(c, message.id)?;
        if is_dropped {
            c.prepare_cached(
                "INSERT INTO deleted_messages (id, conversation_id) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING",
            )?
            .execute((message.id.as_bytes(), delivery.conversation_id.as_bytes()))?;
        }
    }
    Ok(is_dropped)
}

fn is_deleted(c: &Connection, message_id: Id) -> StoreResult<bool> {
    let sql = "SELECT 1 FROM deleted_messages WHERE id = ?1";
    Ok(c.prepare_cached(sql)?.exists([message_id.as_bytes()])?)
}

/// The end of the branch that is shown instead of one without its rest: that of this sibling, or the place before.
fn end_without(
    c: &Connection,
    conversation_id: Id,
    sibling: Option<Id>,
    place: Position,
) -> StoreResult<Position> {
    let sibling = match sibling {
        Some(sibling) => tree::position(c, conversation_id, sibling)?,
        None => None,
    };
    Ok(match sibling {
        Some(sibling) => Position { branch: sibling.branch, seq: u64::MAX },
        None => Position { branch: place.branch, seq: place.seq.saturating_sub(1) },
    })
}

/// The last messages of the path to a place, newest first.
fn newest_of_path(c: &Connection, conversation_id: Id, end: Position) -> StoreResult<Vec<Message>> {
    let mut builder = PageBuilder::of(BRANCH_END);
    messages::fill_path(c, conversation_id, end, &mut builder)?;
    Ok(builder.into_messages().items)
}

fn update(
    c: &Connection,
    conversation_id: Id,
    head: Head,
    position: Position,
    preview: Option<&str>,
    deleted_at: Timestamp,
) -> StoreResult<()> {
    c.prepare_cached(
        "UPDATE conversations SET head_id = :head_id, head_branch_id = :head_branch_id, head_seq = :head_seq, \
         head_mark = :head_mark, last_message_preview = :preview, messages_deleted_at = :deleted_at, \
         updated_at = max(updated_at, :deleted_at) WHERE id = :id",
    )?
    .execute(named_params! {
        ":head_id": bytes(head.message_id.as_ref()),
        ":head_branch_id": bytes(position.branch.as_ref()),
        ":head_seq": signed(position.seq),
        ":head_mark": bytes(head.mark.as_ref()),
        ":preview": preview,
        ":deleted_at": deleted_at.as_millis(),
        ":id": conversation_id.as_bytes(),
    })?;
    Ok(())
}
