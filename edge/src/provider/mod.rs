//! HTTP to model providers. What goes over it is decided in `shared::provider`.
//!
//! - [`completion`]: one answer, from its call to its outcome
//! - [`gemini`]: calls of Google Gemini

mod completion;
mod gemini;

pub use completion::{CompletionStream, Next};
