//! Decoding of documents, field by field, with errors that name collection, field and document; and encoding of values: ids
//! as UUIDs, times as dates, counts as 64-bit integers.

use mongodb::bson::{Binary, Bson, DateTime, Document, spec::BinarySubtype};
use shared::{id::Id, time::Timestamp};

use super::fault::{Attempt, Fault};
use crate::store::{error::StoreError, values::signed};

/// The fields of a document of a collection.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    collection: &'static str,
    document: &'a Document,
    /// The id of the document, when this is a part of it.
    key: Option<&'a Bson>,
}

impl<'a> Fields<'a> {
    /// Wraps a document of this collection.
    pub(super) fn of(collection: &'static str, document: &'a Document) -> Self {
        Self { collection, document, key: document.get("_id") }
    }

    /// Reads a text.
    pub(super) fn text(&self, field: &'static str) -> Attempt<&'a str> {
        self.optional_text(field)?.ok_or_else(|| self.corrupt(field))
    }

    /// Reads a text, `None` when absent.
    pub(super) fn optional_text(&self, field: &'static str) -> Attempt<Option<&'a str>> {
        self.optional(field, Bson::as_str)
    }

    /// Reads an owned text, `None` when absent.
    pub(super) fn optional_string(&self, field: &'static str) -> Attempt<Option<String>> {
        Ok(self.optional_text(field)?.map(ToOwned::to_owned))
    }

    /// Reads a boolean.
    pub(super) fn flag(&self, field: &'static str) -> Attempt<bool> {
        self.optional_flag(field)?.ok_or_else(|| self.corrupt(field))
    }

    /// Reads a boolean, `None` when absent.
    pub(super) fn optional_flag(&self, field: &'static str) -> Attempt<Option<bool>> {
        self.optional(field, Bson::as_bool)
    }

    /// Reads an id.
    pub(super) fn id(&self, field: &'static str) -> Attempt<Id> {
        self.optional_id(field)?.ok_or_else(|| self.corrupt(field))
    }

    /// Reads an id, `None` when absent.
    pub(super) fn optional_id(&self, field: &'static str) -> Attempt<Option<Id>> {
        self.optional(field, as_id)
    }

    /// Reads a list of ids.
    pub(super) fn ids(&self, field: &'static str) -> Attempt<Vec<Id>> {
        let list = self.optional(field, Bson::as_array)?.ok_or_else(|| self.corrupt(field))?;
        list.iter().map(|id| as_id(id).ok_or_else(|| self.corrupt(field))).collect()
    }

    /// Reads a time.
    pub(super) fn time(&self, field: &'static str) -> Attempt<Timestamp> {
        self.optional_time(field)?.ok_or_else(|| self.corrupt(field))
    }

    /// Reads a time, `None` when absent.
    pub(super) fn optional_time(&self, field: &'static str) -> Attempt<Option<Timestamp>> {
        self.optional(field, |value| match value {
            Bson::DateTime(at) => Some(Timestamp::from_millis(at.timestamp_millis())),
            _ => None,
        })
    }

    /// Reads a count.
    pub(super) fn count(&self, field: &'static str) -> Attempt<u64> {
        self.optional_count(field)?.ok_or_else(|| self.corrupt(field))
    }

    /// Reads a count, `None` when absent.
    pub(super) fn optional_count(&self, field: &'static str) -> Attempt<Option<u64>> {
        self.optional(field, |value| match value {
            Bson::Int64(number) => u64::try_from(*number).ok(),
            Bson::Int32(number) => u64::try_from(*number).ok(),
            _ => None,
        })
    }

    /// Reads a text that `parse` accepts.
    pub(super) fn word<T>(&self, field: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Attempt<T> {
        self.optional_word(field, parse)?.ok_or_else(|| self.corrupt(field))
    }

    /// Reads a text that `parse` accepts, `None` when absent.
    pub(super) fn optional_word<T>(
        &self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Attempt<Option<T>> {
        let Some(text) = self.optional_text(field)? else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| self.corrupt(field))
    }

    /// Reads the fields of an embedded document, `None` when absent.
    pub(super) fn optional_part(&self, field: &'static str) -> Attempt<Option<Self>> {
        let part = self.optional(field, Bson::as_document)?;
        Ok(part.map(|document| Self { document, ..*self }))
    }

    /// Reads the fields of each document of an embedded list, `None` when absent.
    pub(super) fn optional_parts(&self, field: &'static str) -> Attempt<Option<Vec<Self>>> {
        let Some(list) = self.optional(field, Bson::as_array)? else { return Ok(None) };
        let parts = list.iter().map(|part| {
            let document = part.as_document().ok_or_else(|| self.corrupt(field))?;
            Ok(Self { document, ..*self })
        });
        parts.collect::<Attempt<Vec<_>>>().map(Some)
    }

    /// Returns the error of a field that cannot have been written by this adapter.
    pub(super) fn corrupt(&self, field: &'static str) -> Fault {
        let key = self.key.and_then(as_id).map_or_else(|| "a document".to_owned(), |id| id.to_string());
        StoreError::Corrupt { table: self.collection, column: field, row: key }.into()
    }

    fn optional<T>(
        &self,
        field: &'static str,
        read: impl FnOnce(&'a Bson) -> Option<T>,
    ) -> Attempt<Option<T>> {
        match self.document.get(field) {
            None | Some(Bson::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| self.corrupt(field)),
        }
    }
}

fn as_id(value: &Bson) -> Option<Id> {
    match value {
        Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes }) => {
            bytes.as_slice().try_into().ok().map(Id::from_bytes)
        }
        _ => None,
    }
}

/// Encodes an id.
pub(super) fn uuid(id: Id) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: id.as_bytes().to_vec() })
}

/// Encodes a time.
pub(super) fn date(at: Timestamp) -> Bson {
    Bson::DateTime(DateTime::from_millis(at.as_millis()))
}

/// Encodes a count.
pub(super) fn count(count: u64) -> Bson {
    Bson::Int64(signed(count))
}

/// Sets a field when there is a value, and leaves it out otherwise.
pub(super) fn set(document: &mut Document, field: &str, value: Option<impl Into<Bson>>) {
    if let Some(value) = value {
        document.insert(field, value);
    }
}
