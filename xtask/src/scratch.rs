//! The temporary folder of a run: the programs that it starts make theirs in there, and all end with it. What a run that
//! was killed has left, the next one removes.

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow};

/// Short: sockets of databases lie below, whose paths may have about a hundred bytes in all.
const PREFIX: &str = "ec-";
/// Held for as long as the run lives, which the system ends with the process.
const LOCK: &str = "lock";
/// Others may pass through and see nothing: PostgreSQL may run as another user.
const MODE: u32 = 0o711;

/// A run's folder. It goes with the value.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one among the temporary files of the system.
    ///
    /// # Errors
    /// Fails when it cannot be made.
    pub(crate) fn make() -> Result<Self> {
        let parent = std::path::absolute(std::env::temp_dir()).context("the temporary folder is nowhere")?;
        sweep(&parent);
        Self::make_in(&parent)
    }

    /// Lets a program make its temporary files there.
    pub(crate) fn set_vars(&self, command: &mut Command) {
        command.env("TMPDIR", &self.folder);
    }

    fn make_in(parent: &Path) -> Result<Self> {
        let mut number = [0; 4];
        getrandom::fill(&mut number).map_err(|error| anyhow!("the system gives no randomness: {error}"))?;
        let folder = parent.join(format!("{PREFIX}{:08x}", u32::from_ne_bytes(number)));
        let cannot = || format!("cannot make the temporary folder {}", folder.display());
        fs::create_dir(&folder).with_context(cannot)?;
        fs::set_permissions(&folder, Permissions::from_mode(MODE)).with_context(cannot)?;
        let lock = File::create(folder.join(LOCK)).with_context(cannot)?;
        lock.try_lock().with_context(cannot)?;
        Ok(Self { folder, _lock: lock })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed by the next run.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes the folders of runs that have ended. What cannot be removed stays.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && is_ours(&entry.file_name()) && has_ended(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_ours(name: &OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    number.is_some_and(|number| number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns whether nobody holds its lock. A folder that has none yet is just being made.
fn has_ended(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_of_a_run_goes_with_it() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::make_in(parent.path()).unwrap();
        let mut command = Command::new("sh");
        scratch.set_vars(command.args(["-c", "mkdir -p \"$TMPDIR/a/b\" && echo x > \"$TMPDIR/a/b/c\""]));
        assert!(command.status().unwrap().success());
        let inside = scratch.folder.join("a/b/c");
        assert!(inside.is_file() && inside.starts_with(parent.path()));
        drop(scratch);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn sweep_removes_folders_of_dead_runs_alone() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::make_in(parent.path()).unwrap();
        let others = ["ec-0000000", "ec-0000000g", "edgechat-test-00000000"];
        let dead = ["ec-00000001", "ec-0000000f"];
        for name in others.iter().chain(&dead) {
            fs::create_dir(parent.path().join(name)).unwrap();
            fs::write(parent.path().join(name).join(LOCK), "").unwrap();
        }
        let unlocked = parent.path().join("ec-00000002");
        fs::create_dir(&unlocked).unwrap();
        std::os::unix::fs::symlink(parent.path().join(others[0]), parent.path().join("ec-00000003")).unwrap();
        sweep(parent.path());
        assert!(living.folder.is_dir() && unlocked.is_dir());
        assert!(others.iter().all(|name| parent.path().join(name).join(LOCK).is_file()));
        assert!(dead.iter().all(|name| !parent.path().join(name).exists()));
    }
}
