//! The test harness of EdgeChat: it starts the parts and sends requests to them.
//!
//! - [`test_env`]: origin, Worker and provider of one test, which end with it
//! - [`client`]: a phone: registers, sends messages, reads streams
//! - [`clock`]: the current time
//! - [`collector`]: a collector of traces
//! - [`delivery`]: finished turns as the Worker delivers them
//! - [`program`]: external programs, run with a time limit
//! - [`provider`]: a scripted model provider that speaks Gemini's REST API; also the binary `scripted-gemini`, which
//!   answers in development where no API key is set
//! - [`scrape`]: the metrics of an origin
//! - [`servers`]: PostgreSQL, MongoDB (or a substitute) and Redis for the tests, shared or private; also the binary
//!   `edgechat-servers`
//! - [`mock_origin`]: a mock server in place of the origin
//! - [`tokens`]: access tokens signed by the harness
//! - [`wait`]: waiting for a condition
//! - [`bench`]: the measurement behind `cargo xtask bench`
//! - [`soak`]: many phones on bad networks and servers that are killed, behind `cargo xtask soak`
//!
//! The tests are in `tests/tests`. They need the built parts, which `cargo xtask test` builds.

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
pub mod mock_origin;
pub mod program;
pub mod provider;
pub mod scrape;
pub mod servers;
pub mod soak;
pub mod test_env;
pub mod tokens;
pub mod wait;
