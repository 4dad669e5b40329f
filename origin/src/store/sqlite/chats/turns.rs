//! Turns: deliveries are stored and read back.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use shared::{
    api::{
        chat::{TurnCode, TurnError, TurnKind},
        internal::{StoredTurn, TurnDelivery, TurnMessages},
        usage::Usage,
    },
    id::Id,
    time::Timestamp,
};

use super::{conversations, cuts, messages, tree};
use crate::store::{
    chats::Shown,
    error::{StoreError, StoreResult},
    sqlite::row::Columns,
    values::signed,
};

/// The rules of [`crate::store::chats::Chats::record_turn`]; the caller holds the write transaction.
pub(super) fn record(c: &Connection, delivery: &TurnDelivery) -> StoreResult<Option<u64>> {
    let Some(kept) = conversations::kept(c, delivery.user_id, delivery.conversation_id)? else {
        return Ok(None);
    };
    let visible = |seq| Some(seq).filter(|_| !kept.is_deleted);
    let mut shown = kept.shown;
    if is_recorded(c, delivery)? {
        // All of it was stored by one commit, and storing it again would change nothing.
        return Ok(visible(shown.last_seq));
    }
    if kept.messages_deleted_at.is_some() && cuts::drop_turn(c, delivery)? {
        return Ok(None);
    }
    let mut last = None;
    for message in delivery.messages.iter() {
        let joined = tree::insert(c, message, last, &shown)?;
        shown.is_branched |= joined.is_aside;
        last = Some(joined.position);
    }
    insert(c, delivery)?;
    let position = last.unwrap_or(shown.position);
    let head = shown.head.after(delivery);
    if head != shown.head {
        shown.position = position;
    }
    conversations::advance(c, delivery, position.seq, Shown { head, ..shown }).map(visible)
}

/// Returns true when this turn was recorded before.
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

/// Returns a turn of this user with its messages.
pub(super) fn find(c: &Connection, user_id: Id, turn_id: Id) -> StoreResult<Option<StoredTurn>> {
    let found = c
        .prepare_cached(
            "SELECT t.id, t.kind, t.message_ids, t.user_message_id, t.assistant_message_id, t.last_event_id, t.error_code, \
             t.error_detail, t.created_at, t.finished_at, t.input_tokens, t.output_tokens, t.cached_tokens, \
             t.reasoning_tokens, t.total_tokens, t.usage_estimated, c.is_branched \
             FROM turns t JOIN conversations c ON c.id = t.conversation_id WHERE t.id = ?1 AND c.user_id = ?2 \
              AND c.deleted_at IS NULL",
        )?
        .query_row((turn_id.as_bytes(), user_id.as_bytes()), |row| Ok(read(row)))
        .optional()?
        .transpose()?;
    let Some(turn) = found else { return Ok(None) };
    let lost = || StoreError::Corrupt { table: "turns", column: "message_ids", row: turn_id.to_string() };
    let mut messages = Vec::new();
    for id in turn.message_ids {
        messages.push(messages::find(c, id)?.ok_or_else(lost)?);
    }
    messages::find_siblings(c, turn.is_branched, &mut messages)?;
    let messages = TurnMessages::new(messages).ok_or_else(lost)?;
    Ok(Some(StoredTurn {
        kind: turn.kind,
        last_event_id: turn.last_event_id,
        error: turn.error,
        usage: turn.usage.or(messages.answer().usage).unwrap_or_default(),
        messages,
        created_at: turn.created_at,
        finished_at: turn.finished_at,
    }))
}

fn insert(c: &Connection, delivery: &TurnDelivery) -> StoreResult<()> {
    let error = delivery.error.as_ref();
    let message_ids: Vec<u8> = delivery.messages.iter().flat_map(|message| *message.id.as_bytes()).collect();
    let usage = &delivery.usage;
    c.prepare_cached(
        "INSERT INTO turns (id, conversation_id, kind, message_ids, user_message_id, assistant_message_id, last_event_id, \
         error_code, error_detail, created_at, finished_at, input_tokens, output_tokens, cached_tokens, reasoning_tokens, \
         total_tokens, usage_estimated) VALUES (:id, :conversation_id, :kind, :message_ids, :user_message_id, :assistant_message_id, \
         :last_event_id, :error_code, :error_detail, :created_at, :finished_at, :input, :output, :cached, :reasoning, \
         :total, :estimated)",
    )?
    .execute(named_params! {
        ":id": delivery.turn_id.as_bytes(),
        ":conversation_id": delivery.conversation_id.as_bytes(),
        ":kind": delivery.kind.as_str(),
        ":message_ids": message_ids,
        ":user_message_id": delivery.messages.first().id.as_bytes(),
        ":assistant_message_id": delivery.messages.answer().id.as_bytes(),
        ":last_event_id": signed(delivery.last_event_id),
        ":error_code": error.map(|error| error.code.as_str()),
        ":error_detail": error.map(|error| error.detail.as_str()),
        ":created_at": delivery.created_at.as_millis(),
        ":finished_at": delivery.finished_at.as_millis(),
        ":input": signed(usage.input_tokens),
        ":output": signed(usage.output_tokens),
        ":cached": signed(usage.cached_tokens),
        ":reasoning": signed(usage.reasoning_tokens),
        ":total": signed(usage.total_tokens),
        ":estimated": usage.estimated,
    })?;
    Ok(())
}

struct TurnRow {
    kind: TurnKind,
    message_ids: Vec<Id>,
    last_event_id: u64,
    error: Option<TurnError>,
    created_at: Timestamp,
    finished_at: Timestamp,
    usage: Option<Usage>,
    is_branched: bool,
}

fn read(row: &Row<'_>) -> StoreResult<TurnRow> {
    let mut columns = Columns::of("turns", row);
    columns.id("id")?;
    let kind = columns.word("kind", TurnKind::parse)?;
    let message_ids: Option<Vec<u8>> = columns.get("message_ids")?;
    let first_and_last = [columns.id("user_message_id")?, columns.id("assistant_message_id")?];
    let message_ids = match message_ids.as_deref().map(<[u8]>::as_chunks::<16>) {
        None => first_and_last.to_vec(),
        Some((ids, [])) => ids.iter().copied().map(Id::from_bytes).collect(),
        Some(_) => return Err(columns.corrupt("message_ids")),
    };
    let last_event_id = columns.count("last_event_id")?;
    let code = columns.optional_word("error_code", TurnCode::parse)?;
    let detail: Option<String> = columns.get("error_detail")?;
    Ok(TurnRow {
        kind,
        message_ids,
        last_event_id,
        error: code.map(|code| TurnError::new(code, detail)),
        created_at: columns.time("created_at")?,
        finished_at: columns.time("finished_at")?,
        usage: messages::read_usage(&mut columns)?,
        is_branched: columns.get("is_branched")?,
    })
}
