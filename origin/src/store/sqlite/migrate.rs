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
    fn what_a_file_of_the_first_version_holds_is_kept_and_told_as_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chats.db");
        assert_eq!(migrate(&path, &CHATS[..1]).unwrap().len(), 1);
        let file = connect(&path).unwrap();
        // Two users; of the first, conversation 3 changed before conversation 2.
        for (id, user, title, updated_at) in [(2, 1, "two", 70), (3, 1, "three", 60), (4, 9, "four", 50)] {
            let sql =
                "INSERT INTO conversations VALUES (?1, ?2, ?3, NULL, NULL, 0, 0, 1, NULL, NULL, 5, 5, ?4)";
            file.execute(sql, ([id; 16], [user; 16], title, updated_at)).unwrap();
            let sql = "INSERT INTO messages (id, conversation_id, turn_id, seq, role, content, status, created_at, \
                       updated_at) VALUES (?1, ?2, ?1, 1, 'user', 'hello', 'completed', 5, 5)";
            file.execute(sql, ([id + 100; 16], [id; 16])).unwrap();
        }
        drop(file);

        assert_eq!(chats(&path).unwrap().len(), CHATS.len() - 1);
        let file = connect(&path).unwrap();
        let rows = |sql: &str| -> Vec<(u8, i64, String)> {
            let mut statement = file.prepare(sql).unwrap();
            let read =
                |row: &rusqlite::Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?[0], row.get(1)?, row.get(2)?));
            statement.query_map([], read).unwrap().map(Result::unwrap).collect()
        };
        let text = |rows: &[(u8, i64, &str)]| -> Vec<(u8, i64, String)> {
            rows.iter().map(|(id, number, text)| (*id, *number, (*text).to_owned())).collect()
        };
        let kept = "SELECT c.id, updated_at, title || ' ' || content FROM conversations c JOIN \
                    (SELECT conversation_id, content FROM messages) ON conversation_id = c.id ORDER BY c.id";
        assert_eq!(rows(kept), text(&[(2, 70, "two hello"), (3, 60, "three hello"), (4, 50, "four hello")]));
        let told = "SELECT conversation_id, position, hex(substr(user_id, 1, 1)) FROM changes ORDER BY user_id, position";
        assert_eq!(rows(told), text(&[(3, 1, "01"), (2, 2, "01"), (4, 1, "09")]));
        // The next change stands after all of them.
        file.execute("UPDATE conversations SET pinned = 1 WHERE id = ?1", ([3_u8; 16],)).unwrap();
        assert_eq!(rows(told), text(&[(2, 2, "01"), (3, 3, "01"), (4, 1, "09")]));
    }

    #[test]
    fn a_path_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = chats(&folder.path().join("file/chats.db")).unwrap_err().to_string();
        assert!(error.contains("file/chats.db"), "{error}");
    }
}
