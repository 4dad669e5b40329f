//! EdgeChat seen from outside: what starts its parts and what speaks to them.
//!
//! - [`world`]: origin, Worker and provider of one test, which end with it
//! - [`client`]: a phone: registers, sends messages, reads streams
//! - [`clock`]: the time
//! - [`collector`]: a collector of traces
//! - [`delivery`]: finished turns as the Worker delivers them
//! - [`program`]: programs of others, run within a time
//! - [`provider`]: a scripted model provider that speaks Gemini's REST API; also the binary `scripted-gemini`, which
//!   answers in development where no API key is set
//! - [`scrape`]: the figures of an origin
//! - [`servers`]: PostgreSQL, MongoDB (or a stand-in) and Redis for the tests, to share and to kill; also the binary
//!   `edgechat-servers`
//! - [`stand_in`]: a server of the test's own in the place of the origin
//! - [`tokens`]: access tokens that no origin has issued
//! - [`wait`]: waiting for a condition
//! - [`bench`]: the measurement behind `cargo xtask bench`
//! - [`soak`]: many phones, bad networks and dying servers, behind `cargo xtask soak`
//!
//! The tests themselves lie in `tests/tests`. They need the built parts, and `cargo xtask test` builds them.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a harness fails the test it serves by panicking"
)]
#![expect(clippy::indexing_slicing, reason = "a JSON value that lacks a field indexes to null")]

pub mod bench;
pub mod client;
pub mod clock;
pub mod collector;
pub mod delivery;
pub mod program;
pub mod provider;
pub mod scrape;
pub mod servers;
pub mod soak;
pub mod stand_in;
pub mod tokens;
pub mod wait;
pub mod world;
