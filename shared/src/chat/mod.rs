//! A turn from its admission to its last event, as decisions over plain values.
//!
//! - [`admission`]: may this message run, or is it one that runs already?
//! - [`context`]: what of a conversation goes to the model
//! - [`context_cache`]: which of them stay in memory, and for how long
//! - [`tree`]: where a message stands among those of its conversation, and which ones are shown
//! - [`turn`]: the state machine of a turn
//! - [`record`]: what of a turn is stored
//! - [`event`]: what its readers see
//! - [`log`]: the numbered events of a turn
//! - [`pace`]: when a running turn shows, stores and pings
//! - [`replay`]: where a reader goes on, whatever it holds
//! - [`delivery`]: when the outbox tries again, and looks again

pub mod admission;
pub mod context;
pub mod context_cache;
pub mod delivery;
pub mod event;
pub mod log;
pub mod pace;
pub mod record;
pub mod replay;
pub mod tree;
pub mod turn;
