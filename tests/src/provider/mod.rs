//! A scripted model provider with Gemini's REST API.
//!
//! - [`server`]: accepts calls and passes each on as a [`Call`]
//! - [`call`]: one call, answered piece by piece
//! - [`script`]: whole answers and failures, as data and by name
//! - [`echo`]: answers about the prompt, for development
//! - [`ScriptedGemini`]: the provider of a test, which plays the scripts that the test queued
//!
//! The decoder that EdgeChat uses is in `shared`; this side writes the same format with `shared`'s encoder where the answer
//! is valid, and by hand where it is not.

pub mod call;
pub mod echo;
pub mod script;
pub mod server;
mod test_provider;

pub use call::{Call, Gone, Received};
pub use script::{Script, Step};
pub use test_provider::{ExpectedCall, ScriptedGemini};
