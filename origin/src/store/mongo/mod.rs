//! The MongoDB adapter: the chats port on MongoDB 4.4 and later, and on servers with its protocol.
//!
//! - `engine`: connections, deadlines, retries, and the few operations the adapter sends
//! - `fault`: the port's errors of the driver's
//! - `queries`: every filter that is sent; `indexes`: the indexes that serve them
//! - `document`: decoding of documents
//! - [`chats`]: the port
//!
//! # How promises are kept without transactions
//!
//! An operation touches one document, or inserts under a unique index; everything else follows from the order of
//! operations and from repeating them. Writes are acknowledged by a majority, from its journals; reads have majority
//! concern.
//!
//! - **A message's position** is unique by conversation and `seq`, and its id is unique. The second insert fails, checks
//!   whether the message exists, and otherwise takes the first position after all.
//! - **A message's branch** has one child of each parent, by a unique index. The second child begins a branch, and the
//!   document of its first message has the origin of the branch.
//! - **A turn** is its messages, then its own document, then one update of the conversation that only moves forward. A
//!   crash in between leaves messages that a repetition finds; the conversation counts them when the turn is complete.
//! - **The counters, the preview and the head** are computed from a revision of the conversation, and set by an update of that
//!   revision alone; after another write they are computed again. The preview belongs to the highest `seq`, and the head to
//!   the newest turn or choice. So any order of any number of deliveries ends the same.
//! - **A deletion** turns the conversation into a tombstone in one update; every read filters tombstones, so from then on it
//!   is invisible. Its contents are removed after that. A delivery that finds a tombstone, at its beginning or at its end,
//!   removes what it may have inserted; so do a repeated deletion and the next read of the changes. Reads of messages read
//!   the conversation last: one that still exists then was complete when its messages were read.
//! - **A delivery that finds no conversation** repeats the read, linearizably, before it reports that: the caller drops the
//!   turn, and a server that does not know yet that it is no longer primary may have missed the creation.
//! - **The order of changes** is created by its readers. A counter for writers would let a reader see 6 before 5 is written,
//!   and miss 5. Instead each write of a conversation also increments its revision and marks it as unlogged, in the same
//!   update. A reader first appends an entry for each unlogged conversation at the highest position plus one, under a unique
//!   index, then clears the mark where the revision is still the logged one. An entry is inserted only after its predecessor
//!   was seen, so positions appear in order; a crash between two steps leaves a mark, and the next reader continues. An
//!   entry whose conversation has a later one is removed after a day at the earliest, so that no delayed appender can ever
//!   find its position free again.

pub mod chats;
mod document;
mod engine;
mod fault;
mod indexes;
mod queries;
#[cfg(test)]
mod tests;

pub use chats::MongoChats;
