//! The user object's SQLite: turns with their outbox, checkpoints, conversation contexts, notices of the account.
//!
//! Statements that follow each other without an await are one transaction on this platform, and a response is held back
//! until what was written before it is durable. Rows written are the largest item of a turn's price, so a turn is one row that
//! is written when it begins, when it ends, and when its delivery is noted; the newest one carries the user's rate and the
//! messages of the day, and a short context that it was the first to need. A user's few turns of two days are scanned where an
//! index would cost a row a turn; idempotency keys are read once.
//!
//! - [`account`]: the origin's notices of the account
//! - [`contexts`]: contexts of conversations
//! - [`deliveries`]: turns that the origin does not have
//! - [`queue`]: requests that wait for their turn
//! - [`schema`]: the tables and their migrations
//! - [`values`]: values of columns

mod account;
mod contexts;
mod deliveries;
mod queue;
mod schema;
mod values;

use std::{cell::RefCell, collections::HashMap};

use shared::{
    chat::{
        admission::KnownKey,
        log::Segment,
        record::{MAX_ROW_BYTES, TurnRecord},
    },
    id::Id,
    limits::{daily::DailyCount, gcra::Tat},
    time::Timestamp,
};
use worker::{Result, SqlStorage, SqlStorageValue as Value, State};

use self::values::{
    fingerprint_of, from_json, id_of, integer, json, number, optional, string, text, unsigned,
};
pub use self::{contexts::FetchedContext, deliveries::Undelivered};

/// The turn runs, as far as storage knows.
const RUNNING: i64 = 0;
/// The turn ended, and its delivery is pending.
const ENDED: i64 = 1;
/// The delivery is finished.
const DONE: i64 = 2;
/// The conversation was deleted: nothing is left of the turn but the day's count.
const ERASED: i64 = 3;
/// The turn ended in the queue: nothing of it is delivered.
const DROPPED: i64 = 4;

/// A turn as storage has it.
pub struct StoredTurnRow {
    /// The turn.
    pub record: TurnRecord,
    /// Its events in pieces: the id of the first, and the frames.
    pub segments: Vec<(u64, String)>,
    /// The access token that started it; empty once its delivery is noted.
    pub token: String,
    /// The client's idempotency key.
    pub key: Option<String>,
    /// The fingerprint of the request that made it.
    pub fingerprint: u64,
}

/// A turn that begins.
pub struct NewTurnRow<'a> {
    /// The turn.
    pub record: &'a TurnRecord,
    /// The idempotency key.
    pub key: Option<&'a str>,
    /// The fingerprint of the request.
    pub fingerprint: u64,
    /// The access token.
    pub token: &'a str,
    /// The messages of its day, itself included.
    pub day: DailyCount,
    /// The state of the user's rate that includes it.
    pub rate: Tat,
    /// The context of its conversation, where storage does not have it.
    pub context: Option<&'a FetchedContext>,
}

/// The user object's tables.
pub struct Store {
    sql: SqlStorage,
    /// Delivery records that are not written yet.
    unwritten: RefCell<Vec<(Id, Timestamp)>>,
    /// The turns that clients' keys name, once they were read.
    keys: RefCell<Option<HashMap<String, KnownKey>>>,
}

impl Store {
    /// Opens the tables, and brings them to this version's form.
    ///
    /// # Errors
    /// Fails with the errors of SQLite, and when the tables are of a newer version.
    pub fn open(state: &State) -> Result<Self> {
        let sql = state.storage().sql();
        schema::migrate(&sql)?;
        Ok(Self { sql, unwritten: RefCell::default(), keys: RefCell::default() })
    }

    /// Stores a turn that begins, and the context that was fetched for it. Its events so far come with the first checkpoint.
    pub fn begin_turn(&self, turn: &NewTurnRow<'_>) -> Result<()> {
        self.insert_turn(turn, RUNNING)
    }

