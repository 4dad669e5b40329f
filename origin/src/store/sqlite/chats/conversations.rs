//! Conversations.

use rusqlite::{Connection, OptionalExtension as _, Params, Row, named_params};
use shared::{
    api::{
        chat::{Conversation, UpdateConversation, preview},
        internal::{Head, TurnDelivery},
    },
    chat::tree::Position,
    id::Id,
    time::Timestamp,
};

use super::tree;
use crate::store::{
    chats::{ActivityPosition, ConversationsPage, DeletedPage, Shown, Updated},
    error::{StoreError, StoreResult},
    sqlite::row::{Columns, bytes},
    values::signed,
};

/// The columns [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "id, title, model, system, pinned, archived, head_id, message_count, last_message_preview, last_message_at, \
         created_at, updated_at, messages_deleted_at, deleted_at"
    };
}

/// A page by last activity of those that also meet a condition, in the order of an index.
macro_rules! page {
    ($also:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM conversations WHERE user_id = ?1 AND deleted_at IS NULL",
            $also,
            " AND (activity_at, id) < (?2, ?3) ORDER BY activity_at DESC, id DESC LIMIT ?4"
        )
    };
}

/// A page of all.
pub(super) const PAGE: &str = page!("");
/// A page of the archived ones, or of the others.
pub(super) const PAGE_BY_ARCHIVED: &str = page!(" AND archived = ?5");
/// A page of the pinned ones, or of the others.
pub(super) const PAGE_BY_PINNED: &str = page!(" AND pinned = ?5");
/// A page by both.
pub(super) const PAGE_BY_BOTH: &str = page!(" AND archived = ?5 AND pinned = ?6");
/// A page of deleted ones.
pub(super) const DELETED_PAGE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM conversations WHERE user_id = ?1 AND deleted_at IS NOT NULL AND deleted_at > ?2 \
     AND (deleted_at, id) < (?3, ?4) ORDER BY deleted_at DESC, id DESC LIMIT ?5"
);

/// A conversation that is not purged.
pub(super) struct Kept {
    /// Its shown branch.
    pub(super) shown: Shown,
    /// True when it is deleted.
    pub(super) is_deleted: bool,
    /// The last deletion of messages.
    pub(super) messages_deleted_at: Option<Timestamp>,
}

/// Inserts a conversation; changes nothing when it is the user's and exists or was deleted.
pub(super) fn insert(c: &Connection, user_id: Id, conversation: &Conversation) -> StoreResult<()> {
    let known = "SELECT 1 FROM changes WHERE user_id = ?1 AND conversation_id = ?2";
    if c.prepare_cached(known)?.exists((user_id.as_bytes(), conversation.id.as_bytes()))? {
        return Ok(());
    }
    let inserted = c
        .prepare_cached(
            "INSERT INTO conversations (id, user_id, title, model, system, pinned, archived, message_count, \
             last_message_preview, last_message_at, activity_at, created_at, updated_at) VALUES (:id, :user_id, :title, \
             :model, :system, :pinned, :archived, :message_count, :preview, :last_message_at, :activity_at, :created_at, \
             :updated_at) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(named_params! {
            ":id": conversation.id.as_bytes(),
            ":user_id": user_id.as_bytes(),
            ":title": conversation.title,
            ":model": conversation.model,
            ":system": conversation.system,
            ":pinned": conversation.pinned,
            ":archived": conversation.archived,
            ":message_count": signed(conversation.message_count),
            ":preview": conversation.last_message_preview,
            ":last_message_at": conversation.last_message_at.map(Timestamp::as_millis),
            ":activity_at": ActivityPosition::of(conversation).activity_at.as_millis(),
            ":created_at": conversation.created_at.as_millis(),
            ":updated_at": conversation.updated_at.as_millis(),
        })?;
    if inserted == 1 { Ok(()) } else { Err(StoreError::Conflict("the conversation's id is somebody else's")) }
}

/// Returns a conversation, if it is the user's and not deleted.
pub(super) fn find(c: &Connection, user_id: Id, id: Id) -> StoreResult<Option<Conversation>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM conversations WHERE id = ?1 AND user_id = ?2 AND deleted_at IS NULL"
    );
    one(c, sql, (id.as_bytes(), user_id.as_bytes()))
}

