//! Places of messages in the tree of their conversation; `shared::chat::tree` has the rules.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use shared::{
    api::chat::Message,
    chat::tree::{self, Fork, Forks, Joint, Jump, Neighbours, Position},
    id::Id,
};

use super::messages;
use crate::store::{
    chats::Shown,
    error::{StoreError, StoreResult},
    sqlite::row::{Columns, bytes},
    values::{signed, unsigned},
};

/// The last message of a branch before a place.
pub(super) const BEFORE: &str = "SELECT id FROM messages INDEXED BY messages_by_branch WHERE conversation_id = ?1 AND branch_id IS ?2 AND seq < ?3 \
     ORDER BY seq DESC LIMIT 1";
/// The first message of a branch from a place on.
pub(super) const FROM: &str = "SELECT seq, parent_id FROM messages INDEXED BY messages_by_branch WHERE conversation_id = ?1 AND branch_id IS ?2 \
     AND seq >= ?3 ORDER BY seq LIMIT 1";
/// The children of a message that did not wait for it. A branch that begins with one of them is no place for the parent.
pub(super) const CHILD: &str = "SELECT branch_id, seq - 1 FROM messages INDEXED BY messages_by_parent \
                                WHERE conversation_id = ?1 AND parent_id = ?2 AND branch_id IS NOT id ORDER BY seq LIMIT 1";

/// A message that is in the tree.
pub(super) struct Joined {
    /// Its place.
    pub(super) position: Position,
    /// True when it is not simply the next one after all that were there.
    pub(super) is_aside: bool,
}

/// Inserts a message of a delivery, `last` being where the message before it stands. One that is there already stays.
pub(super) fn insert(
    c: &Connection,
    message: &Message,
    last: Option<Position>,
    shown: &Shown,
) -> StoreResult<Joined> {
    let conversation_id = message.conversation_id;
    if let Some(position) = known(c, message)? {
        return Ok(Joined { position, is_aside: true });
    }
    let parent = match (last, message.parent_id) {
        (Some(last), _) => Some(last),
        (None, None) => Some(Position::default()),
        (None, Some(parent)) => parent_position(c, conversation_id, parent)?,
    };
    let branch = parent.unwrap_or(shown.position).branch;
    let wanted = message.seq.max(parent.map_or(0, |parent| parent.seq).saturating_add(1));
    let place = parent.map_or(wanted, |parent| parent.seq.saturating_add(1));
    let around = neighbours(c, message, parent.is_some(), Position { branch, seq: place }, wanted)?;
    let joint = tree::join(message.parent_id, parent.is_some(), wanted, around);
    let is_at_wanted = around.is_free && (joint != Joint::Append || around.next.is_none());
    let seq = if is_at_wanted { wanted } else { highest(c, conversation_id)?.saturating_add(1) };
    let position = match (joint, parent) {
        (Joint::Fork, Some(from)) => {
            let fork = with_forks(c, &mut Forks::new(), |forks| Fork::new(message.id, seq, from, forks))?;
            insert_fork(c, conversation_id, &fork)?;
            Position { branch: Some(message.id), seq }
        }
        _ => Position { branch, seq },
    };
    messages::insert(c, message, position)?;
    let is_next = joint == Joint::Append && parent.is_some() && branch.is_none();
    Ok(Joined { position, is_aside: !is_next })
}

/// The place of a message of this conversation.
pub(super) fn position(c: &Connection, conversation_id: Id, id: Id) -> StoreResult<Option<Position>> {
    let sql = "SELECT branch_id, seq FROM messages WHERE id = ?1 AND conversation_id = ?2";
    let found = c.prepare_cached(sql)?.query_row((id.as_bytes(), conversation_id.as_bytes()), read_position);
    Ok(found.optional()?)
}

/// Repeats `call` until it has every fork it needs.
pub(super) fn with_forks<T>(
    c: &Connection,
    forks: &mut Forks,
    call: impl Fn(&Forks) -> Result<T, Id>,
) -> StoreResult<T> {
    loop {
        match call(forks) {
            Ok(value) => return Ok(value),
            Err(branch) => forks.insert(branch, fork(c, branch)?),
        };
    }
}

/// Returns the place of a message that was inserted before.
fn known(c: &Connection, message: &Message) -> StoreResult<Option<Position>> {
    if let Some(position) = position(c, message.conversation_id, message.id)? {
        return Ok(Some(position));
    }
    let is_of_other_conversation =
        c.prepare_cached("SELECT 1 FROM messages WHERE id = ?1")?.exists([message.id.as_bytes()])?;
    if is_of_other_conversation {
        return Err(StoreError::Conflict("the message's id is one of another conversation"));
    }
    Ok(None)
}

