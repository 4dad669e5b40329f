//! Messages.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use shared::{
    api::{
        chat::{FinishReason, Message, Part, Role, ToolCall, TurnStatus},
        page::Order,
        usage::Usage,
    },
    id::Id,
    time::Timestamp,
};

use crate::store::{
    chats::{Filling, MessagesPage},
    error::{StoreError, StoreResult},
    sqlite::row::Columns,
    values::signed,
};

/// The columns [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "id, conversation_id, turn_id, parent_id, seq, role, content, parts, status, finish_reason, model, \
         input_tokens, output_tokens, cached_tokens, reasoning_tokens, total_tokens, tool_calls, created_at, updated_at"
    };
}

/// A page with `seq` going up, in the order of the unique index.
pub(super) const PAGE_UP: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE conversation_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
);
/// A page with `seq` going down, in the order of the unique index.
pub(super) const PAGE_DOWN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE conversation_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3"
);

/// Inserts a message at its `seq`, or at the first one after all when that, or one before `at_least`, is taken. Returns
/// where it stands, which is also the answer when it is there already.
pub(super) fn insert(c: &Connection, message: &Message, at_least: u64) -> StoreResult<u64> {
    if let Some(seq) = place(c, message)? {
        return Ok(seq);
    }
    let wanted = message.seq.max(at_least).max(1);
    let taken = c
        .prepare_cached("SELECT 1 FROM messages WHERE conversation_id = ?1 AND seq = ?2")?
        .exists((message.conversation_id.as_bytes(), signed(wanted)))?;
    let seq = if taken { highest(c, message.conversation_id)?.saturating_add(1) } else { wanted };
    insert_at(c, message, seq)?;
    Ok(seq)
}

/// A message by its id.
pub(super) fn find(c: &Connection, id: Id) -> StoreResult<Option<Message>> {
    let sql = concat!("SELECT ", columns!(), " FROM messages WHERE id = ?1");
    c.prepare_cached(sql)?.query_row([id.as_bytes()], |row| Ok(read(row))).optional()?.transpose()
}

/// Fills a page, by `seq`.
pub(super) fn fill(c: &Connection, conversation_id: Id, mut filling: Filling) -> StoreResult<Filling> {
    let MessagesPage { order, after, .. } = filling.page;
    let (sql, after) = match order {
        Order::Asc => (PAGE_UP, after.map_or(0, signed)),
        Order::Desc => (PAGE_DOWN, after.map_or(i64::MAX, signed)),
    };
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query((conversation_id.as_bytes(), after, filling.most()))?;
    while let Some(row) = rows.next()? {
        if !filling.take(read(row)?) {
            break;
        }
    }
    Ok(filling)
}

