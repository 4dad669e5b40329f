//! Turns: deliveries taken in, and read back.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use shared::{
    api::{
        chat::{TurnCode, TurnError},
        internal::{StoredTurn, TurnDelivery},
    },
    id::Id,
    time::Timestamp,
};

use super::{conversations, messages};
use crate::store::{
    error::{StoreError, StoreResult},
    sqlite::row::Columns,
    values::signed,
};

/// The rules of [`crate::store::chats::Chats::record_turn`]; the caller holds the write transaction.
pub(super) fn record(c: &Connection, delivery: &TurnDelivery) -> StoreResult<Option<u64>> {
    if !conversations::exists(c, delivery.user_id, delivery.conversation_id)? {
        return Ok(None);
    }
    if is_recorded(c, delivery)? {
        // All of it is there since one commit, and telling it again would be no change.
        return conversations::highest_seq(c, delivery.conversation_id).map(Some);
    }
    let asked_at = messages::insert(c, &delivery.user_message, 1)?;
    let answered_at = messages::insert(c, &delivery.assistant_message, asked_at.saturating_add(1))?;
    insert(c, delivery)?;
    let answer = &delivery.assistant_message;
    conversations::advance(
        c,
        delivery.conversation_id,
        answered_at,
        delivery.last_text(),
        answer.created_at,
        delivery.finished_at,
    )
    .map(Some)
}

/// Whether this turn was recorded before.
fn is_recorded(c: &Connection, delivery: &TurnDelivery) -> StoreResult<bool> {
    let known: Option<[u8; 16]> = c
        .prepare_cached("SELECT conversation_id FROM turns WHERE id = ?1")?
        .query_row([delivery.turn_id.as_bytes()], |row| row.get(0))
        .optional()?;
    match known {
        Some(conversation_id) if conversation_id != *delivery.conversation_id.as_bytes() => {
            Err(StoreError::Conflict("the turn's id is one of another conversation"))
        }
        known => Ok(known.is_some()),
    }
}

/// A turn of this user with its messages.
pub(super) fn find(c: &Connection, user_id: Id, turn_id: Id) -> StoreResult<Option<StoredTurn>> {
    let found = c
        .prepare_cached(
            "SELECT t.id, t.user_message_id, t.assistant_message_id, t.last_event_id, t.error_code, t.error_detail, \
             t.finished_at FROM turns t JOIN conversations c ON c.id = t.conversation_id \
             WHERE t.id = ?1 AND c.user_id = ?2",
        )?
        .query_row((turn_id.as_bytes(), user_id.as_bytes()), |row| Ok(read(row)))
        .optional()?
        .transpose()?;
    let Some(turn) = found else { return Ok(None) };
    let lost = |column| StoreError::Corrupt { table: "turns", column, row: turn_id.to_string() };
    Ok(Some(StoredTurn {
        last_event_id: turn.last_event_id,
        error: turn.error,
        user_message: messages::find(c, turn.user_message_id)?.ok_or_else(|| lost("user_message_id"))?,
        assistant_message: messages::find(c, turn.assistant_message_id)?
            .ok_or_else(|| lost("assistant_message_id"))?,
        finished_at: turn.finished_at,
    }))
}

fn insert(c: &Connection, delivery: &TurnDelivery) -> StoreResult<()> {
    let error = delivery.error.as_ref();
    c.prepare_cached(
            "INSERT INTO turns (id, conversation_id, user_message_id, assistant_message_id, last_event_id, error_code, \
             error_detail, created_at, finished_at) VALUES (:id, :conversation_id, :user_message_id, \
             :assistant_message_id, :last_event_id, :error_code, :error_detail, :created_at, :finished_at)",
        )?
        .execute(named_params! {
            ":id": delivery.turn_id.as_bytes(),
            ":conversation_id": delivery.conversation_id.as_bytes(),
            ":user_message_id": delivery.user_message.id.as_bytes(),
            ":assistant_message_id": delivery.assistant_message.id.as_bytes(),
            ":last_event_id": signed(delivery.last_event_id),
            ":error_code": error.map(|error| error.code.as_str()),
            ":error_detail": error.map(|error| error.detail.as_str()),
            ":created_at": delivery.created_at.as_millis(),
            ":finished_at": delivery.finished_at.as_millis(),
        })?;
    Ok(())
}

struct TurnRow {
    user_message_id: Id,
    assistant_message_id: Id,
    last_event_id: u64,
    error: Option<TurnError>,
    finished_at: Timestamp,
}

fn read(row: &Row<'_>) -> StoreResult<TurnRow> {
    let mut columns = Columns::of("turns", row);
    columns.id("id")?;
    let user_message_id = columns.id("user_message_id")?;
    let assistant_message_id = columns.id("assistant_message_id")?;
    let last_event_id = columns.count("last_event_id")?;
    let code = columns.optional_word("error_code", TurnCode::parse)?;
    let detail: Option<String> = columns.get("error_detail")?;
    Ok(TurnRow {
        user_message_id,
        assistant_message_id,
        last_event_id,
        error: code.map(|code| TurnError::new(code, detail)),
        finished_at: columns.time("finished_at")?,
    })
}
