//! The adapter for PostgreSQL: accounts.
//!
//! - `settings`: how every connection is set up
//! - `tls`: encryption and whom to trust
//! - `pool`: connections, deadlines, repetitions; it knows no table
//! - `failure`: what an error of the server means
//! - [`migrate`]: the schema
//! - `row`: from rows to values
//! - [`accounts`]: the port

pub mod accounts;
mod failure;
pub mod migrate;
mod pool;
mod row;
mod settings;
pub(super) mod tls;

#[cfg(test)]
mod tests;

pub use accounts::PostgresAccounts;
