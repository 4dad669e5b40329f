//! From a row to values: column by column, in the order of the statement, with errors that name table, column and row.

use shared::{id::Id, time::Timestamp};
use tokio_postgres::{Row, types::FromSql};
use uuid::Uuid;

use crate::store::error::{StoreError, StoreResult};

/// Reads the columns of a row one after the other. The first one is the row's key.
pub(super) struct Columns<'a> {
    table: &'static str,
    row: &'a Row,
    key: usize,
    next: usize,
}

impl<'a> Columns<'a> {
    /// The columns of a row of this table.
    pub(super) fn of(table: &'static str, row: &'a Row) -> Self {
        Self { table, row, key: 0, next: 0 }
    }

    /// The columns that follow those read so far, of a row of another table, which a join brought here.
    pub(super) fn joined(&self, table: &'static str) -> Self {
        Self { table, row: self.row, key: self.next, next: self.next }
    }

    /// The next column as PostgreSQL holds it.
    pub(super) fn get<T: FromSql<'a>>(&mut self, column: &'static str) -> StoreResult<T> {
        let value = self.row.try_get(self.next).map_err(|_| self.corrupt(column));
        self.next += 1;
        value
    }

    /// The next column, an id.
    pub(super) fn id(&mut self, column: &'static str) -> StoreResult<Id> {
        self.get(column).map(|id: Uuid| Id::from_bytes(id.into_bytes()))
    }

    /// The next column, an id or NULL.
    pub(super) fn optional_id(&mut self, column: &'static str) -> StoreResult<Option<Id>> {
        Ok(self.get::<Option<Uuid>>(column)?.map(|id| Id::from_bytes(id.into_bytes())))
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

    /// The next column, a word that `parse` knows.
    pub(super) fn word<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> StoreResult<T> {
        parse(self.get(column)?).ok_or_else(|| self.corrupt(column))
    }

    /// The next column, a word that `parse` knows, or NULL.
    pub(super) fn optional_word<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> StoreResult<Option<T>> {
        let Some(text) = self.get::<Option<&str>>(column)? else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| self.corrupt(column))
    }

    /// The error of a column that cannot be what was written.
    pub(super) fn corrupt(&self, column: &'static str) -> StoreError {
        let row = self.row.try_get(self.key).map_or_else(|_| "a row".to_owned(), |key: Uuid| key.to_string());
        StoreError::Corrupt { table: self.table, column, row }
    }
}

/// An id as PostgreSQL holds it.
pub(super) fn key(id: Id) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}