/// Returns a page, newest activity first.
pub(super) fn page(c: &Connection, user_id: Id, page: ConversationsPage) -> StoreResult<Vec<Conversation>> {
    let (activity_at, id) = page
        .after
        .map_or((i64::MAX, [0xff; 16]), |after| (after.activity_at.as_millis(), *after.id.as_bytes()));
    let (user_id, limit) = (user_id.as_bytes(), page.limit);
    match (page.archived, page.pinned) {
        (None, None) => many(c, PAGE, (user_id, activity_at, id, limit)),
        (Some(archived), None) => many(c, PAGE_BY_ARCHIVED, (user_id, activity_at, id, limit, archived)),
        (None, Some(pinned)) => many(c, PAGE_BY_PINNED, (user_id, activity_at, id, limit, pinned)),
        (Some(archived), Some(pinned)) => {
            many(c, PAGE_BY_BOTH, (user_id, activity_at, id, limit, archived, pinned))
        }
    }
}

/// Returns a page of deleted ones, last deletion first.
pub(super) fn deleted_page(c: &Connection, user_id: Id, page: DeletedPage) -> StoreResult<Vec<Conversation>> {
    let (deleted_at, id) = page
        .after
        .map_or((i64::MAX, [0xff; 16]), |after| (after.deleted_at.as_millis(), *after.id.as_bytes()));
    let since = page.since.as_millis();
    many(c, DELETED_PAGE, (user_id.as_bytes(), since, deleted_at, id, page.limit))
}

/// Brings back a conversation that was deleted after `since`, if it is the user's.
pub(super) fn undelete(
    c: &Connection,
    user_id: Id,
    id: Id,
    since: Timestamp,
    now: Timestamp,
) -> StoreResult<Option<Conversation>> {
    let sql = concat!(
        "UPDATE conversations SET deleted_at = NULL, updated_at = max(updated_at, ?4) \
         WHERE id = ?1 AND user_id = ?2 AND deleted_at > ?3 RETURNING ",
        columns!()
    );
    let keys = (id.as_bytes(), user_id.as_bytes(), since.as_millis(), now.as_millis());
    match one(c, sql, keys)? {
        None => find(c, user_id, id),
        undeleted => Ok(undeleted),
    }
}

/// Changes the fields of the update.
pub(super) fn update(
    c: &Connection,
    user_id: Id,
    id: Id,
    update: &UpdateConversation,
    now: Timestamp,
) -> StoreResult<Updated> {
    let Some(mut shown) = shown(c, user_id, id)? else { return Ok(Updated::Absent) };
    if let Some(message_id) = update.head_id {
        let Some(position) = tree::position(c, id, message_id)? else { return Ok(Updated::UnknownHead) };
        shown.head = shown.head.moved_by_user(now, message_id);
        shown.position = position;
    }
    let sql = concat!(
        "UPDATE conversations SET title = iif(:set_title, :title, title), model = iif(:set_model, :model, model), \
         system = iif(:set_system, :system, system), pinned = coalesce(:pinned, pinned), \
         archived = coalesce(:archived, archived), updated_at = max(updated_at, :now), head_id = :head_id, \
         head_branch_id = :head_branch_id, head_seq = :head_seq, head_mark = :head_mark \
         WHERE id = :id AND user_id = :user_id RETURNING ",
        columns!()
    );
    let params = named_params! {
        ":set_title": update.title.is_some(),
        ":title": update.title.as_ref().and_then(Option::as_ref),
        ":set_model": update.model.is_some(),
        ":model": update.model.as_ref().and_then(Option::as_ref),
        ":set_system": update.system.is_some(),
        ":system": update.system.as_ref().and_then(Option::as_ref),
        ":pinned": update.pinned,
        ":archived": update.archived,
        ":now": now.as_millis(),
        ":head_id": bytes(shown.head.message_id.as_ref()),
        ":head_branch_id": bytes(shown.position.branch.as_ref()),
        ":head_seq": signed(shown.position.seq),
        ":head_mark": bytes(shown.head.mark.as_ref()),
        ":id": id.as_bytes(),
        ":user_id": user_id.as_bytes(),
    };
    Ok(one(c, sql, params)?.map_or(Updated::Absent, |found| Updated::Now(Box::new(found))))
}

