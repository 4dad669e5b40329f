//! Lists and copies of folders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Lists a folder, sorted.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .with_context(|| format!("cannot list {}", folder.display()))?;
    files.sort();
    Ok(files)
}

/// Copies a folder with all below.
pub(super) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let cannot = || format!("cannot write to {}", to.display());
    fs::create_dir_all(to).with_context(cannot)?;
    for file in list(from)? {
        let place = to.join(file.file_name().unwrap_or_default());
        if file.is_dir() {
            copy_folder(&file, &place)?;
        } else {
            fs::copy(&file, &place).with_context(cannot)?;
        }
    }
    Ok(())
}
