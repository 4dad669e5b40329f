//! EdgeChat's pure core: the types shared by the Worker and the origin, and every decision they make.
//!
//! Nothing here does I/O, reads a clock or draws randomness: functions take values and a `now` and return values.
//! It builds natively and for wasm32. What belongs to one side only (HTTP, storage, rendering into that side's response
//! type) lives in `edge` or `origin`.

pub mod address;
pub mod api;
pub mod auth;
pub mod backoff;
pub mod breaker;
pub mod chat;
pub mod http;
pub mod id;
pub mod limits;
pub mod provider;
pub mod sse;
pub mod telemetry;
pub mod text;
pub mod time;
