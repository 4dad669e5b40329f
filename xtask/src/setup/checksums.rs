//! Checksums of what Maven fetches: it has no lock file of its own.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::files::list;
use crate::step;

/// Compares the files of a folder with a list in the format of `sha256sum`: the same names, the same contents.
pub(super) fn compare(list_of_sums: &Path, folder: &Path) -> Result<()> {
    let expected = fs::read_to_string(list_of_sums)
        .with_context(|| format!("cannot read {}", list_of_sums.display()))?;
    let mut expected: Vec<_> = expected.lines().map(str::to_owned).collect();
    let mut found = list(folder)?.iter().map(line).collect::<Result<Vec<_>>>()?;
    expected.sort();
    found.sort();
    let unexpected = found.iter().find(|line| !expected.contains(line));
    let missing = expected.iter().find(|line| !found.contains(line));
    if let Some(line) = unexpected.or(missing) {
        let name = line.rsplit(' ').next().unwrap_or_default();
        // So that nobody runs it.
        let _ = fs::remove_dir_all(folder);
        bail!("{name} from the Maven repository is not what {} lists", step::near(list_of_sums).display());
    }
    Ok(())
}

fn line(file: impl AsRef<Path>) -> Result<String> {
    let file = file.as_ref();
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(format!("{:x}  {}", Sha256::digest(bytes), file.file_name().unwrap_or_default().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of "x".
    const X: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  a.jar\n";

    fn compared(sums: &str, files: &[(&str, &str)]) -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        for (name, contents) in files {
            fs::write(folder.path().join("lib").join(name), contents).unwrap();
        }
        fs::write(folder.path().join("sums"), sums).unwrap();
        compare(&folder.path().join("sums"), &folder.path().join("lib"))
    }

    #[test]
    fn file_that_is_not_listed_is_refused() {
        compared(X, &[("a.jar", "x")]).unwrap();
        for files in [&[("a.jar", "y")][..], &[("a.jar", "x"), ("b.jar", "x")], &[]] {
            let error = compared(X, files).unwrap_err().to_string();
            assert!(error.contains(".jar from the Maven repository is not what"), "{error}");
        }
    }
}
