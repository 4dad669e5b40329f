//! Values of columns.

use shared::id::Id;
use worker::{Error, Result, SqlStorageValue as Value};

pub(super) fn text(id: Id) -> Value {
    Value::String(id.to_string())
}

/// Sequence numbers and event ids stay far below the platform's exact integers.
pub(super) fn number(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<Value> {
    Ok(Value::String(serde_json::to_string(value)?))
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(value: Option<Value>) -> Result<T> {
    Ok(serde_json::from_str(&string(value)?)?)
}

/// Returns a value that is there and is not NULL.
pub(super) fn optional(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !matches!(value, Value::Null))
}

pub(super) fn string(value: Option<Value>) -> Result<String> {
    match value {
        Some(Value::String(text)) => Ok(text),
        other => Err(corrupt("text", other.as_ref())),
    }
}

pub(super) fn integer(value: Option<Value>) -> Result<i64> {
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

pub(super) fn unsigned(value: Option<Value>) -> Result<u64> {
    u64::try_from(integer(value)?).map_err(|_| corrupt("a number from 0", None))
}

pub(super) fn id_of(value: Option<Value>) -> Result<Id> {
    Id::parse(&string(value)?).ok_or_else(|| corrupt("an id", None))
}

pub(super) fn fingerprint_of(value: Option<Value>) -> Result<u64> {
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
