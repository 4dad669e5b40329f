//! The only place of the tests that reads the clock: tokens are checked against the clock of the processes under test.

use std::time::SystemTime;

use shared::time::Timestamp;

/// Returns the current time.
///
/// # Panics
/// Panics when the machine's clock is before 1970.
#[expect(clippy::disallowed_methods, reason = "the processes under test have no other clock")]
pub fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
    Timestamp::from_millis(i64::try_from(since_1970.as_millis()).expect("a time before the year 9999"))
}
