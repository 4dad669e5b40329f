//! A model provider that says what it is told to say, in Gemini's words and on Gemini's wire.
//!
//! - [`server`]: accepts calls and hands each out as a [`Call`]
//! - [`call`]: one call; the hand that answers it piece by piece
//! - [`script`]: whole answers and failures, as data and by name
//! - [`echo`]: answers by itself, for development
//! - [`ScriptedGemini`]: the provider of a test, which answers what the test queued
//!
//! What EdgeChat understands of Gemini is in `shared`; this side writes the same format with `shared`'s encoder where the
//! answer is sound, and by hand where it is not.

pub mod call;
pub mod echo;
pub mod script;
pub mod server;
mod test_provider;

pub use call::{Call, Gone, Received};
pub use script::{Script, Step};
pub use test_provider::{ScriptedGemini, Upcoming};
