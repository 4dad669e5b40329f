//! The words of an answer, whose JSON strings may hold halves of UTF-16 surrogate pairs: a character outside the basic
//! plane that was cut in two between two chunks arrives as `"\ud83d"` and `"\ude00"`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// The character for a half whose other half never comes.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// A string of JSON as WTF-8: UTF-8 in which a half of a surrogate pair may stand alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Wtf8(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Wtf8 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Wtf8;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Wtf8, E> {
                Ok(Wtf8(bytes.to_vec()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Wtf8, E> {
                self.visit_bytes(text.as_bytes())
            }
        }
        // As bytes, because as a string serde_json refuses a lone half.
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// Joins the strings of an answer: the first half of a pair waits for the string that begins with the second.
#[derive(Debug, Clone, Default)]
pub(super) struct Joiner {
    /// The three bytes of a first half, or none.
    waiting: Vec<u8>,
}

impl Joiner {
    /// The text of these strings after what waited. `last` when no other half can follow.
    pub(super) fn join(&mut self, strings: impl IntoIterator<Item = Wtf8>, last: bool) -> String {
        let mut bytes = std::mem::take(&mut self.waiting);
        for Wtf8(more) in strings {
            if bytes.is_empty() {
                bytes = more;
            } else {
                bytes.extend_from_slice(&more);
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => self.mend(error.as_bytes(), last),
        }
    }

    fn mend(&mut self, mut bytes: &[u8], last: bool) -> String {
        let mut text = String::with_capacity(bytes.len());
        while !bytes.is_empty() {
            let (valid, rest) = valid_prefix(bytes);
            text.push_str(valid);
            bytes = match rest {
                [] => rest,
                [0xED, 0xA0..=0xAF, 0x80..=0xBF] if !last => {
                    self.waiting = rest.to_vec();
                    &[]
                }
                [
                    0xED,
                    a @ 0xA0..=0xAF,
                    b @ 0x80..=0xBF,
                    0xED,
                    c @ 0xB0..=0xBF,
                    d @ 0x80..=0xBF,
                    rest @ ..,
                ] => {
                    let first = (u32::from(a & 0x0F) << 6) | u32::from(b & 0x3F);
                    let second = (u32::from(c & 0x0F) << 6) | u32::from(d & 0x3F);
                    text.push(char::from_u32(0x1_0000 + (first << 10) + second).unwrap_or(REPLACEMENT));
                    rest
                }
                [0xED, 0xA0..=0xBF, 0x80..=0xBF, rest @ ..] | [_, rest @ ..] => {
                    text.push(REPLACEMENT);
                    rest
                }
            };
        }
        text
    }
}

/// The text at the beginning, and the bytes from the first on that is none.
fn valid_prefix(bytes: &[u8]) -> (&str, &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text, &[]),
        Err(error) => {
            let (valid, rest) = bytes.split_at_checked(error.valid_up_to()).unwrap_or((&[], bytes));
            (std::str::from_utf8(valid).unwrap_or_default(), rest)
        }
    }
}

/// The same JSON with U+FFFD in place of every escape of a lone half, so that any reader of JSON takes it.
pub(super) fn without_lone_halves(json: &[u8]) -> Vec<u8> {
    const MENDED: &[u8] = b"\\ufffd";
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some((byte, after)) = rest.split_first() {
        let take = match (byte, after.first()) {
            (b'\\', Some(b'u')) => match (escape(rest), rest.get(6..).and_then(escape)) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
                (Some(0xD800..=0xDFFF), _) => {
                    out.extend_from_slice(MENDED);
                    rest = rest.get(6..).unwrap_or_default();
                    continue;
                }
                _ => 2,
            },
            (b'\\', Some(_)) => 2,
            _ => 1,
        };
        let (taken, left) = rest.split_at_checked(take).unwrap_or((rest, &[]));
        out.extend_from_slice(taken);
        rest = left;
    }
    out
}

/// The code unit of an escape such as `\ud83d` at the beginning.
fn escape(json: &[u8]) -> Option<u32> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some((unit << 4) | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Joins strings of JSON.
    fn joined(strings: &[&str]) -> String {
        let mut joiner = Joiner::default();
        let mut text = String::new();
        for (at, string) in strings.iter().enumerate() {
            let string = serde_json::from_str(&format!("\"{string}\"")).unwrap();
            text.push_str(&joiner.join([string], at + 1 == strings.len()));
        }
        text
    }

    #[rstest]
    #[case::whole(&["a\\ud83d\\ude00b"], "a😀b")]
    #[case::split(&["a\\ud83d", "\\ude00b"], "a😀b")]
    #[case::split_with_nothing_between(&["\\ud83d", "", "\\ude00"], "😀")]
    #[case::first_half_alone(&["a\\ud83d", "b"], "a\u{FFFD}b")]
    #[case::first_half_last(&["a\\ud83d"], "a\u{FFFD}")]
    #[case::second_half_alone(&["\\ude00b"], "\u{FFFD}b")]
    #[case::two_first_halves(&["\\ud83d", "\\ud83d\\ude00"], "\u{FFFD}😀")]
    #[case::halves_the_other_way(&["\\ude00\\ud83d", "x"], "\u{FFFD}\u{FFFD}x")]
    fn halves_are_joined_or_replaced(#[case] strings: &[&str], #[case] text: &str) {
        assert_eq!(joined(strings), text);
    }

    proptest! {
        #[test]
        fn text_split_between_any_units_is_joined(text: String, at in any::<prop::sample::Index>()) {
            let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let (head, tail) = units.split_at(at.index(units.len() + 1));
            prop_assert_eq!(joined(&[&head.concat(), &tail.concat()]), text);
        }

        #[test]
        fn json_without_lone_halves_is_read_as_text(units in prop::collection::vec(any::<u16>(), 0..9)) {
            let json = units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
            let json = without_lone_halves(format!("\"\\\\{json}\"").as_bytes());
            let text: String = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(text, format!("\\{}", String::from_utf16_lossy(&units)));
        }

        #[test]
        fn any_bytes_are_mended(bytes: Vec<u8>, last: bool) {
            let text = Joiner::default().join([Wtf8(bytes.clone())], last);
            prop_assert!(std::str::from_utf8(&bytes).is_err() || text.as_bytes() == bytes);
            without_lone_halves(&bytes);
        }
    }
}
