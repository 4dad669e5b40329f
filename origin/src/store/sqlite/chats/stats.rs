//! Counts over a user's conversations, from indexes that have all they need.

use rusqlite::{Connection, Row};
use shared::{api::chat::ChatStats, id::Id};

use crate::store::{error::StoreResult, sqlite::row::Columns};

/// Conversations and their messages.
pub(super) const COUNTS: &str = "SELECT ?1 AS id, count(DISTINCT c.id) AS conversations, count(m.role) AS messages, \
     count(*) FILTER (WHERE m.role = 'user') AS user_messages, \
     count(*) FILTER (WHERE m.role = 'assistant') AS assistant_messages, \
     coalesce(sum(m.input_tokens), 0) AS input_tokens, coalesce(sum(m.output_tokens), 0) AS output_tokens, \
     min(m.created_at) AS first_message_at, max(m.created_at) AS last_message_at \
     FROM conversations c LEFT JOIN messages m INDEXED BY messages_to_count ON m.conversation_id = c.id \
     WHERE c.user_id = ?1 AND c.deleted_at IS NULL";
/// Their calls of tools.
pub(super) const TOOL_CALLS: &str = "SELECT ?1 AS id, coalesce(sum(json_array_length(m.tool_calls)), 0) AS tool_calls \
     FROM conversations c CROSS JOIN messages m INDEXED BY messages_with_tools ON m.conversation_id = c.id \
     WHERE c.user_id = ?1 AND c.deleted_at IS NULL AND m.tool_calls IS NOT NULL AND m.role = 'assistant'";

/// Counts over the user's conversations that are not deleted; the caller holds a snapshot.
pub(super) fn of(c: &Connection, user_id: Id) -> StoreResult<ChatStats> {
    let tool_calls = c.prepare_cached(TOOL_CALLS)?.query_one([user_id.as_bytes()], |row| {
        let mut columns = Columns::of("messages", row);
        Ok(columns.id("id").and_then(|_| columns.count("tool_calls")))
    })??;
    let counts = c.prepare_cached(COUNTS)?.query_one([user_id.as_bytes()], |row| Ok(read(row)))??;
    Ok(ChatStats { tool_calls, ..counts })
}

fn read(row: &Row<'_>) -> StoreResult<ChatStats> {
    let mut columns = Columns::of("messages", row);
    columns.id("id")?;
    Ok(ChatStats {
        conversations: columns.count("conversations")?,
        messages: columns.count("messages")?,
        user_messages: columns.count("user_messages")?,
        assistant_messages: columns.count("assistant_messages")?,
        tool_calls: 0,
        input_tokens: columns.count("input_tokens")?,
        output_tokens: columns.count("output_tokens")?,
        first_message_at: columns.optional_time("first_message_at")?,
        last_message_at: columns.optional_time("last_message_at")?,
    })
}
