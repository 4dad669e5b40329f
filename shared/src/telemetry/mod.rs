//! Traces and figures that Worker and origin agree on: how a trace goes from part to part, which traces are recorded, how spans
//! are written for a collector, and what a delivery says about its outbox.
//!
//! - [`context`]: the header `traceparent`
//! - [`sampler`]: the choice of the traces that are recorded
//! - [`span`]: a piece of work that ended
//! - [`buffer`]: spans that wait to be sent
//! - [`otlp`]: spans as a collector takes them
//! - [`settings`]: the variables, which are OpenTelemetry's own
//! - [`outbox`]: the state of an outbox, told with each delivery

pub mod buffer;
pub mod context;
pub mod otlp;
pub mod outbox;
pub mod sampler;
pub mod settings;
pub mod span;

pub use buffer::SpanBuffer;
pub use context::{SpanId, TRACEPARENT, TraceContext, TraceId};
pub use outbox::OutboxReport;
pub use sampler::Sampler;
pub use span::{Attribute, FinishedSpan, SpanEvent, SpanKind, Value};
