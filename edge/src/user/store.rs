//! The user object's SQLite: turns with their outbox, checkpoints, conversation contexts, the messages of a day.
//!
//! Statements that follow each other without an await are one transaction on this platform, and a response is held back
//! until what was written before it is durable.

use shared::{
    api::{chat::TurnStatus, internal::ConversationContext},
    chat::{admission::KnownKey, context, log::Segment, record::TurnRecord},
    id::Id,
    limits::{daily::DailyCount, gcra::Tat},
    time::Timestamp,
};
use worker::{Error, Result, SqlStorage, SqlStorageValue as Value, State};

/// Deliveries one round of the outbox takes up.
const DELIVERIES_A_ROUND: i64 = 16;

/// `tail_first_id` and `tail` are of an earlier version, which put a turn's last events into its row.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS turns (
        id TEXT PRIMARY KEY,
        conversation_id TEXT NOT NULL,
        last_seq INTEGER NOT NULL,
        idempotency_key TEXT,
        fingerprint TEXT NOT NULL,
        token TEXT NOT NULL,
        running INTEGER NOT NULL,
        record TEXT NOT NULL,
        tail_first_id INTEGER,
        tail TEXT,
        persisted INTEGER NOT NULL DEFAULT 0,
        deliver_at_ms INTEGER,
        attempts INTEGER NOT NULL DEFAULT 0,
        created_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX IF NOT EXISTS turns_by_key ON turns (idempotency_key) WHERE idempotency_key IS NOT NULL;
    CREATE INDEX IF NOT EXISTS turns_to_deliver ON turns (deliver_at_ms) WHERE deliver_at_ms IS NOT NULL;
    CREATE INDEX IF NOT EXISTS turns_running ON turns (id) WHERE running = 1;
    CREATE INDEX IF NOT EXISTS turns_by_conversation ON turns (conversation_id, last_seq);
    CREATE TABLE IF NOT EXISTS checkpoints (
        turn_id TEXT NOT NULL,
        first_id INTEGER NOT NULL,
        frames TEXT NOT NULL,
        PRIMARY KEY (turn_id, first_id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS contexts (
        conversation_id TEXT PRIMARY KEY,
        fetched_ms INTEGER NOT NULL,
        context TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS counters (
        day_ms INTEGER PRIMARY KEY,
        used INTEGER NOT NULL,
        tat_us INTEGER NOT NULL
    );
    DROP TABLE IF EXISTS days;
    DROP TABLE IF EXISTS ends_sent;
";

/// An earlier version had no days and counted turns: theirs is the count of a day that is not there.
const DAY_OF_TURNS: &str = "
    INSERT OR IGNORE INTO counters (day_ms, used, tat_us)
    SELECT ?1, COUNT(*), 0 FROM turns WHERE created_ms >= ?1 HAVING COUNT(*) > 0
";

/// What storage has of a turn.
pub struct StoredTurnRow {
    /// The turn.
    pub record: TurnRecord,
    /// Its events in pieces: the id of the first, and the frames.
    pub segments: Vec<(u64, String)>,
    /// The access token that started it; empty once it is delivered.
    pub token: String,
    /// The key the client gave it.
    pub key: Option<String>,
    /// The fingerprint of the request that made it.
    pub fingerprint: u64,
    /// Failed deliveries so far.
    pub attempts: u32,
}

/// How a turn was asked for.
pub struct Asked<'a> {
    /// The idempotency key.
    pub key: Option<&'a str>,
    /// The fingerprint of the request.
    pub fingerprint: u64,
    /// The access token.
    pub token: &'a str,
    /// The day it counts for.
    pub day: Timestamp,
    /// The state of the user's rate that includes it.
    pub rate: Tat,
}

/// The user object's tables.
pub struct Store {
    sql: SqlStorage,
}

impl Store {
    /// Opens the tables, making them when they are not there.
    pub fn open(state: &State, now: Timestamp) -> Result<Self> {
        let sql = state.storage().sql();
        sql.exec(SCHEMA, None)?;
        sql.exec(DAY_OF_TURNS, vec![Value::Integer(now.start_of_day().as_millis())])?;
        Ok(Self { sql })
    }

    /// A turn begins, and is a message of the day. Its events so far come with the first checkpoint.
    pub fn begin_turn(&self, record: &TurnRecord, asked: &Asked<'_>) -> Result<()> {
        self.run(
            "INSERT INTO turns (id, conversation_id, last_seq, idempotency_key, fingerprint, token, running, record, \
             created_ms) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)",
            vec![
                text(record.turn_id),
                text(record.user_message.conversation_id),
                number(record.assistant_message.seq),
                asked.key.map_or(Value::Null, |key| Value::String(key.to_owned())),
                Value::String(format!("{:016x}", asked.fingerprint)),
                Value::String(asked.token.to_owned()),
                json(record)?,
                Value::Integer(record.created_at.as_millis()),
            ],
        )?;
        self.run(
            "INSERT INTO counters (day_ms, used, tat_us) VALUES (?, 1, ?) \
             ON CONFLICT DO UPDATE SET used = used + 1, tat_us = excluded.tat_us",
            vec![Value::Integer(asked.day.as_millis()), Value::Integer(asked.rate.as_micros())],
        )
    }

    /// Returns the state of the user's rate that the last turn began with.
    pub fn rate(&self) -> Result<Option<Tat>> {
        let rows = self.rows("SELECT tat_us FROM counters ORDER BY day_ms DESC LIMIT 1", vec![])?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        integer(row.into_iter().next()).map(|micros| Some(Tat::from_micros(micros)))
    }

    /// Stores events of a running turn.
    pub fn checkpoint(&self, turn: Id, segment: Segment) -> Result<()> {
        self.run(
            "INSERT INTO checkpoints (turn_id, first_id, frames) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            vec![text(turn), number(segment.first_id), Value::String(segment.frames)],
        )
    }

    /// A turn has ended, and all its events are stored: its record, and when the outbox looks after it. One that failed is
    /// no message of the day.
    pub fn end_turn(&self, record: &TurnRecord, deliver_at: Timestamp) -> Result<()> {
        if record.assistant_message.status == TurnStatus::Failed {
            self.undo_count(record)?;
        }
        self.run(
            "UPDATE turns SET running = 0, record = ?, deliver_at_ms = ? WHERE id = ?",
            vec![json(record)?, Value::Integer(deliver_at.as_millis()), text(record.turn_id)],
        )
    }

    /// Takes a running turn back from the messages of its day.
    fn undo_count(&self, record: &TurnRecord) -> Result<()> {
        self.run(
            "UPDATE counters SET used = used - 1 WHERE day_ms = ? AND used > 0 \
             AND EXISTS (SELECT 1 FROM turns WHERE id = ? AND running = 1)",
            vec![Value::Integer(record.created_at.start_of_day().as_millis()), text(record.turn_id)],
        )
    }

    /// Notes that the origin has the turn since `now`. It runs no more, should its end not have been stored: without its token
    /// nobody could deliver it again.
    pub fn delivered(&self, turn: Id, now: Timestamp) -> Result<()> {
        self.run(
            "UPDATE turns SET running = 0, persisted = ?, deliver_at_ms = NULL, token = '' WHERE id = ?",
            vec![Value::Integer(now.as_millis()), text(turn)],
        )
    }

    /// Puts every delivery that is due now off until `at`: the origin does not answer.
    pub fn postpone_due(&self, now: Timestamp, at: Timestamp) -> Result<()> {
        self.run(
            "UPDATE turns SET deliver_at_ms = ? WHERE deliver_at_ms IS NOT NULL AND deliver_at_ms <= ?",
            vec![Value::Integer(at.as_millis()), Value::Integer(now.as_millis())],
        )
    }

    /// Puts the delivery of a turn that cannot be read off until `at`.
    pub fn back_off(&self, turn: Id, at: Timestamp) -> Result<()> {
        self.run(
            "UPDATE turns SET attempts = attempts + 1, deliver_at_ms = ? WHERE id = ?",
            vec![Value::Integer(at.as_millis()), text(turn)],
        )
    }

    /// Returns the ended turns of a conversation, begun before this one, that the origin does not have, in their order.
    pub fn undelivered_before(&self, conversation: Id, turn: Id) -> Result<Vec<Id>> {
        self.ids(
            "SELECT id FROM turns WHERE conversation_id = ? AND id < ? AND running = 0 AND deliver_at_ms IS NOT NULL \
             ORDER BY last_seq, id LIMIT ?",
            vec![text(conversation), text(turn), Value::Integer(DELIVERIES_A_ROUND)],
        )
    }

    /// A delivery failed; when the next one is due.
    pub fn deliver_later(&self, turn: Id, attempts: u32, at: Timestamp) -> Result<()> {
        self.run(
            "UPDATE turns SET attempts = ?, deliver_at_ms = ? WHERE id = ?",
            vec![Value::Integer(attempts.into()), Value::Integer(at.as_millis()), text(turn)],
        )
    }

    /// The outbox looks after the turn no more.
    pub fn give_up(&self, turn: Id) -> Result<()> {
        self.run("UPDATE turns SET deliver_at_ms = NULL, token = '' WHERE id = ?", vec![text(turn)])
    }

    /// The turn a key names.
    pub fn find_key(&self, key: &str) -> Result<Option<KnownKey>> {
        let query = "SELECT id, fingerprint FROM turns WHERE idempotency_key = ?";
        let Some(row) = self.rows(query, vec![Value::String(key.to_owned())])?.pop() else {
            return Ok(None);
        };
        let mut row = row.into_iter();
        let turn_id = id_of(row.next())?;
        let fingerprint = fingerprint_of(row.next())?;
        Ok(Some(KnownKey { turn_id, fingerprint }))
    }

    /// All of a turn.
    pub fn load(&self, turn: Id) -> Result<Option<StoredTurnRow>> {
        let query = "SELECT record, persisted, tail_first_id, tail, token, idempotency_key, fingerprint, attempts \
                     FROM turns WHERE id = ?";
        let Some(row) = self.rows(query, vec![text(turn)])?.pop() else {
            return Ok(None);
        };
        let mut row = row.into_iter();
        let mut record: TurnRecord = from_json(row.next())?;
        record.persisted = integer(row.next())? != 0;
        let tail = match (row.next(), row.next()) {
            (Some(Value::Null) | None, _) => None,
            (first_id, frames) => Some((unsigned(first_id)?, string(frames)?)),
        };
        let token = string(row.next())?;
        let key = match row.next() {
            Some(Value::String(key)) => Some(key),
            _ => None,
        };
        let fingerprint = fingerprint_of(row.next())?;
        let attempts = u32::try_from(integer(row.next())?).unwrap_or(u32::MAX);
        let query = "SELECT first_id, frames FROM checkpoints WHERE turn_id = ? ORDER BY first_id";
        let mut segments = Vec::new();
        for row in self.rows(query, vec![text(turn)])? {
            let mut row = row.into_iter();
            segments.push((unsigned(row.next())?, string(row.next())?));
        }
        segments.extend(tail);
        Ok(Some(StoredTurnRow { record, segments, token, key, fingerprint, attempts }))
    }

    /// The turns storage holds as running.
    pub fn running(&self) -> Result<Vec<Id>> {
        self.ids("SELECT id FROM turns WHERE running = 1", vec![])
    }

    /// Deliveries that are due, oldest first, a bounded number of them.
    pub fn due(&self, now: Timestamp) -> Result<Vec<Id>> {
        self.ids(
            "SELECT id FROM turns WHERE deliver_at_ms IS NOT NULL AND deliver_at_ms <= ? ORDER BY deliver_at_ms LIMIT ?",
            vec![Value::Integer(now.as_millis()), Value::Integer(DELIVERIES_A_ROUND)],
        )
    }

    /// When the next delivery is due.
    pub fn next_delivery(&self) -> Result<Option<Timestamp>> {
        self.time("SELECT MIN(deliver_at_ms) FROM turns WHERE deliver_at_ms IS NOT NULL", vec![])
    }

    /// When the oldest turn was taken on that [`Self::purge`] may let go.
    pub fn oldest_done(&self) -> Result<Option<Timestamp>> {
        self.time("SELECT MIN(created_ms) FROM turns WHERE running = 0 AND deliver_at_ms IS NULL", vec![])
    }

    /// Returns the ended turns of a conversation that the origin did not have at `asked`, in order; each by itself, so that one
    /// which cannot be read hides no other.
    pub fn turns_missing_at(&self, conversation: Id, asked: Timestamp) -> Result<Vec<Result<TurnRecord>>> {
        let query = "SELECT record FROM turns WHERE conversation_id = ? AND running = 0 \
                     AND (persisted = 0 OR persisted >= ?) ORDER BY last_seq, id";
        let rows = self.rows(query, vec![text(conversation), Value::Integer(asked.as_millis())])?;
        Ok(rows.into_iter().map(|row| from_json(row.into_iter().next())).collect())
    }

    /// How many turns began on the day that counts at `now`, whatever became of them.
    pub fn day(&self, now: Timestamp) -> Result<DailyCount> {
        let query = "SELECT day_ms, used FROM counters WHERE day_ms <= ? ORDER BY day_ms DESC LIMIT 1";
        let last = DailyCount::last_day(now);
        let Some(row) = self.rows(query, vec![Value::Integer(last.as_millis())])?.pop() else {
            return Ok(DailyCount::at(None, now));
        };
        let mut row = row.into_iter();
        let day = Timestamp::from_millis(integer(row.next())?);
        let used = unsigned(row.next())?;
        Ok(DailyCount::at(Some(DailyCount { day, used }), now))
    }

    /// Returns a conversation's context as the origin gave it, and when; none when it is of another version.
    pub fn context(&self, conversation: Id) -> Result<Option<(Timestamp, ConversationContext)>> {
        let query = "SELECT fetched_ms, context FROM contexts WHERE conversation_id = ?";
        let Some(row) = self.rows(query, vec![text(conversation)])?.pop() else {
            return Ok(None);
        };
        let mut row = row.into_iter();
        let fetched = Timestamp::from_millis(integer(row.next())?);
        Ok(context::from_row(&string(row.next())?).map(|context| (fetched, context)))
    }

    /// Stores a conversation's context as the origin gave it. One that is too large for a row is not stored, and the one
    /// before is forgotten.
    pub fn put_context(&self, context: &ConversationContext, fetched: Timestamp) -> Result<()> {
        let Some(row) = context::to_row(context) else {
            return self.forget_context(context.conversation_id);
        };
        self.run(
            "INSERT OR REPLACE INTO contexts (conversation_id, fetched_ms, context) VALUES (?, ?, ?)",
            vec![text(context.conversation_id), Value::Integer(fetched.as_millis()), Value::String(row)],
        )
    }

    /// Forgets a conversation's context.
    pub fn forget_context(&self, conversation: Id) -> Result<()> {
        self.run("DELETE FROM contexts WHERE conversation_id = ?", vec![text(conversation)])
    }

    /// Forgets the delivered turns of a deleted conversation.
    pub fn forget_turns(&self, conversation: Id) -> Result<()> {
        let gone = "SELECT id FROM turns WHERE conversation_id = ? AND running = 0 AND deliver_at_ms IS NULL";
        self.run(&format!("DELETE FROM checkpoints WHERE turn_id IN ({gone})"), vec![text(conversation)])?;
        self.run(
            "DELETE FROM turns WHERE conversation_id = ? AND running = 0 AND deliver_at_ms IS NULL",
            vec![text(conversation)],
        )
    }

    /// Forgets what is older than `before` and needed no more: delivered turns, contexts and days.
    pub fn purge(&self, before: Timestamp) -> Result<()> {
        let old = "SELECT id FROM turns WHERE created_ms < ? AND running = 0 AND deliver_at_ms IS NULL";
        let at = || vec![Value::Integer(before.as_millis())];
        self.run(&format!("DELETE FROM checkpoints WHERE turn_id IN ({old})"), at())?;
        self.run("DELETE FROM turns WHERE created_ms < ? AND running = 0 AND deliver_at_ms IS NULL", at())?;
        self.run("DELETE FROM contexts WHERE fetched_ms < ?", at())?;
        self.run("DELETE FROM counters WHERE day_ms < ?", at())
    }

    fn run(&self, query: &str, bindings: Vec<Value>) -> Result<()> {
        self.sql.exec(query, bindings).map(|_| ())
    }

    fn rows(&self, query: &str, bindings: Vec<Value>) -> Result<Vec<Vec<Value>>> {
        self.sql.exec(query, bindings)?.raw().collect()
    }

    fn ids(&self, query: &str, bindings: Vec<Value>) -> Result<Vec<Id>> {
        self.rows(query, bindings)?.into_iter().map(|row| id_of(row.into_iter().next())).collect()
    }

    fn time(&self, query: &str, bindings: Vec<Value>) -> Result<Option<Timestamp>> {
        match self.rows(query, bindings)?.pop().and_then(|row| row.into_iter().next()) {
            None | Some(Value::Null) => Ok(None),
            value => integer(value).map(|millis| Some(Timestamp::from_millis(millis))),
        }
    }
}

fn text(id: Id) -> Value {
    Value::String(id.to_string())
}

/// Sequence numbers and event ids stay far below the platform's exact integers.
fn number(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn json<T: serde::Serialize>(value: &T) -> Result<Value> {
    Ok(Value::String(serde_json::to_string(value)?))
}

fn from_json<T: serde::de::DeserializeOwned>(value: Option<Value>) -> Result<T> {
    Ok(serde_json::from_str(&string(value)?)?)
}

fn string(value: Option<Value>) -> Result<String> {
    match value {
        Some(Value::String(text)) => Ok(text),
        other => Err(corrupt("text", other.as_ref())),
    }
}

fn integer(value: Option<Value>) -> Result<i64> {
    match value {
        Some(Value::Integer(number)) => Ok(number),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the platform hands integers out as exact floats"
        )]
        Some(Value::Float(number)) => Ok(number as i64),
        other => Err(corrupt("a number", other.as_ref())),
    }
}

fn unsigned(value: Option<Value>) -> Result<u64> {
    u64::try_from(integer(value)?).map_err(|_| corrupt("a number from 0", None))
}

fn id_of(value: Option<Value>) -> Result<Id> {
    Id::parse(&string(value)?).ok_or_else(|| corrupt("an id", None))
}

fn fingerprint_of(value: Option<Value>) -> Result<u64> {
    u64::from_str_radix(&string(value)?, 16).map_err(|_| corrupt("a fingerprint", None))
}

fn corrupt(expected: &str, found: Option<&Value>) -> Error {
    let kind = match found {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Boolean(_)) => "a boolean",
        Some(Value::Integer(_) | Value::Float(_)) => "a number",
        Some(Value::String(_)) => "text",
        Some(Value::Blob(_)) => "bytes",
    };
    Error::RustError(format!("storage: expected {expected}, found {kind}"))
}
