//! What clients and the front ask the user object for, one file a resource: decode, call the runner, reply.

pub mod conversations;
pub mod messages;
pub mod turns;
