//! EdgeChat seen from outside: what starts its parts and what speaks to them.
//!
//! - [`provider`]: a scripted model provider that speaks Gemini's REST API; also the binary `scripted-gemini`, which
//!   answers in development where no API key is set
//! - [`wait`]: waiting for a condition
//!
//! The tests themselves lie in `tests/tests`. They need the built parts, and `cargo xtask test` builds them.

#![expect(clippy::expect_used, clippy::panic, reason = "a harness fails the test it serves by panicking")]

pub mod provider;
pub mod wait;