/// Finds the shown branch of a conversation, if it is the user's and not deleted.
pub(super) fn shown(c: &Connection, user_id: Id, id: Id) -> StoreResult<Option<Shown>> {
    Ok(kept(c, user_id, id)?.filter(|kept| !kept.is_deleted).map(|kept| kept.shown))
}

/// Finds a conversation, if it is the user's and not purged.
pub(super) fn kept(c: &Connection, user_id: Id, id: Id) -> StoreResult<Option<Kept>> {
    let sql = "SELECT id, head_id, head_branch_id, head_seq, head_mark, head_turn_id, is_branched, message_count, \
               messages_deleted_at, deleted_at FROM conversations WHERE id = ?1 AND user_id = ?2";
    let row = |row: &Row<'_>| {
        let mut columns = Columns::of("conversations", row);
        columns.id("id")?;
        let message_id = columns.optional_id("head_id")?;
        let branch = columns.optional_id("head_branch_id")?;
        let seq = columns.count("head_seq")?;
        let mark = columns.optional_id("head_mark")?;
        let turn_id = columns.optional_id("head_turn_id")?;
        let shown = Shown {
            head: Head { message_id, mark, turn_id },
            position: Position { branch, seq },
            is_branched: columns.get("is_branched")?,
            last_seq: columns.count("message_count")?,
        };
        let messages_deleted_at = columns.optional_time("messages_deleted_at")?;
        Ok(Kept { shown, is_deleted: columns.optional_time("deleted_at")?.is_some(), messages_deleted_at })
    };
    let mut statement = c.prepare_cached(sql)?;
    let found = statement.query_row((id.as_bytes(), user_id.as_bytes()), |found| Ok(row(found)));
    found.optional()?.transpose()
}

/// Records a turn in its conversation: raises the counters to its last message, never lowers them, and moves the head where the
/// turn sets it. Returns the highest `seq`.
pub(super) fn advance(
    c: &Connection,
    delivery: &TurnDelivery,
    at_seq: u64,
    shown: Shown,
) -> StoreResult<u64> {
    let count: i64 = c
        .prepare_cached(
            "UPDATE conversations SET message_count = max(message_count, :seq), \
             last_message_preview = iif(:seq >= message_count, :preview, last_message_preview), \
             last_message_at = max(coalesce(last_message_at, :at), :at), activity_at = max(activity_at, :at), \
             updated_at = max(updated_at, :changed_at), head_id = :head_id, head_branch_id = :head_branch_id, \
             head_seq = :head_seq, head_mark = :head_mark, head_turn_id = :head_turn_id, is_branched = :is_branched \
             WHERE id = :id RETURNING message_count",
        )?
        .query_one(
            named_params! {
                ":seq": signed(at_seq),
                ":preview": preview(delivery.last_text()),
                ":at": delivery.messages.answer().created_at.as_millis(),
                ":changed_at": delivery.finished_at.as_millis(),
                ":head_id": bytes(shown.head.message_id.as_ref()),
                ":head_branch_id": bytes(shown.position.branch.as_ref()),
                ":head_seq": signed(shown.position.seq),
                ":head_mark": bytes(shown.head.mark.as_ref()),
                ":head_turn_id": bytes(shown.head.turn_id.as_ref()),
                ":is_branched": shown.is_branched,
                ":id": delivery.conversation_id.as_bytes(),
            },
            |row| row.get(0),
        )?;
    Ok(u64::try_from(count).unwrap_or(at_seq))
}

fn one(c: &Connection, sql: &str, params: impl Params) -> StoreResult<Option<Conversation>> {
    c.prepare_cached(sql)?.query_row(params, |row| Ok(read(row))).optional()?.transpose()
}

fn many(c: &Connection, sql: &str, params: impl Params) -> StoreResult<Vec<Conversation>> {
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> StoreResult<Conversation> {
    let mut columns = Columns::of("conversations", row);
    Ok(Conversation {
        id: columns.id("id")?,
        title: columns.get("title")?,
        model: columns.get("model")?,
        system: columns.get("system")?,
        pinned: columns.get("pinned")?,
        archived: columns.get("archived")?,
        head_id: columns.optional_id("head_id")?,
        message_count: columns.count("message_count")?,
        last_message_preview: columns.get("last_message_preview")?,
        last_message_at: columns.optional_time("last_message_at")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
        messages_deleted_at: columns.optional_time("messages_deleted_at")?,
        deleted_at: columns.optional_time("deleted_at")?,
    })
}
