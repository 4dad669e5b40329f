//! Requests of clients, one file a resource, and events of the origin: decode, call the runner, reply.

pub mod events;
pub mod messages;
pub mod turns;
