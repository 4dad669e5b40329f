//! Brings the files to the newest schema, under a lock, so that two origins may start at once.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::engine::{self, connect};
use crate::store::{
    error::{StoreError, StoreResult},
    migrations::{self, LOCK_WAIT},
};

/// Every migration by the name its history keeps. One that has been released is never changed.
const ACCOUNTS: &[(&str, &str)] = &[
    ("V1__accounts", include_str!("../../../../migrations/sqlite/accounts/V1__accounts.sql")),
    ("V2__session_ends", include_str!("../../../../migrations/sqlite/accounts/V2__session_ends.sql")),
    ("V3__session_networks", include_str!("../../../../migrations/sqlite/accounts/V3__session_networks.sql")),
    ("V4__jobs", include_str!("../../../../migrations/sqlite/accounts/V4__jobs.sql")),
    ("V5__user_events", include_str!("../../../../migrations/sqlite/accounts/V5__user_events.sql")),
    ("V6__password_resets", include_str!("../../../../migrations/sqlite/accounts/V6__password_resets.sql")),
    ("V7__account_trail", include_str!("../../../../migrations/sqlite/accounts/V7__account_trail.sql")),
    ("V8__suspensions", include_str!("../../../../migrations/sqlite/accounts/V8__suspensions.sql")),
    ("V9__passkeys", include_str!("../../../../migrations/sqlite/accounts/V9__passkeys.sql")),
    ("V10__token_keys", include_str!("../../../../migrations/sqlite/accounts/V10__token_keys.sql")),
    ("V11__identities", include_str!("../../../../migrations/sqlite/accounts/V11__identities.sql")),
    ("V12__deletions", include_str!("../../../../migrations/sqlite/accounts/V12__deletions.sql")),
    ("V13__estimated_usage", include_str!("../../../../migrations/sqlite/accounts/V13__estimated_usage.sql")),
];
const CHATS: &[(&str, &str)] = &[
    ("V1__chats", include_str!("../../../../migrations/sqlite/chats/V1__chats.sql")),
    ("V2__changes", include_str!("../../../../migrations/sqlite/chats/V2__changes.sql")),
    ("V3__tree", include_str!("../../../../migrations/sqlite/chats/V3__tree.sql")),
    ("V4__estimated_usage", include_str!("../../../../migrations/sqlite/chats/V4__estimated_usage.sql")),
    ("V5__lifecycle", include_str!("../../../../migrations/sqlite/chats/V5__lifecycle.sql")),
];

/// The pause between attempts to get a lock that another process has.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Brings the accounts file to the newest schema. Returns the names of the migrations that were applied.
pub async fn accounts(path: &Path) -> StoreResult<Vec<String>> {
    migrate(path, ACCOUNTS).await
}

/// Brings the chats file to the newest schema. Returns the names of the migrations that were applied.
pub async fn chats(path: &Path) -> StoreResult<Vec<String>> {
    migrate(path, CHATS).await
}

async fn migrate(path: &Path, migrations: &'static [(&str, &str)]) -> StoreResult<Vec<String>> {
    let lock = lock(path).await?;
    let path = path.to_owned();
    // Once begun it runs to completion, also when no caller waits any more. The lock is released when its file is closed.
    let migrating = tokio::task::spawn_blocking(move || {
        let applied = apply(&path, migrations);
        drop(lock);
        applied
    });
    migrating.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
}

/// Gets the lock beside the file, as soon as no other process has it. The wait can be cancelled.
async fn lock(path: &Path) -> StoreResult<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| of_folder("creating the folder of", path, &error))?;
    }
    let lock =
        File::create(lock_path(path)).map_err(|error| of_folder("creating the lock beside", path, &error))?;
    let getting = async {
        let mut is_told = false;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(of_folder("locking", path, &error)),
                Err(TryLockError::WouldBlock) => (),
            }
            if !is_told {
                tracing::warn!(file = %path.display(), "another process has the lock of those who migrate; waiting");
                is_told = true;
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
    };
    tokio::time::timeout(LOCK_WAIT, getting).await.unwrap_or(Err(StoreError::Timeout))?;
    Ok(lock)
}

/// Classifies an error about the folder.
fn of_folder(what: &str, path: &Path, error: &io::Error) -> StoreError {
    use io::ErrorKind::{
        AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, PermissionDenied,
        ReadOnlyFilesystem, Unsupported,
    };
    let text = format!("{what} {}: {error}", path.display());
    match error.kind() {
        AlreadyExists | InvalidFilename | InvalidInput | IsADirectory | NotADirectory | PermissionDenied
        | ReadOnlyFilesystem | Unsupported => StoreError::Refused(text),
        _ => StoreError::Unavailable(text),
    }
}

