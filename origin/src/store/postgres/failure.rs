//! What an error of the server, or of the way to it, means for the operation: try again, or tell the caller.

use std::error::Error as _;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::{
    Error,
    error::{DbError, SqlState},
};

use crate::store::error::StoreError;

/// Why an operation did not come to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is gone or of no use any more. Another one may serve.
    Broken(String),
    /// Others were in the way; nothing happened, and trying again is what the server asks for.
    Again(&'static str),
    /// The caller is told.
    Final(StoreError),
}

/// What one step of an operation returns.
pub(super) type Step<T> = Result<T, Failure>;

impl Failure {
    /// What the caller is told when trying again does not help or was not possible.
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Broken(why) => StoreError::Unavailable(why),
            Self::Again(why) => {
                tracing::warn!(why, "a transaction gave way too often");
                StoreError::Overloaded
            }
            Self::Final(error) => error,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

impl Failure {
    /// What an error of the driver means.
    pub(super) fn of(error: &Error) -> Self {
        let Some(state) = error.code() else {
            // Without an answer of the server it is the connection that failed, or a value that does not fit its
            // column, which no caller can mend.
            return match error.source().and_then(|source| source.downcast_ref::<std::io::Error>()) {
                Some(_) => Self::Broken(describe(error)),
                None if error.is_closed() => Self::Broken(describe(error)),
                None => Self::Final(StoreError::Unavailable(describe(error))),
            };
        };
        let text = || describe(error);
        match state.code() {
            // serialization_failure, deadlock_detected
            "40001" => Self::Again("serialization failure"),
            "40P01" => Self::Again("deadlock"),
            // query_canceled by statement_timeout, lock_not_available by lock_timeout
            "57014" | "55P03" => Self::Final(StoreError::Timeout),
            // A server that shuts down, has crashed or starts, or ended an idle session; one that became a standby; a
            // prepared statement that is not there or whose tables have changed.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25006" | "26000" | "0A000" => {
                Self::Broken(text())
            }
            // character_not_in_repertoire: of what Rust calls text, only this one character.
            "22021" => Self::Final(StoreError::Conflict(NUL_CHARACTER)),
            // A wrong password, a database or schema that is not there.
            "28000" | "28P01" | "3D000" | "3F000" => Self::Final(StoreError::Refused(text())),
            // too_many_connections
            "53300" => Self::Final(StoreError::Overloaded),
            code if code.starts_with("08") => Self::Broken(text()),
            // What the role may not, and what is not there or is there already: tables of another making.
            code if code.starts_with("42") => Self::Final(StoreError::Refused(text())),
            code if code.starts_with("23") => Self::Final(StoreError::Conflict(constraint(state))),
            _ => Self::Final(StoreError::Unavailable(text())),
        }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Final(StoreError::Overloaded),
            PoolError::Timeout(_) => Self::Final(StoreError::Timeout),
            PoolError::Backend(error) => match Self::from(error) {
                // Where no connection can be made, there is no sense in asking for another one.
                Self::Broken(why) => Self::Final(StoreError::Unavailable(why)),
                failure => failure,
            },
            other => Self::Final(StoreError::Unavailable(other.to_string())),
        }
    }
}

/// What is told of a text that cannot be stored.
const NUL_CHARACTER: &str = "a text holds the character U+0000, which PostgreSQL cannot store";

/// The kind of constraint, never the values that broke it.
fn constraint(state: &SqlState) -> &'static str {
    match state.code() {
        "23505" => "what should be unique is there already",
        "23503" => "what it refers to is not there",
        "23502" => "a value is missing",
        _ => "a constraint of a table",
    }
}

/// The error with its causes in one line. Of an error of the server its code and message: its details hold values.
pub(super) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        causes.push(match cause.downcast_ref::<DbError>() {
            Some(answer) => format!("{} ({})", answer.message(), answer.code().code()),
            None => cause.to_string(),
        });
        next = cause.source();
    }
    causes.join(": ")
}
