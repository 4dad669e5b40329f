//! Requests of clients and of the front, one file a resource: decode, call the runner, reply.

pub mod conversations;
pub mod messages;
pub mod turns;
