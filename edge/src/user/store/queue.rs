//! Requests that wait for the turns before them. A turn that begins leaves the queue with the row that says so, and one that never
//! does with the row of its end: both are written without an await between them.

use shared::{id::Id, time::Timestamp};
use worker::{Result, SqlStorageValue as Value};

use super::{
    DROPPED, NewTurnRow, Store,
    values::{id_of, string, text},
};

impl Store {
    /// Stores a request that waits.
    pub fn put_queued(&self, turn: Id, conversation: Id, at: Timestamp, request: String) -> Result<()> {
        self.run(
            "INSERT INTO queue (turn_id, conversation_id, arrived_ms, request) VALUES (?, ?, ?, ?)",
            vec![text(turn), text(conversation), Value::Integer(at.as_millis()), Value::String(request)],
        )
    }

    /// Returns the turns that wait, with their conversations, in order.
    pub fn queued(&self) -> Result<Vec<(Id, Id)>> {
        let rows = self.rows("SELECT turn_id, conversation_id FROM queue ORDER BY turn_id", vec![])?;
        let turn = |row: Vec<Value>| {
            let mut row = row.into_iter();
            Ok((id_of(row.next())?, id_of(row.next())?))
        };
        rows.into_iter().map(turn).collect()
    }

    /// Returns the request of a turn that waits.
    pub fn queued_request(&self, turn: Id) -> Result<Option<String>> {
        let row = self.rows("SELECT request FROM queue WHERE turn_id = ?", vec![text(turn)])?.pop();
        row.map(|row| string(row.into_iter().next())).transpose()
    }

    /// Removes a turn from the queue.
    pub fn leave_queue(&self, turn: Id) -> Result<()> {
        self.run("DELETE FROM queue WHERE turn_id = ?", vec![text(turn)])
    }

    /// Removes a turn from the queue that never began. It is shown, and its key is known, as those of other turns are; it is not
    /// delivered, and counts nothing.
    pub fn drop_queued(&self, turn: &NewTurnRow<'_>) -> Result<()> {
        self.insert_turn(turn, DROPPED)?;
        self.leave_queue(turn.record.turn_id)
    }

    /// Erases the requests that wait in a conversation.
    pub fn erase_queue(&self, conversation: Id) -> Result<()> {
        self.run("DELETE FROM queue WHERE conversation_id = ?", vec![text(conversation)])
    }
}