    fn insert_turn(&self, turn: &NewTurnRow<'_>, state: i64) -> Result<()> {
        self.write_deliveries()?;
        let (context_ms, context) = self.put_context(turn)?;
        let record = turn.record;
        self.run(
            "INSERT INTO turns (id, conversation_id, state, created_ms, day_ms, day_used, tat_us, idempotency_key, \
             fingerprint, token, record, context_ms, context) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            vec![
                text(record.turn_id),
                text(record.conversation_id),
                Value::Integer(state),
                Value::Integer(record.created_at.as_millis()),
                Value::Integer(turn.day.day.as_millis()),
                number(turn.day.used),
                Value::Integer(turn.rate.as_micros()),
                turn.key.map_or(Value::Null, |key| Value::String(key.to_owned())),
                Value::String(format!("{:016x}", turn.fingerprint)),
                Value::String(turn.token.to_owned()),
                json(record)?,
                context_ms,
                context,
            ],
        )?;
        if let (Some(keys), Some(key)) = (self.keys.borrow_mut().as_mut(), turn.key) {
            let known = KnownKey { turn_id: record.turn_id, fingerprint: turn.fingerprint };
            keys.insert(key.to_owned(), known);
        }
        Ok(())
    }

    /// Returns the state of the user's rate that the last turn began with.
    pub fn rate(&self) -> Result<Option<Tat>> {
        Ok(self.number("SELECT MAX(tat_us) FROM turns", vec![])?.map(Tat::from_micros))
    }

    /// Returns the messages of the newest day that has any, up to this one.
    pub fn day(&self, last: Timestamp) -> Result<Option<DailyCount>> {
        let query = "SELECT day_ms, MAX(day_used) FROM turns WHERE day_ms <= ? GROUP BY day_ms ORDER BY day_ms DESC LIMIT 1";
        let Some(row) = self.rows(query, vec![Value::Integer(last.as_millis())])?.pop() else {
            return Ok(None);
        };
        let mut row = row.into_iter();
        let day = Timestamp::from_millis(integer(row.next())?);
        Ok(Some(DailyCount { day, used: unsigned(row.next())? }))
    }

    /// Lowers the stored count of messages of a day, if it is higher.
    pub fn put_day(&self, day: DailyCount) -> Result<()> {
        self.run(
            "UPDATE turns SET day_used = ?1 WHERE day_ms = ?2 AND day_used > ?1",
            vec![number(day.used), Value::Integer(day.day.as_millis())],
        )
    }

    /// Stores events of a turn.
    pub fn checkpoint(&self, turn: Id, segment: Segment) -> Result<()> {
        self.run(
            "INSERT INTO checkpoints (turn_id, first_id, frames) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            vec![text(turn), number(segment.first_id), Value::String(segment.frames)],
        )
    }

    /// Stores the end of a turn with its last events: in its row, as far as they fit.
    pub fn end_turn(&self, record: &TurnRecord, last: Option<Segment>) -> Result<()> {
        let json = serde_json::to_string(record)?;
        let (mut tail_first_id, mut tail) = (Value::Null, Value::Null);
        match last {
            Some(last) if json.len() + last.frames.len() <= MAX_ROW_BYTES => {
                tail_first_id = number(last.first_id);
                tail = Value::String(last.frames);
            }
            Some(last) => self.checkpoint(record.turn_id, last)?,
            None => {}
        }
        self.run(
            "UPDATE turns SET state = ?, record = ?, tail_first_id = ?, tail = ? WHERE id = ? AND state = ?",
            vec![
                Value::Integer(ENDED),
                Value::String(json),
                tail_first_id,
                tail,
                text(record.turn_id),
                Value::Integer(RUNNING),
            ],
        )
    }

    /// Finds the turn a key names.
    pub fn find_key(&self, key: &str) -> Result<Option<KnownKey>> {
        let mut keys = self.keys.borrow_mut();
        if keys.is_none() {
            *keys = Some(self.read_keys()?);
        }
        Ok(keys.as_ref().and_then(|keys| keys.get(key)).copied())
    }

    fn read_keys(&self) -> Result<HashMap<String, KnownKey>> {
        let query = "SELECT idempotency_key, id, fingerprint FROM turns WHERE idempotency_key IS NOT NULL";
        let known = |row: Vec<Value>| {
            let mut row = row.into_iter();
            let key = string(row.next())?;
            let turn_id = id_of(row.next())?;
            Ok::<_, worker::Error>((key, KnownKey { turn_id, fingerprint: fingerprint_of(row.next())? }))
        };
        // An unreadable one does not prevent the others from being found.
        Ok(self.rows(query, vec![])?.into_iter().map(known).filter_map(Result::ok).collect())
    }

    /// Loads all of a turn.
    pub fn load(&self, turn: Id) -> Result<Option<StoredTurnRow>> {
        self.write_deliveries()?;
        let query = "SELECT record, delivered_ms, tail_first_id, tail, token, idempotency_key, fingerprint \
                     FROM turns WHERE id = ? AND state <> ?";
        let Some(row) = self.rows(query, vec![text(turn), Value::Integer(ERASED)])?.pop() else {
            return Ok(None);
        };
        let mut row = row.into_iter();
        let mut record: TurnRecord = from_json(row.next())?;
        record.persisted = optional(row.next()).is_some();
        let tail = match (optional(row.next()), row.next()) {
            (None, _) => None,
            (first_id, frames) => Some((unsigned(first_id)?, string(frames)?)),
        };
        let token = string(row.next())?;
        let key = optional(row.next()).map(|key| string(Some(key))).transpose()?;
        let fingerprint = fingerprint_of(row.next())?;
        let query = "SELECT first_id, frames FROM checkpoints WHERE turn_id = ? ORDER BY first_id";
        let mut segments = Vec::new();
        for row in self.rows(query, vec![text(turn)])? {
            let mut row = row.into_iter();
            segments.push((unsigned(row.next())?, string(row.next())?));
        }
        segments.extend(tail);
        Ok(Some(StoredTurnRow { record, segments, token, key, fingerprint }))
    }

    /// Returns the turns storage holds as running.
    pub fn running(&self) -> Result<Vec<Id>> {
        let rows = self.rows("SELECT id FROM turns WHERE state = ?", vec![Value::Integer(RUNNING)])?;
        rows.into_iter().map(|row| id_of(row.into_iter().next())).collect()
    }

    /// Returns the start of the oldest turn that [`Self::purge`] may delete.
    pub fn oldest_done(&self) -> Result<Option<Timestamp>> {
        let query = "SELECT MIN(created_ms) FROM turns WHERE state >= ?";
        Ok(self.number(query, vec![Value::Integer(DONE)])?.map(Timestamp::from_millis))
    }

    /// Erases the turns of a deleted conversation that are delivered, or never will be. Their rows stay, as they carry the day's
    /// count.
    pub fn erase_turns(&self, conversation: Id) -> Result<()> {
        self.write_deliveries()?;
        let bindings = || vec![text(conversation), Value::Integer(DONE), Value::Integer(DROPPED)];
        let erased = "SELECT id FROM turns WHERE conversation_id = ? AND state IN (?, ?)";
        self.run(&format!("DELETE FROM checkpoints WHERE turn_id IN ({erased})"), bindings())?;
        self.run(
            "UPDATE turns SET state = ?4, record = '', tail_first_id = NULL, tail = NULL, idempotency_key = NULL, token = '' \
             WHERE conversation_id = ?1 AND state IN (?2, ?3)",
            [bindings(), vec![Value::Integer(ERASED)]].concat(),
        )?;
        self.keys.take();
        Ok(())
    }

    /// Deletes finished turns and contexts older than `before`.
    pub fn purge(&self, before: Timestamp) -> Result<()> {
        let bindings = || vec![Value::Integer(before.as_millis()), Value::Integer(DONE)];
        let old = "SELECT id FROM turns WHERE created_ms < ? AND state >= ?";
        self.run(&format!("DELETE FROM checkpoints WHERE turn_id IN ({old})"), bindings())?;
        self.run("DELETE FROM turns WHERE created_ms < ? AND state >= ?", bindings())?;
        self.keys.take();
        self.run("DELETE FROM queue WHERE arrived_ms < ?", vec![Value::Integer(before.as_millis())])?;
        self.run("DELETE FROM contexts WHERE fetched_ms < ?", vec![Value::Integer(before.as_millis())])
    }

    fn run(&self, query: &str, bindings: Vec<Value>) -> Result<()> {
        self.sql.exec(query, bindings).map(|_| ())
    }

    fn rows(&self, query: &str, bindings: Vec<Value>) -> Result<Vec<Vec<Value>>> {
        self.sql.exec(query, bindings)?.raw().collect()
    }

    fn number(&self, query: &str, bindings: Vec<Value>) -> Result<Option<i64>> {
        let value = self.rows(query, bindings)?.pop().and_then(|row| optional(row.into_iter().next()));
        value.map(|value| integer(Some(value))).transpose()
    }
}
