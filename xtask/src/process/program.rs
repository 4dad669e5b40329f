//! Finding programs, and small questions to them whose answer is one piece of text.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The program's place on `PATH`, or `None`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    find_in(&std::env::var_os("PATH")?, name)
}

/// The program's place on `PATH`.
///
/// # Errors
/// Fails with one sentence that names the program and `remedy`, when it is not there.
pub(crate) fn require(name: &str, remedy: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("the program `{name}` is missing: {remedy}"))
}

/// Returns what a program prints on its standard output, trimmed.
///
/// # Errors
/// Fails when it cannot be started or fails; the sentence holds the first line of its error output.
pub(crate) fn stdout_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{name} failed: {}",
            errors.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason was given")
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `PATH` with `first` before all else.
pub(crate) fn path_with(first: &Path) -> OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(first.to_path_buf()).chain(std::env::split_paths(&rest));
    std::env::join_paths(all).unwrap_or(rest)
}

fn find_in(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn file_that_is_not_executable_is_no_program() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(one.path().join("tool"), "").unwrap();
        std::fs::write(two.path().join("tool"), "").unwrap();
        std::fs::set_permissions(two.path().join("tool"), PermissionsExt::from_mode(0o755)).unwrap();
        let path = std::env::join_paths([one.path(), two.path()]).unwrap();
        assert_eq!(find_in(&path, "tool"), Some(two.path().join("tool")));
        assert_eq!(find_in(&path, "other"), None);
    }

    #[test]
    fn missing_program_is_named_with_its_remedy() {
        let error = require("no-such-program-here", "install it").unwrap_err();
        assert_eq!(error.to_string(), "the program `no-such-program-here` is missing: install it");
    }

    #[test]
    fn stdout_of_a_failing_program_is_the_reason() {
        assert_eq!(stdout_of(Command::new("sh").args(["-c", "echo ' 1.2 '"])).unwrap(), "1.2");
        let error =
            stdout_of(Command::new("sh").args(["-c", "echo >&2; echo broken >&2; exit 1"])).unwrap_err();
        assert_eq!(error.to_string(), "sh failed: broken");
    }
}
