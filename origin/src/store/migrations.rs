//! The common parts of migrations, whatever the database. Nothing here knows one.

use std::{error::Error, time::Duration};

use refinery::{Migration, Runner, error::Kind};

use super::error::{StoreError, StoreResult};

/// The timeout of waiting for the migration lock, after which a start fails.
pub(super) const LOCK_WAIT: Duration = Duration::from_mins(1);

/// Migrations from the names their history keeps and their statements.
pub(super) fn read(migrations: &[(&str, &str)]) -> StoreResult<Vec<Migration>> {
    let read = migrations.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect::<Result<_, _>>();
    read.map_err(|error| StoreError::Refused(error.to_string()))
}

/// Makes the runner that applies missing migrations.
pub(super) fn runner(migrations: &[Migration]) -> Runner {
    // A newer version may have been here: its additions do not disturb this one.
    Runner::new(migrations).set_abort_missing(false)
}

/// Classifies an error of the runner, described by `text`: `of_driver` classifies the driver's error within it; otherwise the
/// history is not this program's, and a retry does not help.
pub(super) fn failure<E: Error + 'static>(
    error: &refinery::Error,
    text: String,
    of_driver: impl FnOnce(&E, String) -> StoreError,
) -> StoreError {
    match error.kind() {
        Kind::Connection(_, cause) => match cause.downcast_ref() {
            Some(cause) => of_driver(cause, text),
            None => StoreError::Unavailable(text),
        },
        _ => StoreError::Refused(text),
    }
}
