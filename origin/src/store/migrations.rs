//! What the histories of migrations have in common, whatever database they are in. Nothing here knows one.

use std::{error::Error, time::Duration};

use refinery::{Migration, Runner, error::Kind};

use super::error::{StoreError, StoreResult};

/// How long the lock of those who migrate may be held by others before a start fails.
pub(super) const LOCK_WAIT: Duration = Duration::from_mins(1);

/// Migrations from the names their history keeps and their statements.
pub(super) fn read(named: &[(&str, &str)]) -> StoreResult<Vec<Migration>> {
    let read = named.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect::<Result<_, _>>();
    read.map_err(|error| StoreError::Refused(error.to_string()))
}

/// What applies those that are not there.
pub(super) fn runner(migrations: &[Migration]) -> Runner {
    // A newer version may have been here: its additions do not disturb this one.
    Runner::new(migrations).set_abort_missing(false)
}

/// What an error of the runner means, told by `text`: what `of_driver` makes of the driver's error within it, or that the
/// history is not this program's, which waiting does not mend.
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
