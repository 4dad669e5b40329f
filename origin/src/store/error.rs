//! The errors of stores.

/// A store's failure. "Not found" is none: it is an `Option`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or its response is invalid.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It answers and refuses for a permanent reason: a wrong password, a database that does not exist.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// It did not answer in time. A write may have happened nevertheless; repeating it is safe.
    #[error("the store did not answer in time")]
    Timeout,
    /// Too many operations wait for it already; nothing happened.
    #[error("too much is waiting for the store")]
    Overloaded,
    /// The write contradicts stored data: an id that belongs to something else.
    #[error("the write contradicts the store: {0}")]
    Conflict(&'static str),
    /// The stored data cannot have been written by this program.
    #[error("corrupt: {table}.{column} of {row}")]
    Corrupt {
        /// The table or collection.
        table: &'static str,
        /// The column or field.
        column: &'static str,
        /// The row's or document's key.
        row: String,
    },
}

impl StoreError {
    /// The kind of failure in one word, for health checks and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Refused(_) => "refused",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::Conflict(_) => "conflict",
            Self::Corrupt { .. } => "corrupt",
        }
    }
}

/// The result of every method of a port.
pub type StoreResult<T> = Result<T, StoreError>;
