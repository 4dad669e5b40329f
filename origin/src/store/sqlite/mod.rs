//! The embedded adapters: accounts and chats, each in an SQLite file of its own.
//!
//! - `engine`: threads, transactions, timeouts
//! - [`migrate`]: the schema
//! - `row`: from rows to values
//! - [`accounts`], [`chats`]: the ports

pub mod accounts;
pub mod chats;
mod engine;
pub mod migrate;
mod row;

pub use accounts::SqliteAccounts;
pub use chats::SqliteChats;
