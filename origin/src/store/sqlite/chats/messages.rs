//! Messages.

use rusqlite::{Connection, OptionalExtension as _, Params, Row, named_params};
use shared::{
    api::{
        chat::{FinishReason, Message, Part, Role, ToolCall, TurnStatus},
        internal::{ConversationContext, MAX_SIBLINGS},
        page::Order,
        usage::Usage,
    },
    chat::tree::{Forks, Position},
    id::Id,
    time::Timestamp,
};

use super::{conversations, tree};
use crate::store::{
    chats::{MessagesPage, PageBuilder, with_itself},
    error::{StoreError, StoreResult},
    sqlite::row::{Columns, bytes},
    values::signed,
};

/// The columns [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "id, conversation_id, turn_id, parent_id, seq, role, content, parts, status, finish_reason, model, \
         input_tokens, output_tokens, cached_tokens, reasoning_tokens, total_tokens, usage_estimated, \
         tool_calls, created_at, updated_at"
    };
}

/// All messages from a place on in the order of arrival, in the order of the unique index.
pub(super) const ARRIVED_UP: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE conversation_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
);
/// The same down.
pub(super) const ARRIVED_DOWN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages WHERE conversation_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3"
);
/// Messages of a branch, in the order of the index; the planner would prefer to look through those of all branches.
pub(super) const SPAN_UP: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages INDEXED BY messages_by_branch WHERE conversation_id = ?1 AND branch_id IS ?2 AND seq > ?3 \
     AND seq <= ?4 ORDER BY seq LIMIT ?5"
);
/// The same down.
pub(super) const SPAN_DOWN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM messages INDEXED BY messages_by_branch WHERE conversation_id = ?1 AND branch_id IS ?2 AND seq > ?3 \
     AND seq <= ?4 ORDER BY seq DESC LIMIT ?5"
);
/// Returns the messages that follow one, the last first.
pub(super) const CHILDREN: &str = "SELECT id FROM messages INDEXED BY messages_by_parent \
                               WHERE conversation_id = ?1 AND parent_id IS ?2 ORDER BY seq DESC LIMIT ?3";

/// A message by its id.
pub(super) fn find(c: &Connection, id: Id) -> StoreResult<Option<Message>> {
    let sql = concat!("SELECT ", columns!(), " FROM messages WHERE id = ?1");
    c.prepare_cached(sql)?.query_row([id.as_bytes()], |row| Ok(read(row))).optional()?.transpose()
}

/// Fills a page with the messages of all branches, in the order of arrival.
pub(super) fn fill_arrived(
    c: &Connection,
    conversation_id: Id,
    builder: &mut PageBuilder,
) -> StoreResult<()> {
    let MessagesPage { order, after, .. } = builder.page;
    let (sql, after) = match order {
        Order::Asc => (ARRIVED_UP, after.map_or(0, signed)),
        Order::Desc => (ARRIVED_DOWN, after.map_or(i64::MAX, signed)),
    };
    take_all(c, sql, (conversation_id.as_bytes(), after, builder.most()), builder)?;
    Ok(())
}

/// Fills a page with the path to a place.
pub(super) fn fill_path(
    c: &Connection,
    conversation_id: Id,
    head: Position,
    builder: &mut PageBuilder,
) -> StoreResult<()> {
    let MessagesPage { order, mut after, .. } = builder.page;
    let mut forks = Forks::new();
    let sql = match order {
        Order::Asc => SPAN_UP,
        Order::Desc => SPAN_DOWN,
    };
    loop {
        let spans =
            tree::with_forks(c, &mut forks, |forks| shared::chat::tree::spans(head, order, after, forks))?;
        for span in spans.items {
            let bounds = (signed(span.after), signed(span.to), builder.most());
            let params =
                (conversation_id.as_bytes(), bytes(span.branch.as_ref()), bounds.0, bounds.1, bounds.2);
            if !take_all(c, sql, params, builder)? {
                return Ok(());
            }
        }
        let Some(next) = spans.next_after else { return Ok(()) };
        after = Some(next);
    }
}

