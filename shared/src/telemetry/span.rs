//! A piece of work that ended, as a trace shows it.

use std::borrow::Cow;

use super::context::{SpanId, TraceContext};
use crate::time::Timestamp;

/// Bytes of a text in a span at most; what is longer is cut.
pub const MAX_TEXT_BYTES: usize = 256;
const NANOS_A_MILLI: u64 = 1_000_000;

/// A span that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedSpan {
    /// Its trace and its own id.
    pub context: TraceContext,
    /// The span that it is a part of; none at the beginning of a trace.
    pub parent: Option<SpanId>,
    /// Its name: one of few, without ids.
    pub name: Cow<'static, str>,
    /// Its side of a call.
    pub kind: SpanKind,
    /// Its begin, in nanoseconds since 1970.
    pub started_ns: u64,
    /// Its end, likewise.
    pub ended_ns: u64,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// Its events, in order.
    pub events: Vec<SpanEvent>,
    /// The reason why it failed; none when it did not.
    pub error: Option<Cow<'static, str>>,
}

/// The side of a call that a span is; the numbers are OTLP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Work within a part.
    Internal = 1,
    /// A request that is served.
    Server = 2,
    /// A call of another part.
    Client = 3,
}

/// Something known of a span, by OpenTelemetry's names where it has one.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The name.
    pub key: Cow<'static, str>,
    /// The value.
    pub value: Value,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Words, [`MAX_TEXT_BYTES`] of them at most.
    Text(Cow<'static, str>),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

/// Something that happened within a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// The name.
    pub name: Cow<'static, str>,
    /// The time, in nanoseconds since 1970.
    pub at_ns: u64,
}

impl Attribute {
    /// Makes an attribute.
    pub fn new(key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(clipped(Cow::Borrowed(text)))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(clipped(Cow::Owned(text)))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// Returns a time in nanoseconds since 1970; times before count as 1970.
pub fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or_default().saturating_mul(NANOS_A_MILLI)
}

/// Cuts a text to [`MAX_TEXT_BYTES`], between two characters.
pub fn clipped(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.len() <= MAX_TEXT_BYTES {
        return text;
    }
    let end = text.floor_char_boundary(MAX_TEXT_BYTES);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = format!("{}ü and more", "a".repeat(MAX_TEXT_BYTES - 1));
        assert_eq!(Value::from(text), Value::Text("a".repeat(MAX_TEXT_BYTES - 1).into()));
        assert_eq!(Value::from("short"), Value::Text("short".into()));
    }

    #[test]
    fn time_before_1970_is_none() {
        assert_eq!(nanos(Timestamp::from_millis(-1)), 0);
        assert_eq!(nanos(Timestamp::from_millis(2)), 2_000_000);
    }
}
