//! Turns that the origin does not have, and records of their deliveries.

use shared::{chat::record::TurnRecord, id::Id, time::Timestamp};
use worker::{Result, SqlStorageValue as Value};

use super::{
    DONE, ENDED, Store,
    values::{from_json, id_of, text, unsigned},
};

/// A turn that the origin does not have.
#[derive(Clone, Copy, Debug)]
pub struct Undelivered {
    /// The turn.
    pub id: Id,
    /// Its conversation.
    pub conversation_id: Id,
    /// The bytes of its row.
    pub bytes: usize,
}

impl Store {
    /// Records that the origin has the turn since `at`. The record is written with the next turn that begins, by the alarm, or
    /// before turns are read: should this process die before, the turn is delivered again, and the origin recognises it.
    pub fn note_delivery(&self, turn: Id, at: Timestamp) {
        self.unwritten.borrow_mut().push((turn, at));
    }

    /// Writes the recorded deliveries, and erases the tokens of those turns.
    pub fn write_deliveries(&self) -> Result<()> {
        let mut unwritten = self.unwritten.borrow_mut();
        while let Some((turn, at)) = unwritten.last() {
            self.run(
                "UPDATE turns SET state = ?, delivered_ms = ?, token = '' WHERE id = ? AND state = ?",
                vec![
                    Value::Integer(DONE),
                    Value::Integer(at.as_millis()),
                    text(*turn),
                    Value::Integer(ENDED),
                ],
            )?;
            unwritten.pop();
        }
        Ok(())
    }

    /// Records that the turn is no longer delivered, though the origin does not have it.
    pub fn give_up(&self, turn: Id) -> Result<()> {
        self.run(
            "UPDATE turns SET state = ?, token = '' WHERE id = ? AND state = ?",
            vec![Value::Integer(DONE), text(turn), Value::Integer(ENDED)],
        )
    }

    /// Returns the ended turns whose delivery is pending, oldest first.
    pub fn undelivered(&self) -> Result<Vec<Undelivered>> {
        let query = "SELECT id, conversation_id, length(CAST(record AS BLOB)) + coalesce(length(CAST(tail AS BLOB)), 0) \
                     FROM turns WHERE state = ? ORDER BY id";
        let rows = self.rows(query, vec![Value::Integer(ENDED)])?;
        let turn = |row: Vec<Value>| {
            let mut row = row.into_iter();
            let (id, conversation_id) = (id_of(row.next())?, id_of(row.next())?);
            let bytes = usize::try_from(unsigned(row.next())?).unwrap_or(usize::MAX);
            Ok(Undelivered { id, conversation_id, bytes })
        };
        rows.into_iter().map(turn).collect()
    }

    /// Returns the ended turns of a conversation that the origin did not have at `asked`, in order; each by itself, so that one
    /// which cannot be read hides no other.
    pub fn turns_missing_at(&self, conversation: Id, asked: Timestamp) -> Result<Vec<Result<TurnRecord>>> {
        self.write_deliveries()?;
        let query = "SELECT record FROM turns WHERE conversation_id = ? AND state IN (?, ?) \
                     AND (delivered_ms IS NULL OR delivered_ms >= ?) ORDER BY id";
        let bindings = vec![
            text(conversation),
            Value::Integer(ENDED),
            Value::Integer(DONE),
            Value::Integer(asked.as_millis()),
        ];
        Ok(self.rows(query, bindings)?.into_iter().map(|row| from_json(row.into_iter().next())).collect())
    }
}
