//! The scripts that run within Redis, one for each operation of the port, and decoding of their results.
//!
//! A script never decides: it returns the state as it was and stores the one that follows by the rule of
//! `shared::limits`, from which the caller makes the decision.

use std::sync::LazyLock;

use redis::Script;
use shared::{
    limits::{failures::FailureState, gcra::Tat, window::WindowState},
    time::Timestamp,
};

macro_rules! scripts {
    ($($name:ident = $file:literal;)+) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!($file)));)+

        /// All scripts, to be loaded before the first call.
        pub(super) fn all() -> impl Iterator<Item = &'static Script> + Send {
            [$(&$name),+].into_iter().map(|script: &'static LazyLock<Script>| &**script)
        }
    };
}

scripts! {
    COUNT = "scripts/count.lua";
    UNDO_COUNT = "scripts/undo_count.lua";
    COUNT_FAILURE = "scripts/count_failure.lua";
    UNDO_FAILURE = "scripts/undo_failure.lua";
    ADMIT = "scripts/admit.lua";
    INSERT_NONCE = "scripts/insert_nonce.lua";
    GET_OR_INSERT = "scripts/get_or_insert.lua";
    PUT_CODE = "scripts/put_code.lua";
    TRY_CODE = "scripts/try_code.lua";
    PUT_CHALLENGE = "scripts/put_challenge.lua";
    TAKE_CHALLENGE = "scripts/take_challenge.lua";
    CACHED = "scripts/cached.lua";
    FILL = "scripts/fill.lua";
}

/// The result of `try_code.lua` for a right guess; a number that is not negative is the tries left.
pub(super) const RIGHT: i64 = -1;

/// The window that `count.lua` stores.
pub(super) fn window(text: &str) -> Option<WindowState> {
    let (started, count) = text.split_once(':')?;
    let started_at = Timestamp::from_millis(started.parse().ok()?);
    Some(WindowState { started_at, count: count.parse().ok()? })
}

/// The failures that `count_failure.lua` stores.
pub(super) fn failures(text: &str) -> Option<FailureState> {
    let (forgiven, next) = text.split_once(':')?;
    let forgiven_at = Timestamp::from_millis(forgiven.parse().ok()?);
    Some(FailureState { forgiven_at, next_at: Timestamp::from_millis(next.parse().ok()?) })
}

/// The time that `admit.lua` stores.
pub(super) fn tat(text: &str) -> Option<Tat> {
    text.parse().ok().map(Tat::from_micros)
}

/// Decodes what `get_or_insert.lua` and `put_challenge.lua` store: the expiry and the value.
pub(super) fn value(mut stored: Vec<u8>) -> Option<(Timestamp, Vec<u8>)> {
    let mark = stored.iter().position(|byte| *byte == b':')?;
    let value = stored.split_off(mark + 1);
    stored.truncate(mark);
    let until = std::str::from_utf8(&stored).ok()?.parse().ok()?;
    Some((Timestamp::from_millis(until), value))
}

/// Encodes an entry of a cache group: its expiry in eight bytes, and the value.
pub(super) fn entry(value: &[u8], until: Timestamp) -> Vec<u8> {
    [&until.as_millis().to_be_bytes(), value].concat()
}

/// Reads an entry of a cache group, unless it has expired.
pub(super) fn live_entry(mut stored: Vec<u8>, now: Timestamp) -> Option<Vec<u8>> {
    let until = i64::from_be_bytes(*stored.first_chunk()?);
    (until > now.as_millis()).then(|| {
        stored.drain(..size_of::<i64>());
        stored
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);

    #[test]
    fn stored_values_of_scripts_are_read() {
        let state = WindowState { started_at: START, count: 3 };
        assert_eq!(window("1795253400007:3"), Some(state));
        let state = FailureState { forgiven_at: START, next_at: START.plus_millis(-7) };
        assert_eq!(failures("1795253400007:1795253400000"), Some(state));
        assert_eq!(tat("1795253400007000"), Some(Tat::from_micros(1_795_253_400_007_000)));
        assert_eq!(value(b"1795253400007:a:b".to_vec()), Some((START, b"a:b".to_vec())));
        for text in ["", ":", "1", "x:1", "1:x", "1:-1"] {
            assert_eq!(window(text), None, "{text}");
            assert_eq!(failures(text).filter(|_| text != "1:-1"), None, "{text}");
        }
        assert_eq!(value(b"value".to_vec()), None);
    }

    #[test]
    fn entry_is_valid_until_expiry() {
        let stored = entry(b"page", START);
        assert_eq!(live_entry(stored.clone(), START.plus_millis(-1)), Some(b"page".to_vec()));
        assert_eq!(live_entry(stored, START), None);
        assert_eq!(live_entry(vec![0; 7], START), None);
    }
}
