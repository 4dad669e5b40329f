//! The MongoDB adapter: the chats port on MongoDB 4.4 and later, and on what speaks its protocol.
//!
//! - `engine`: connections, deadlines, retries, and the few operations the adapter sends
//! - `fault`: what the driver's errors mean
//! - `queries`: every filter that is ever sent; `indexes`: what serves them
//! - `document`: from documents to values
//! - [`chats`]: the port
//!
//! # How promises are kept without transactions
//!
//! An operation touches one document, or inserts under a unique index; everything else follows from the order of
//! operations and from repeating them. Writes are acknowledged by a majority, from its journals; reads are of what a
//! majority has.
//!
//! - **A message's place** is unique by conversation and `seq`, and its id is unique. Whoever inserts second is told, looks
//!   whether the message is there already, and otherwise takes the first place after all.
//! - **A message's branch** has one child of each parent, by a unique index. Whoever inserts second begins a branch, and the
//!   document of its first message says where that came from.
//! - **A turn** is its messages, then its own document, then one update of the conversation that only moves forward. A
//!   crash in between leaves messages that a repetition finds; the conversation tells of them when it is complete.
//! - **The counters, the preview and the head** are decided on what was read of the conversation, and set by an update of that
//!   revision alone; where another write came before, they are decided anew. The preview belongs to the highest `seq`, and the
//!   head to the newest turn or choice. So any order of any number of deliveries ends the same.
//! - **A deletion** makes the conversation a tombstone in one update; every read leaves tombstones out, so from then on
//!   nobody sees it. What it held is removed after that. A delivery that meets a tombstone, at its beginning or at its end,
//!   removes what it may have put there; so do a repeated deletion and the next look at the changes. Reads of messages
//!   look at the conversation last: one that is still there then was whole when its messages were read.
//! - **A delivery that finds no conversation** looks once more, by a linearizable read, before it says so: who is told
//!   forgets the turn, and a server that does not know yet that it is no primary any more may have missed the creation.
//! - **The order of changes** is made by its readers. A counter that writers take from would let a reader see 6 before 5
//!   is written, and miss 5. Instead each write of a conversation also counts its revision up and marks it as unlogged, in
//!   the same update. A reader first appends an entry for each unlogged conversation at the highest position plus one,
//!   under a unique index, then takes the mark away where the revision is still the one that was logged. An entry is
//!   inserted only after its predecessor was seen, so positions appear in order; a crash between two steps leaves a mark, and
//!   the next reader goes on. An entry whose conversation has a later one is removed after a day at the earliest, so that
//!   no appender that was held up can ever find its position free again.

pub mod chats;
mod document;
mod engine;
mod fault;
mod indexes;
mod queries;
#[cfg(test)]
mod tests;

pub use chats::MongoChats;
