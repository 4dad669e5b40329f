//! A turn from its admission to its last event, as decisions over plain values.
//!
//! - [`admission`]: the decision whether a message starts a turn, repeats one or is refused
//! - [`context`]: the messages of a conversation that are sent to the model
//! - [`context_cache`]: freshness and eviction of contexts in memory
//! - [`place`]: the message that a turn is about, and its place in the conversation
//! - [`tree`]: the place of a message in its conversation, and the branch that is shown
//! - [`turn`]: the state machine of a turn
//! - [`record`]: the stored form of a turn
//! - [`event`]: the events that its readers get
//! - [`log`]: the numbered events of a turn
//! - [`pace`]: the times at which a running turn flushes, checkpoints and pings
//! - [`replay`]: the event at which a reader resumes
//! - [`delivery`]: the schedule of the outbox

pub mod admission;
pub mod context;
pub mod context_cache;
pub mod delivery;
pub mod event;
pub mod log;
pub mod pace;
pub mod place;
pub mod record;
pub mod replay;
pub mod tree;
pub mod turn;
