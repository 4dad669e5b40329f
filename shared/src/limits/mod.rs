//! Limits as arithmetic over a state and a `now`. Nothing is stored here; the caller keeps the state.
//!
//! - [`gcra`]: a steady rate with a burst, for a user
//! - [`failures`]: failed attempts and the delay that they cost
//! - [`window`]: exactly N in a window that starts with the first request
//! - [`ip`]: windows by client address, in a bounded table
//! - [`shares`]: a limiter with fixed figures behind a limit that is configured
//! - [`daily`]: messages a day
//! - [`memory`]: bytes that the user objects of one isolate hold
//! - [`platform`]: the platform's own refusals

pub mod daily;
pub mod failures;
pub mod gcra;
pub mod ip;
pub mod memory;
pub mod platform;
pub mod shares;
pub mod window;

/// Whole seconds that cover so many milliseconds, at least one: what `Retry-After` says.
fn seconds_at_least_one(millis: u64) -> u64 {
    millis.div_ceil(1_000).max(1)
}
