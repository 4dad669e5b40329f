//! From a row to values: column by column, in the order of the statement, with errors that name table, column and row.

use rusqlite::{Row, types::FromSql};
use shared::{id::Id, time::Timestamp};

use crate::store::error::{StoreError, StoreResult};

/// Reads the columns of a row one after the other. The first one is the row's key.
pub(super) struct Columns<'a> {
    table: &'static str,
    row: &'a Row<'a>,
    next: usize,
}

/// The bytes of an id, or NULL.
pub(super) fn bytes(id: Option<&Id>) -> Option<&[u8; 16]> {
    id.map(Id::as_bytes)
}

impl<'a> Columns<'a> {
    /// The columns of a row of this table.
    pub(super) fn of(table: &'static str, row: &'a Row<'a>) -> Self {
        Self { table, row, next: 0 }
    }

    /// The next column as SQLite holds it.
    pub(super) fn get<T: FromSql>(&mut self, column: &'static str) -> StoreResult<T> {
        let value = self.row.get(self.next).map_err(|_| self.corrupt(column));
        self.next += 1;
        value
    }

    /// The next column, an id.
    pub(super) fn id(&mut self, column: &'static str) -> StoreResult<Id> {
        self.get(column).map(Id::from_bytes)
    }

    /// The next column, an id or NULL.
    pub(super) fn optional_id(&mut self, column: &'static str) -> StoreResult<Option<Id>> {
        Ok(self.get::<Option<[u8; 16]>>(column)?.map(Id::from_bytes))
    }

    /// The next column, a time.
    pub(super) fn time(&mut self, column: &'static str) -> StoreResult<Timestamp> {
        self.get(column).map(Timestamp::from_millis)
    }

    /// The next column, a time or NULL.
    pub(super) fn optional_time(&mut self, column: &'static str) -> StoreResult<Option<Timestamp>> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_millis))
    }

    /// The next column, a count.
    pub(super) fn count(&mut self, column: &'static str) -> StoreResult<u64> {
        let value: i64 = self.get(column)?;
        u64::try_from(value).map_err(|_| self.corrupt(column))
    }

    /// The next column, a count or NULL.
    pub(super) fn optional_count(&mut self, column: &'static str) -> StoreResult<Option<u64>> {
        let value: Option<i64> = self.get(column)?;
        value.map(u64::try_from).transpose().map_err(|_| self.corrupt(column))
    }

    /// The next column, a word that `parse` knows.
    pub(super) fn word<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> StoreResult<T> {
        let text: String = self.get(column)?;
        parse(&text).ok_or_else(|| self.corrupt(column))
    }

    /// The next column, a word that `parse` knows, or NULL.
    pub(super) fn optional_word<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> StoreResult<Option<T>> {
        let Some(text) = self.get::<Option<String>>(column)? else { return Ok(None) };
        parse(&text).map(Some).ok_or_else(|| self.corrupt(column))
    }

    /// The error of a column that cannot be what was written.
    pub(super) fn corrupt(&self, column: &'static str) -> StoreError {
        let key = self.row.get::<_, [u8; 16]>(0).map(|id| Id::from_bytes(id).to_string());
        StoreError::Corrupt { table: self.table, column, row: key.unwrap_or_else(|_| "a row".to_owned()) }
    }
}