/// The place of a parent, or the one it would take before a child that did not wait for it.
fn parent_position(c: &Connection, conversation_id: Id, parent: Id) -> StoreResult<Option<Position>> {
    if let Some(position) = position(c, conversation_id, parent)? {
        return Ok(Some(position));
    }
    let keys = (conversation_id.as_bytes(), parent.as_bytes());
    Ok(c.prepare_cached(CHILD)?.query_row(keys, read_position).optional()?)
}

fn neighbours(
    c: &Connection,
    message: &Message,
    is_parent_known: bool,
    place: Position,
    wanted: u64,
) -> StoreResult<Neighbours> {
    let key = (message.conversation_id.as_bytes(), bytes(place.branch.as_ref()), signed(place.seq));
    let next = c
        .prepare_cached(FROM)?
        .query_row(key, |row| Ok((unsigned(row.get(0)?), row.get::<_, Option<[u8; 16]>>(1)?)))
        .optional()?
        .map(|(seq, parent)| (seq, parent.map(Id::from_bytes)));
    let previous = match next {
        Some(_) if !is_parent_known => {
            let read = |row: &Row<'_>| row.get(0).map(Id::from_bytes);
            c.prepare_cached(BEFORE)?.query_row(key, read).optional()?
        }
        _ => message.parent_id,
    };
    let taken = "SELECT 1 FROM messages WHERE conversation_id = ?1 AND seq = ?2";
    let is_taken = c.prepare_cached(taken)?.exists((message.conversation_id.as_bytes(), signed(wanted)))?;
    Ok(Neighbours { previous, next, is_free: !is_taken })
}

fn highest(c: &Connection, conversation_id: Id) -> StoreResult<u64> {
    let seq: Option<i64> = c
        .prepare_cached("SELECT max(seq) FROM messages WHERE conversation_id = ?1")?
        .query_one([conversation_id.as_bytes()], |row| row.get(0))?;
    Ok(seq.map_or(0, unsigned))
}

fn fork(c: &Connection, branch: Id) -> StoreResult<Fork> {
    let sql = "SELECT id, first_seq, from_branch_id, from_seq, level, jump_id, jump_first_seq, jump_level FROM branches \
               WHERE id = ?1";
    let mut statement = c.prepare_cached(sql)?;
    let found = statement.query_row([branch.as_bytes()], |row| Ok(read_fork(row))).optional()?.transpose()?;
    found.ok_or_else(|| StoreError::Corrupt {
        table: "messages",
        column: "branch_id",
        row: branch.to_string(),
    })
}

fn insert_fork(c: &Connection, conversation_id: Id, fork: &Fork) -> StoreResult<()> {
    c.prepare_cached(
        "INSERT INTO branches (id, conversation_id, first_seq, from_branch_id, from_seq, level, jump_id, jump_first_seq, \
         jump_level) VALUES (:id, :conversation_id, :first_seq, :from_branch_id, :from_seq, :level, :jump_id, \
         :jump_first_seq, :jump_level)",
    )?
    .execute(named_params! {
        ":id": fork.branch.as_bytes(),
        ":conversation_id": conversation_id.as_bytes(),
        ":first_seq": signed(fork.first_seq),
        ":from_branch_id": bytes(fork.from.branch.as_ref()),
        ":from_seq": signed(fork.from.seq),
        ":level": fork.level,
        ":jump_id": fork.jump.as_ref().map(|jump| jump.branch.as_bytes()),
        ":jump_first_seq": fork.jump.map(|jump| signed(jump.first_seq)),
        ":jump_level": fork.jump.map(|jump| jump.level),
    })?;
    Ok(())
}

fn read_fork(row: &Row<'_>) -> StoreResult<Fork> {
    let mut columns = Columns::of("branches", row);
    let branch = columns.id("id")?;
    let first_seq = columns.count("first_seq")?;
    let from = Position { branch: columns.optional_id("from_branch_id")?, seq: columns.count("from_seq")? };
    let level = columns.get("level")?;
    let jump = match (
        columns.optional_id("jump_id")?,
        columns.optional_count("jump_first_seq")?,
        columns.get::<Option<u32>>("jump_level")?,
    ) {
        (None, None, None) => None,
        (Some(branch), Some(first_seq), Some(level)) => Some(Jump { branch, first_seq, level }),
        _ => return Err(columns.corrupt("jump_id")),
    };
    Ok(Fork { branch, first_seq, from, level, jump })
}

fn read_position(row: &Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position {
        branch: row.get::<_, Option<[u8; 16]>>(0)?.map(Id::from_bytes),
        seq: unsigned(row.get(1)?),
    })
}
