//! Servers that are programs of the machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::super::{
    files::list,
    package::{find_or_install, from_variable},
};
use crate::{process::program::find, workspace::Workspace};

/// Folders that hold one folder a version of PostgreSQL, which packages leave out of the `PATH`.
const VERSIONS: [&str; 3] = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];
const POSTGRES_MISSING: &str = "the tests need PostgreSQL: install it (on Debian: apt-get install postgresql), name the \
                                folder of `initdb` and `postgres` by EDGECHAT_POSTGRES_BIN, or start Docker";
const REDIS_MISSING: &str = "the tests need Redis: install it (on Debian: apt-get install redis-server), name the \
                             program by EDGECHAT_REDIS_BIN, or start Docker";

/// The folder with PostgreSQL's `initdb` and `postgres`.
pub(super) fn postgres(workspace: &Workspace) -> Result<PathBuf> {
    from_variable("EDGECHAT_POSTGRES_BIN")
        .map_or_else(|| find_or_install(workspace, "postgresql", find_postgres).context(POSTGRES_MISSING), Ok)
}

/// The program `redis-server`.
pub(super) fn redis(workspace: &Workspace) -> Result<PathBuf> {
    from_variable("EDGECHAT_REDIS_BIN").map_or_else(
        || find_or_install(workspace, "redis-server", || find("redis-server")).context(REDIS_MISSING),
        Ok,
    )
}

/// The program `mongod`, where there is one.
pub(super) fn mongod() -> Option<PathBuf> {
    from_variable("EDGECHAT_MONGOD_BIN").or_else(|| find("mongod"))
}

fn find_postgres() -> Option<PathBuf> {
    let on_path = find("postgres").and_then(|program| fs::canonicalize(program).ok());
    let on_path = on_path.and_then(|program| program.parent().map(Path::to_path_buf));
    on_path
        .into_iter()
        .chain(VERSIONS.iter().flat_map(|folder| newest_first(Path::new(folder))))
        .find(|folder| is_postgres(folder))
}

fn is_postgres(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file())
}

/// The program folders of the versions in a folder: `15/bin`, `postgresql@17/bin`.
fn newest_first(folder: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<_> = list(folder)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|version| {
            let name = version.file_name()?.to_str()?;
            let number: u32 = name.rsplit('@').next()?.parse().ok()?;
            Some((number, version.join("bin")))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, programs)| programs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_version_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["9", "15", "postgresql@17", "redis", "docs"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let found: Vec<_> = newest_first(folder.path())
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(found, ["postgresql@17/bin", "15/bin", "9/bin"]);
        assert!(newest_first(&folder.path().join("nowhere")).is_empty());
    }

    #[test]
    fn folder_without_initdb_is_no_postgresql() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("postgres"), "").unwrap();
        assert!(!is_postgres(folder.path()));
        fs::write(folder.path().join("initdb"), "").unwrap();
        assert!(is_postgres(folder.path()));
    }
}
