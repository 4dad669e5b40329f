//! One number over the contents of files and folders, to see whether anything changed since the last build.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// A hash over names and contents of `paths` (files, or folders with all below) and over `facts` such as versions.
/// A path that does not exist counts as such. It is stable for one toolchain, which is all a skipped build needs.
pub(crate) fn of(root: &Path, paths: &[&str], facts: &[&str]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    facts.hash(&mut hasher);
    for path in paths {
        path.hash(&mut hasher);
        for file in files_below(&root.join(path))? {
            file.strip_prefix(root).unwrap_or(&file).hash(&mut hasher);
            std::fs::read(&file)
                .with_context(|| format!("cannot read {}", file.display()))?
                .hash(&mut hasher);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Returns whether `stamp` holds `expected`.
pub(crate) fn matches(stamp: &Path, expected: &str) -> bool {
    std::fs::read_to_string(stamp).is_ok_and(|held| held.trim() == expected)
}

/// Writes `value` to `stamp`, making its folder.
pub(crate) fn write(stamp: &Path, value: &str) -> Result<()> {
    if let Some(folder) = stamp.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    std::fs::write(stamp, value).with_context(|| format!("cannot write {}", stamp.display()))
}

/// All files at or below `path`, sorted; hidden files too, since configuration hides.
fn files_below(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut entries = std::fs::read_dir(path)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .with_context(|| format!("cannot list {}", path.display()))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        files.extend(files_below(&entry.path())?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("src/deep")).unwrap();
        std::fs::write(folder.path().join("src/lib.rs"), "one").unwrap();
        std::fs::write(folder.path().join("src/deep/mod.rs"), "two").unwrap();
        std::fs::write(folder.path().join("lock"), "three").unwrap();
        folder
    }

    #[test]
    fn same_files_have_the_same_fingerprint() {
        let (one, two) = (folder(), folder());
        let first = of(one.path(), &["src", "lock"], &["1.0"]).unwrap();
        assert_eq!(first, of(two.path(), &["src", "lock"], &["1.0"]).unwrap());
    }

    #[test]
    fn fingerprint_changes_with_every_kind_of_change() {
        let paths = ["src", "lock", "absent"];
        let before = of(folder().path(), &paths, &["1.0"]).unwrap();
        let changed = |change: fn(&Path)| {
            let folder = folder();
            change(folder.path());
            of(folder.path(), &paths, &["1.0"]).unwrap()
        };
        assert_ne!(
            before,
            changed(|at| std::fs::write(at.join("src/deep/mod.rs"), "2").unwrap()),
            "contents"
        );
        assert_ne!(
            before,
            changed(|at| std::fs::rename(at.join("src/lib.rs"), at.join("src/b.rs")).unwrap()),
            "name"
        );
        assert_ne!(before, changed(|at| std::fs::write(at.join("src/new.rs"), "").unwrap()), "an added file");
        assert_ne!(before, changed(|at| std::fs::remove_file(at.join("lock")).unwrap()), "a removed file");
        assert_ne!(
            before,
            changed(|at| std::fs::write(at.join("absent"), "").unwrap()),
            "an absent file that appears"
        );
        assert_ne!(before, of(folder().path(), &paths, &["1.1"]).unwrap(), "a fact");
    }

    #[test]
    fn stamp_matches_only_written_text() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = folder.path().join("deep/stamp");
        assert!(!matches(&stamp, "a"));
        write(&stamp, "a").unwrap();
        assert!(matches(&stamp, "a"));
        assert!(!matches(&stamp, "b"));
    }
}