/// Returns the context of a conversation, at its head or at a message of it.
pub(super) fn context(
    c: &Connection,
    user_id: Id,
    conversation_id: Id,
    at: Option<Id>,
) -> StoreResult<Option<ConversationContext>> {
    let Some(conversation) = conversations::find(c, user_id, conversation_id)? else { return Ok(None) };
    let Some(shown) = conversations::shown(c, user_id, conversation_id)? else { return Ok(None) };
    let (mut builder, end) = match at {
        None => (PageBuilder::of_context(), Some(shown.position)),
        Some(id) => (PageBuilder::of_context_at_message(), tree::position(c, conversation_id, id)?),
    };
    let Some(end) = end else { return Ok(None) };
    fill_path(c, conversation_id, end, &mut builder)?;
    let children = match at {
        None if shown.is_plain() => Vec::new(),
        at => children(c, conversation_id, at.or(shown.head.message_id))?,
    };
    let mut context = builder.into_context(conversation, &shown, children);
    find_siblings(c, shown.is_branched, &mut context.messages)?;
    Ok(Some(context))
}

/// Offers what a statement finds to a page. False when that takes no more.
fn take_all(c: &Connection, sql: &str, params: impl Params, builder: &mut PageBuilder) -> StoreResult<bool> {
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        if !builder.take(read(row)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Finds the siblings of messages. Those of a conversation without a fork have none.
pub(super) fn find_siblings(c: &Connection, is_branched: bool, messages: &mut [Message]) -> StoreResult<()> {
    if is_branched {
        for message in messages {
            message.siblings =
                with_itself(children(c, message.conversation_id, message.parent_id)?, message.id);
        }
    }
    Ok(())
}

/// The messages that follow one, in the order of arrival, the newest [`MAX_SIBLINGS`] of them.
pub(super) fn children(c: &Connection, conversation_id: Id, parent_id: Option<Id>) -> StoreResult<Vec<Id>> {
    let mut statement = c.prepare_cached(CHILDREN)?;
    let read = |row: &Row<'_>| row.get(0).map(Id::from_bytes);
    let found =
        statement.query_map((conversation_id.as_bytes(), bytes(parent_id.as_ref()), MAX_SIBLINGS), read)?;
    let mut found = found.collect::<Result<Vec<_>, _>>()?;
    found.reverse();
    Ok(found)
}

/// Inserts a message where it stands.
pub(super) fn insert(c: &Connection, message: &Message, at: Position) -> StoreResult<()> {
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
        "INSERT INTO messages (id, conversation_id, turn_id, parent_id, branch_id, seq, role, content, parts, status, \
         finish_reason, model, input_tokens, output_tokens, cached_tokens, reasoning_tokens, total_tokens, usage_estimated, \
         tool_calls, created_at, updated_at) VALUES (:id, :conversation_id, :turn_id, :parent_id, :branch_id, :seq, :role, :content, :parts, \
         :status, :finish_reason, :model, :input, :output, :cached, :reasoning, :total, :estimated, :tool_calls, :created_at, \
         :updated_at)",
    )?
    .execute(named_params! {
        ":id": message.id.as_bytes(),
        ":conversation_id": message.conversation_id.as_bytes(),
        ":turn_id": message.turn_id.as_bytes(),
        ":parent_id": bytes(message.parent_id.as_ref()),
        ":branch_id": bytes(at.branch.as_ref()),
        ":seq": signed(at.seq),
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
        ":estimated": message.usage.is_some_and(|usage| usage.estimated),
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
        siblings: vec![id],
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

pub(super) fn read_usage(columns: &mut Columns<'_>) -> StoreResult<Option<Usage>> {
    let input = columns.optional_count("input_tokens")?;
    let output = columns.optional_count("output_tokens")?;
    let cached = columns.optional_count("cached_tokens")?;
    let reasoning = columns.optional_count("reasoning_tokens")?;
    let total = columns.optional_count("total_tokens")?;
    let estimated = columns.get("usage_estimated")?;
    match (input, output, cached, reasoning, total) {
        (None, None, None, None, None) => Ok(None),
        (
            Some(input_tokens),
            Some(output_tokens),
            Some(cached_tokens),
            Some(reasoning_tokens),
            Some(total_tokens),
        ) => Ok(Some(Usage {
            input_tokens,
            output_tokens,
            cached_tokens,
            reasoning_tokens,
            total_tokens,
            estimated,
        })),
        _ => Err(columns.corrupt("input_tokens")),
    }
}
