//! Where the state lives. This build serves the embedded stores: SQLite files and the process's own memory.

use std::path::{Path, PathBuf};

use super::{
    process::{Environment, ProcessConfig},
    reader::{Reader, quoted},
};

const SQLITE_WANTED: &str =
    "it should hold the path of an SQLite file, such as sqlite://.edgechat/edgechat.db";

/// What serves each port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoresConfig {
    /// Users, sessions, usage: `DATABASE_URL`, default `sqlite://.edgechat/edgechat.db`.
    pub accounts: AccountsStore,
    /// Conversations and messages: beside the accounts, as `MONGODB_URL` is not set.
    pub chats: ChatsStore,
    /// Throttles and nonces: in process, as `REDIS_URL` is not set.
    pub ephemeral: EphemeralStore,
}

/// What serves the accounts port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountsStore {
    /// An SQLite file.
    Sqlite(PathBuf),
}

/// What serves the chats port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatsStore {
    /// An SQLite file.
    Sqlite(PathBuf),
}

/// What serves the ephemeral port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EphemeralStore {
    /// The process's own memory; it is lost with the process and not shared.
    Memory,
}

impl StoresConfig {
    pub(super) fn read(reader: &mut Reader<'_>, process: &ProcessConfig) -> Self {
        let file = accounts_file(reader);
        for (variable, product, served) in [
            ("MONGODB_URL", "MongoDB", "unset: conversations are in an SQLite file beside DATABASE_URL"),
            ("REDIS_URL", "Redis", "unset: short-lived state is in the process"),
        ] {
            if reader.text(variable).is_some() {
                reader.wrong(
                    variable,
                    format!("held a {product} address, and this build serves only the embedded stores"),
                    format!("it should be {served}"),
                );
            }
        }
        if process.replicas > 1 && process.environment == Environment::Production {
            reader.wrong(
                "EDGECHAT_REPLICAS",
                format!("held {}, and the embedded stores serve one process", process.replicas),
                "it should be 1",
            );
        }
        Self {
            chats: ChatsStore::Sqlite(chats_file(&file)),
            accounts: AccountsStore::Sqlite(file),
            ephemeral: EphemeralStore::Memory,
        }
    }
}

fn accounts_file(reader: &mut Reader<'_>) -> PathBuf {
    let default = PathBuf::from(".edgechat/edgechat.db");
    let Some(url) = reader.text("DATABASE_URL") else { return default };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match scheme.split('+').next().unwrap_or(scheme) {
        "sqlite" => sqlite_path(rest).unwrap_or_else(|| {
            reader.wrong("DATABASE_URL", quoted(url), SQLITE_WANTED);
            default
        }),
        "postgres" | "postgresql" => {
            let held = "held a PostgreSQL address, and this build serves only the embedded stores";
            reader.wrong("DATABASE_URL", held, SQLITE_WANTED);
            default
        }
        // The value may hold a password under a scheme that is not known.
        _ => {
            reader.wrong("DATABASE_URL", "held something that is not an SQLite address", SQLITE_WANTED);
            default
        }
    }
}

/// The file behind `sqlite://`. Two notations meet here: `sqlite://relative.db` and `sqlite:///absolute/path.db`, and
/// SQLAlchemy's `sqlite:///./relative.db`, `sqlite:///relative.db` and `sqlite:////absolute/path.db`. They differ only
/// in `sqlite:///name`: one name alone is taken as SQLAlchemy's relative file, since nobody keeps data at the root.
fn sqlite_path(rest: &str) -> Option<PathBuf> {
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    let path = match path.strip_prefix('/') {
        Some(inner) if inner.starts_with('/') => inner,
        Some(inner) if inner.starts_with("./") || inner.starts_with("../") || !inner.contains('/') => inner,
        _ => path,
    };
    let named = !path.is_empty() && !path.ends_with('/') && path != ":memory:";
    named.then(|| PathBuf::from(path.strip_prefix("./").unwrap_or(path)))
}

/// `edgechat.db` → `edgechat-chats.db`, in the same folder.
fn chats_file(accounts: &Path) -> PathBuf {
    let stem = accounts.file_stem().unwrap_or_default().to_string_lossy();
    let name = match accounts.extension() {
        Some(extension) => format!("{stem}-chats.{}", extension.to_string_lossy()),
        None => format!("{stem}-chats"),
    };
    accounts.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(".edgechat/edgechat.db", Some(".edgechat/edgechat.db"))]
    #[case("file.db", Some("file.db"))]
    #[case("./file.db", Some("file.db"))]
    #[case("/./file.db", Some("file.db"))]
    #[case("/../data/file.db", Some("../data/file.db"))]
    #[case("/file.db", Some("file.db"))]
    #[case("/var/lib/file.db", Some("/var/lib/file.db"))]
    #[case("//var/lib/file.db", Some("/var/lib/file.db"))]
    #[case("//file.db", Some("/file.db"))]
    #[case("file.db?mode=rwc", Some("file.db"))]
    #[case("", None)]
    #[case("/", None)]
    #[case("data/", None)]
    #[case(":memory:", None)]
    #[case("/:memory:", None)]
    fn both_notations_of_a_file_are_understood(#[case] rest: &str, #[case] path: Option<&str>) {
        assert_eq!(sqlite_path(rest), path.map(PathBuf::from));
    }

    #[rstest]
    #[case("data/edgechat.db", "data/edgechat-chats.db")]
    #[case("app", "app-chats")]
    #[case("/a/app.sqlite3", "/a/app-chats.sqlite3")]
    fn the_chats_lie_beside_the_accounts(#[case] accounts: &str, #[case] chats: &str) {
        assert_eq!(chats_file(Path::new(accounts)), PathBuf::from(chats));
    }
}
