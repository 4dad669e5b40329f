//! The place of a request in a trace, as the header `traceparent` carries it: W3C Trace Context, Recommendation of 23 November
//! 2021, section 3.2. `tracestate` is dropped, which the recommendation allows: no part here writes into it.

use std::{
    borrow::Cow,
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::id::Id;

/// The header that carries a [`TraceContext`].
pub const TRACEPARENT: &str = "traceparent";

/// The bytes of version 00. Later versions begin with the same fields.
const LENGTH: usize = 55;
/// The flag of a caller that may have recorded the trace.
const SAMPLED: u8 = 1;

/// The id of a trace. It is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(NonZeroU128);

/// The id of a span. It is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(NonZeroU64);

/// A trace, the span in it that calls, and whether that is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// True when spans of the trace are recorded.
    pub is_sampled: bool,
}

impl TraceId {
    /// Makes an id of random bytes, or of an id's own.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        match NonZeroU128::new(u128::from_be_bytes(bytes)) {
            Some(id) => Self(id),
            None => Self(NonZeroU128::MIN),
        }
    }

    /// Returns its bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }

    /// Returns the lower half, in which ids are random whoever makes them.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
    pub const fn low_bits(self) -> u64 {
        self.0.get() as u64
    }
}

impl SpanId {
    /// Makes an id of random bytes, or of an id's own.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        match NonZeroU64::new(u64::from_be_bytes(bytes)) {
            Some(id) => Self(id),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Returns its bytes.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl TraceContext {
    /// Reads a header's value; none when it is malformed, and the trace begins anew.
    pub fn parse(header: &str) -> Option<Self> {
        let (known, rest) = header.split_at_checked(LENGTH)?;
        let mut fields = known.split('-');
        let version = hex::<2>(fields.next()?)?;
        let trace_id = hex::<32>(fields.next()?)?;
        let span_id = hex::<16>(fields.next()?)?;
        let flags = hex::<2>(fields.next()?)?;
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        if !is_whole || fields.next().is_some() {
            return None;
        }
        Some(Self {
            trace_id: TraceId(NonZeroU128::new(trace_id)?),
            span_id: SpanId(NonZeroU64::new(u64::try_from(span_id).ok()?)?),
            is_sampled: flags & u128::from(SAMPLED) != 0,
        })
    }

    /// Returns the same trace as another span hands it on.
    #[must_use]
    pub const fn with_span(self, span_id: SpanId) -> Self {
        Self { span_id, ..self }
    }

    /// Returns the same trace as the span of a turn hands it on. Its id is made of the turn's random part, so that the turn's record
    /// needs to keep its caller's context alone, and a process that finds a turn cut off ends the span that another began.
    #[must_use]
    pub const fn within_turn(self, turn: Id) -> Self {
        let [_, _, _, _, _, _, _, _, span @ ..] = *turn.as_bytes();
        self.with_span(SpanId::from_bytes(span))
    }
}

/// Reads lower-case hexadecimal digits, exactly so many.
fn hex<const DIGITS: usize>(text: &str) -> Option<u128> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == DIGITS && is_hex).then(|| u128::from_str_radix(text, 16).ok())?
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.is_sampled { SAMPLED } else { 0 };
        write!(f, "00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("expected a traceparent"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn example_of_the_recommendation_is_read() {
        let context = TraceContext::parse(EXAMPLE).unwrap();
        assert_eq!(context.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id.to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled);
        assert_eq!(context.to_string(), EXAMPLE);
    }

    #[rstest]
    #[case::not_sampled("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", Some(false))]
    #[case::other_flags("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe", Some(false))]
    #[case::all_flags("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", Some(true))]
    #[case::later_version("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some(true))]
    #[case::later_version_with_more(
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes",
        Some(true)
    )]
    #[case::later_version_run_on("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what", None)]
    #[case::version_with_more("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", None)]
    #[case::forbidden_version("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None)]
    #[case::upper_case("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None)]
    #[case::zero_trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None)]
    #[case::zero_span("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None)]
    #[case::sign("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None)]
    #[case::other_lengths("00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01", None)]
    #[case::short("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", None)]
    #[case::two_headers(
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        None
    )]
    #[case::empty("", None)]
    fn header_is_read_as_the_recommendation_says(#[case] header: &str, #[case] is_sampled: Option<bool>) {
        assert_eq!(TraceContext::parse(header).map(|context| context.is_sampled), is_sampled);
    }

    fn contexts() -> impl Strategy<Value = TraceContext> {
        (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<bool>()).prop_map(|(trace, span, is_sampled)| {
            let (trace_id, span_id) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
            TraceContext { trace_id, span_id, is_sampled }
        })
    }

    proptest! {
        #[test]
        fn context_is_read_as_it_was_written(context in contexts()) {
            prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
            let json = serde_json::to_string(&context).unwrap();
            prop_assert_eq!(serde_json::from_str::<TraceContext>(&json).unwrap(), context);
        }

        #[test]
        fn text_is_refused_or_passed_on(text in "\\PC*|[0-9a-f-]{50,60}") {
            if let Some(context) = TraceContext::parse(&text) {
                prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
            }
        }

        #[test]
        fn header_with_one_other_byte_is_another_or_none(context in contexts(), at in 0usize..LENGTH, byte in any::<u8>()) {
            let mut bytes = context.to_string().into_bytes();
            prop_assume!(bytes[at] != byte && byte.is_ascii());
            bytes[at] = byte;
            let text = String::from_utf8(bytes).unwrap();
            let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let is_dash = [2, 35, 52].contains(&at);
            if is_dash || !is_digit {
                prop_assert_eq!(TraceContext::parse(&text), None);
            }
        }
    }

    #[test]
    fn turn_has_one_span_in_its_trace() {
        let caller = TraceContext::parse(EXAMPLE).unwrap();
        let turn = Id::parse("019aa5d2-8c00-7000-8000-3f6d2b1c9e77").unwrap();
        let expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-80003f6d2b1c9e77-01";
        assert_eq!(caller.within_turn(turn).to_string(), expected);
    }

    #[test]
    fn zero_bytes_make_an_id_all_the_same() {
        assert_eq!(TraceId::from_bytes([0; 16]).to_string(), format!("{:032x}", 1));
        assert_eq!(SpanId::from_bytes([0; 8]).to_string(), format!("{:016x}", 1));
    }
}
