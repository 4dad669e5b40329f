//! HTTP to model providers. What goes over it is decided in `shared::provider`.

pub mod gemini;