/// Where a message stands that was inserted before.
fn place(c: &Connection, message: &Message) -> StoreResult<Option<u64>> {
    let known: Option<([u8; 16], i64)> = c
        .prepare_cached("SELECT conversation_id, seq FROM messages WHERE id = ?1")?
        .query_row([message.id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match known {
        Some((conversation_id, _)) if conversation_id != *message.conversation_id.as_bytes() => {
            Err(StoreError::Conflict("the message's id is one of another conversation"))
        }
        Some((_, seq)) => Ok(u64::try_from(seq).ok()),
        None => Ok(None),
    }
}

fn highest(c: &Connection, conversation_id: Id) -> StoreResult<u64> {
    let seq: Option<i64> = c
        .prepare_cached("SELECT max(seq) FROM messages WHERE conversation_id = ?1")?
        .query_one([conversation_id.as_bytes()], |row| row.get(0))?;
    Ok(seq.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0))
}

fn insert_at(c: &Connection, message: &Message, seq: u64) -> StoreResult<()> {
    let unwritable = |_| StoreError::Conflict("a message that cannot be written as JSON");
    let parts = if message.is_plain() {
        None
    } else {
        Some(serde_json::to_string(&message.parts).map_err(unwritable)?)
    };
    let tool_calls = match message.tool_calls.as_slice() {
        [] => None,
        calls => Some(serde_json::to_string(calls).map_err(unwritable)?),
    };
    let tokens = |count: fn(&Usage) -> u64| message.usage.as_ref().map(count).map(signed);
    c.prepare_cached(
        "INSERT INTO messages (id, conversation_id, turn_id, parent_id, seq, role, content, parts, status, \
         finish_reason, model, input_tokens, output_tokens, cached_tokens, reasoning_tokens, total_tokens, tool_calls, \
         created_at, updated_at) VALUES (:id, :conversation_id, :turn_id, :parent_id, :seq, :role, :content, :parts, \
         :status, :finish_reason, :model, :input, :output, :cached, :reasoning, :total, :tool_calls, :created_at, \
         :updated_at)",
    )?
    .execute(named_params! {
        ":id": message.id.as_bytes(),
        ":conversation_id": message.conversation_id.as_bytes(),
        ":turn_id": message.turn_id.as_bytes(),
        ":parent_id": message.parent_id.as_ref().map(Id::as_bytes),
        ":seq": signed(seq),
        ":role": message.role.as_str(),
        ":content": message.content,
        ":parts": parts,
        ":status": message.status.as_str(),
        ":finish_reason": message.finish_reason.as_ref().map(FinishReason::as_str),
        ":model": message.model,
        ":input": tokens(|usage| usage.input_tokens),
        ":output": tokens(|usage| usage.output_tokens),
        ":cached": tokens(|usage| usage.cached_tokens),
        ":reasoning": tokens(|usage| usage.reasoning_tokens),
        ":total": tokens(|usage| usage.total_tokens),
        ":tool_calls": tool_calls,
        ":created_at": Timestamp::as_millis(message.created_at),
        ":updated_at": Timestamp::as_millis(message.updated_at),
    })?;
    Ok(())
}

fn read(row: &Row<'_>) -> StoreResult<Message> {
    let mut columns = Columns::of("messages", row);
    let id = columns.id("id")?;
    let conversation_id = columns.id("conversation_id")?;
    let turn_id = columns.id("turn_id")?;
    let parent_id = columns.optional_id("parent_id")?;
    let seq = columns.count("seq")?;
    let role = columns.word("role", Role::parse)?;
    let content: String = columns.get("content")?;
    let parts = columns.optional_word("parts", |json| serde_json::from_str(json).ok())?;
    Ok(Message {
        id,
        conversation_id,
        turn_id,
        parent_id,
        seq,
        role,
        parts: parts.unwrap_or_else(|| vec![Part::Text { text: content.clone() }]),
        content,
        status: columns.word("status", TurnStatus::parse)?,
        finish_reason: columns.optional_word("finish_reason", FinishReason::parse)?,
        model: columns.get("model")?,
        usage: read_usage(&mut columns)?,
        tool_calls: columns
            .optional_word("tool_calls", |json| serde_json::from_str::<Vec<ToolCall>>(json).ok())?
            .unwrap_or_default(),
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

fn read_usage(columns: &mut Columns<'_>) -> StoreResult<Option<Usage>> {
    let input = columns.optional_count("input_tokens")?;
    let output = columns.optional_count("output_tokens")?;
    let cached = columns.optional_count("cached_tokens")?;
    let reasoning = columns.optional_count("reasoning_tokens")?;
    let total = columns.optional_count("total_tokens")?;
    match (input, output, cached, reasoning, total) {
        (None, None, None, None, None) => Ok(None),
        (
            Some(input_tokens),
            Some(output_tokens),
            Some(cached_tokens),
            Some(reasoning_tokens),
            Some(total_tokens),
        ) => Ok(Some(Usage { input_tokens, output_tokens, cached_tokens, reasoning_tokens, total_tokens })),
        _ => Err(columns.corrupt("input_tokens")),
    }
}
