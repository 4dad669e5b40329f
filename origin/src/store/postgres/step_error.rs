//! Classification of errors of the server and of the connection: retry, or return to the caller.

use std::error::Error as _;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::{
    Error,
    error::{DbError, SqlState},
};

use crate::store::error::StoreError;

/// The reason why an operation did not complete.
#[derive(Debug)]
pub(super) enum StepError {
    /// The connection is broken or unusable. Another one may serve.
    Broken(String),
    /// Concurrent transactions conflicted; nothing happened, and the server asks for a retry.
    Again(&'static str),
    /// The error for the caller.
    Final(StoreError),
}

/// The result of one step of an operation.
pub(super) type Step<T> = Result<T, StepError>;

impl StepError {
    /// Returns the caller's error when a retry does not help or was not possible.
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

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

impl From<Error> for StepError {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

impl StepError {
    /// Classifies an error of the driver.
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
            // Missing permissions, and objects that are missing or exist already: another program's tables.
            code if code.starts_with("42") => Self::Final(StoreError::Refused(text())),
            code if code.starts_with("23") => Self::Final(StoreError::Conflict(constraint(state))),
            _ => Self::Final(StoreError::Unavailable(text())),
        }
    }
}

impl From<PoolError> for StepError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Final(StoreError::Overloaded),
            PoolError::Timeout(_) => Self::Final(StoreError::Timeout),
            PoolError::Backend(error) => match Self::from(error) {
                // Where no connection can be made, another attempt makes no sense.
                Self::Broken(why) => Self::Final(StoreError::Unavailable(why)),
                failure => failure,
            },
            other => Self::Final(StoreError::Unavailable(other.to_string())),
        }
    }
}

/// The message for a text that cannot be stored.
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
