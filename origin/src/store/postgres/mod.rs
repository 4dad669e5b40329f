//! The adapter for PostgreSQL: accounts.
//!
//! - `settings`: the settings of every connection
//! - `tls`: encryption and trusted certificates
//! - `pool`: connections, deadlines, retries; it knows no table
//! - `failure`: classification of errors
//! - [`migrate`]: the schema
//! - `row`: from rows to values
//! - [`accounts`]: the port

pub mod accounts;
pub mod migrate;
mod pool;
mod row;
mod settings;
mod step_error;
pub(super) mod tls;

#[cfg(test)]
mod tests;

pub use accounts::PostgresAccounts;