/// Applies the missing migrations, each in a transaction of its own. Blocks.
fn apply(path: &Path, migrations: &[(&str, &str)]) -> StoreResult<Vec<String>> {
    let message = |what: &str, error: &dyn std::fmt::Display| format!("{what} {}: {error}", path.display());
    let migrations = migrations::read(migrations)?;
    let mut connection =
        connect(path).map_err(|error| engine::failure(&error, message("opening", &error)))?;
    let report = migrations::runner(&migrations).run(&mut connection);
    let report =
        report.map_err(|error| migrations::failure(&error, message("migrating", &error), engine::failure))?;
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
    use crate::store::contract::at_once;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn any_number_of_starts_at_once_migrate_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/accounts.db");
        let applied = at_once(8, |_| {
            let path = path.clone();
            async move { accounts(&path).await.unwrap().len() }
        })
        .await;
        assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "{applied:?}");
        assert_eq!(accounts(&path).await.unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn data_of_first_version_is_kept_and_listed_as_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chats.db");
        assert_eq!(migrate(&path, &CHATS[..1]).await.unwrap().len(), 1);
        let file = connect(&path).unwrap();
        // Two users; of the first, conversation 3 changed before conversation 2.
        for (id, user, title, updated_at) in [(2, 1, "two", 70), (3, 1, "three", 60), (4, 9, "four", 50)] {
            let sql =
                "INSERT INTO conversations VALUES (?1, ?2, ?3, NULL, NULL, 0, 0, 1, NULL, NULL, 5, 5, ?4)";
            file.execute(sql, ([id; 16], [user; 16], title, updated_at)).unwrap();
            let sql = "INSERT INTO messages (id, conversation_id, turn_id, seq, role, content, status, created_at, \
                       updated_at) VALUES (?1, ?2, ?1, 1, 'user', 'hello', 'completed', 5, 5)";
            file.execute(sql, ([id + 100; 16], [id; 16])).unwrap();
            let sql = "INSERT INTO turns VALUES (?1, ?2, ?1, ?3, 7, NULL, NULL, 5, 5)";
            file.execute(sql, ([id + 100; 16], [id; 16], [id + 150; 16])).unwrap();
        }
        drop(file);

        assert_eq!(chats(&path).await.unwrap().len(), CHATS.len() - 1);
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
        let changes = "SELECT conversation_id, position, hex(substr(user_id, 1, 1)) FROM changes ORDER BY user_id, position";
        assert_eq!(rows(changes), text(&[(3, 1, "01"), (2, 2, "01"), (4, 1, "09")]));
        // The last message is the one that the conversation shows last, and that logs no change.
        let heads = "SELECT head_id, head_seq, iif(branch_id IS NULL, 'trunk', 'branch') FROM conversations \
                     JOIN messages ON messages.id = head_id ORDER BY 1";
        assert_eq!(rows(heads), text(&[(102, 1, "trunk"), (103, 1, "trunk"), (104, 1, "trunk")]));
        let turns = "SELECT id, last_event_id, kind || ' ' || iif(message_ids IS NULL, 'two', 'more') FROM turns ORDER BY id";
        assert_eq!(rows(turns), text(&[(102, 7, "reply two"), (103, 7, "reply two"), (104, 7, "reply two")]));
        // The next change has a position after all of them.
        file.execute("UPDATE conversations SET pinned = 1 WHERE id = ?1", ([3_u8; 16],)).unwrap();
        assert_eq!(rows(changes), text(&[(2, 2, "01"), (3, 3, "01"), (4, 1, "09")]));
    }

    #[tokio::test]
    async fn older_version_starts_on_newer_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chats.db");
        chats(&path).await.unwrap();
        let newer = "INSERT INTO refinery_schema_history VALUES (1000, 'later', '2030-01-01T00:00:00Z', '1'); \
                     ALTER TABLE messages ADD COLUMN later TEXT";
        connect(&path).unwrap().execute_batch(newer).unwrap();
        assert_eq!(chats(&path).await.unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn permanent_open_error_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "this is no database, however long it is read".repeat(100)).unwrap();
        fs::create_dir_all(path("folder.db")).unwrap();
        fs::create_dir_all(path("locked.db.lock")).unwrap();
        accounts(&path("other.db")).await.unwrap();
        let sql = "UPDATE refinery_schema_history SET checksum = '1'";
        connect(&path("other.db")).unwrap().execute_batch(sql).unwrap();
        accounts(&path("gone.db")).await.unwrap();
        connect(&path("gone.db")).unwrap().execute_batch("DELETE FROM refinery_schema_history").unwrap();
        for name in ["file/accounts.db", "file", "folder.db", "locked.db", "other.db", "gone.db"] {
            let error = accounts(&path(name)).await.unwrap_err();
            assert_eq!(error.kind(), "refused", "{name}: {error}");
            assert!(error.to_string().contains(&path(name).display().to_string()), "{name}: {error}");
        }
    }
}
