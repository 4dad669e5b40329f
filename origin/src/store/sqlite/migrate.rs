//! Brings the files to the newest schema, under a lock, so that two origins may start at once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::engine::connect;
use crate::store::error::{StoreError, StoreResult};

/// Every migration by the name its history keeps. One that has been released is never changed.
const ACCOUNTS: &[(&str, &str)] =
    &[("V1__accounts", include_str!("../../../../migrations/sqlite/accounts/V1__accounts.sql"))];
const CHATS: &[(&str, &str)] = &[
    ("V1__chats", include_str!("../../../../migrations/sqlite/chats/V1__chats.sql")),
    ("V2__changes", include_str!("../../../../migrations/sqlite/chats/V2__changes.sql")),
];

/// Brings the accounts file to the newest schema. Returns the names of the migrations that were applied.
pub fn accounts(path: &Path) -> StoreResult<Vec<String>> {
    migrate(path, ACCOUNTS)
}

/// Brings the chats file to the newest schema. Returns the names of the migrations that were applied.
pub fn chats(path: &Path) -> StoreResult<Vec<String>> {
    migrate(path, CHATS)
}

fn migrate(path: &Path, migrations: &[(&str, &str)]) -> StoreResult<Vec<String>> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        StoreError::Unavailable(format!("{what} {}: {error}", path.display()))
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| failed("creating the folder of", &error))?;
    }
    let lock = File::create(lock_path(path)).map_err(|error| failed("creating the lock beside", &error))?;
    lock.lock().map_err(|error| failed("waiting for the lock beside", &error))?;
    let mut connection = connect(path).map_err(|error| failed("opening", &error))?;
    // Each migration is a transaction of its own; the lock is released when its file is closed.
    let migrations: Result<Vec<_>, _> =
        migrations.iter().map(|(name, sql)| refinery::Migration::unapplied(name, sql)).collect();
    let migrations = migrations.map_err(|error| failed("reading the migrations of", &error))?;
    let report = refinery::Runner::new(&migrations)
        .run(&mut connection)
        .map_err(|error| failed("migrating", &error))?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// `edgechat.db` → `edgechat.db.lock`. The file stays: removing it would let two starts lock different files.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_starts_at_once_migrate_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/accounts.db");
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || accounts(&path).map(|applied| applied.len()))
            })
            .collect();
        let applied: Vec<_> = starts.into_iter().map(|start| start.join().unwrap().unwrap()).collect();
        assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "{applied:?}");
        assert_eq!(accounts(&path).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_path_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = chats(&folder.path().join("file/chats.db")).unwrap_err().to_string();
        assert!(error.contains("file/chats.db"), "{error}");
    }
}
