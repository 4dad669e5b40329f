//! HTTP to model providers. `shared::provider` encodes and decodes.
//!
//! - [`completion`]: one answer, from its call to its outcome
//! - [`gemini`]: calls of Google Gemini

mod completion;
mod gemini;

pub use completion::{CompletionStream, Next};
