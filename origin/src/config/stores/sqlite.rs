//! The embedded stores' files.

use std::path::{Path, PathBuf};

/// The accounts file where `DATABASE_URL` is not set.
pub(super) const DEFAULT_FILE: &str = ".edgechat/edgechat.db";

/// Returns the file of a `sqlite://` address. Two notations are accepted: `sqlite://relative.db` and
/// `sqlite:///absolute/path.db`, and SQLAlchemy's `sqlite:///./relative.db`, `sqlite:///relative.db` and
/// `sqlite:////absolute/path.db`. They differ only in `sqlite:///name`: one name is taken as SQLAlchemy's relative file, since
/// data is not kept in the root folder.
pub(super) fn file(rest: &str) -> Option<PathBuf> {
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    let path = match path.strip_prefix('/') {
        Some(inner) if inner.starts_with('/') => inner,
        Some(inner) if inner.starts_with("./") || inner.starts_with("../") || !inner.contains('/') => inner,
        _ => path,
    };
    let is_file = !path.is_empty() && !path.ends_with('/') && path != ":memory:";
    is_file.then(|| PathBuf::from(path.strip_prefix("./").unwrap_or(path)))
}

/// Returns the file of conversations in the same folder: `edgechat.db` → `edgechat-chats.db`.
pub(super) fn chats_file(accounts: &Path) -> PathBuf {
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
    fn file_in_both_notations_is_parsed(#[case] rest: &str, #[case] path: Option<&str>) {
        assert_eq!(file(rest), path.map(PathBuf::from));
    }

    #[rstest]
    #[case("data/edgechat.db", "data/edgechat-chats.db")]
    #[case("app", "app-chats")]
    #[case("/a/app.sqlite3", "/a/app-chats.sqlite3")]
    fn chats_file_is_beside_accounts_file(#[case] accounts: &str, #[case] chats: &str) {
        assert_eq!(chats_file(Path::new(accounts)), PathBuf::from(chats));
    }
}
