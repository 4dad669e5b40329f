//! Contexts of conversations: in the row of the turn that fetched them where they fit, and in rows of their own.

use shared::{api::internal::ConversationContext, chat::context, id::Id, time::Timestamp};
use worker::{Result, SqlStorageValue as Value};

use super::{
    NewTurnRow, Store,
    values::{integer, string, text},
};

/// The longest context that is stored in the row of a turn, in bytes: that row is written three times.
const MAX_INLINE_BYTES: usize = 4_096;

/// A context from the origin.
pub struct FetchedContext {
    /// The time of its request.
    pub at: Timestamp,
    /// Its row; `None` when it is too large for one.
    pub row: Option<String>,
}

impl Store {
    /// Stores the context of a turn that begins; returns the columns of one that its row has room for. One that no row has room
    /// for is not stored, and the one before is forgotten.
    pub(super) fn put_context(&self, turn: &NewTurnRow<'_>) -> Result<(Value, Value)> {
        let (conversation, nothing) = (turn.record.conversation_id, (Value::Null, Value::Null));
        match turn.context {
            None => {}
            Some(FetchedContext { row: None, .. }) => self.forget_context(conversation)?,
            Some(FetchedContext { at, row: Some(row) }) if row.len() <= MAX_INLINE_BYTES => {
                return Ok((Value::Integer(at.as_millis()), Value::String(row.clone())));
            }
            Some(FetchedContext { at, row: Some(row) }) => self.run(
                "INSERT OR REPLACE INTO contexts (conversation_id, fetched_ms, context) VALUES (?, ?, ?)",
                vec![text(conversation), Value::Integer(at.as_millis()), Value::String(row.clone())],
            )?,
        }
        Ok(nothing)
    }

    /// Returns a conversation's context from the origin, and its time; none when it is of another version.
    pub fn context(&self, conversation: Id) -> Result<Option<(Timestamp, ConversationContext)>> {
        let query = "SELECT fetched_ms, context FROM contexts WHERE conversation_id = ?1 UNION ALL \
                     SELECT context_ms, context FROM turns WHERE conversation_id = ?1 AND context IS NOT NULL \
                     ORDER BY 1 DESC LIMIT 1";
        let Some(row) = self.rows(query, vec![text(conversation)])?.pop() else {
            return Ok(None);
        };
        let mut row = row.into_iter();
        let fetched = Timestamp::from_millis(integer(row.next())?);
        Ok(context::from_row(&string(row.next())?).map(|context| (fetched, context)))
    }

    /// Forgets a conversation's context.
    pub fn forget_context(&self, conversation: Id) -> Result<()> {
        self.run("DELETE FROM contexts WHERE conversation_id = ?", vec![text(conversation)])?;
        self.run(
            "UPDATE turns SET context_ms = NULL, context = NULL WHERE conversation_id = ? AND context IS NOT NULL",
            vec![text(conversation)],
        )
    }
}
