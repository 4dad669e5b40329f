//! Metrics of this process for Prometheus, on a port of their own, and traces for a collector.
//!
//! A process has one set of figures, as it has one log. Labels are words of the program: routes, methods of ports, kinds of
//! errors. So there are as many series as the program has such words, whatever clients send.
//!
//! - [`metrics`]: the figures, and how they are written
//! - [`store_calls`]: calls of stores
//! - [`gauges`]: what is read when somebody looks: connections, queues, entries
//! - [`deliveries`]: turns that the Worker delivers, and its outbox
//! - [`process`]: memory, descriptors and processor time
//! - [`private`]: the private port
//! - [`traces`], [`exporter`]: spans, and their way to a collector

pub mod deliveries;
pub mod exporter;
pub mod gauges;
pub mod messages;
pub mod metrics;
pub mod private;
pub mod process;
pub mod store_calls;
pub mod traces;

pub use store_calls::{Backend, observed, operation_of};
