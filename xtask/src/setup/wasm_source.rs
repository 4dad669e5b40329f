//! The wasm32 standard library built from source, for machines where rustup cannot download.
//!
//! Debian packages the library's source for the very version of the compiler, in a newer suite than the machine's own
//! perhaps. The package is fetched with a private apt configuration (the machine's is only read), the library is built
//! with cargo's `-Zbuild-std`, and the result goes into the compiler's own folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{
    apt::{Apt, SUITE, package_version},
    compiler::{Compiler, TARGET},
    files::{copy_folder, list},
};
use crate::{process::program::stdout_of, step, workspace::Workspace};

const PACKAGE: &str = "rust-src";

/// Builds and installs the library for `compiler`.
///
/// # Errors
/// Fails when this is not Debian, the package of that version cannot be had, the build fails, or the compiler's folder
/// cannot be written to.
pub(super) fn build(workspace: &Workspace, compiler: &Compiler) -> Result<()> {
    let scratch = workspace.target().join("xtask-wasm-source");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    let library = fetch(workspace, compiler, &scratch)?;
    let source = compiler.sysroot.join("lib/rustlib/src/rust/library");
    let is_missing = !source.exists();
    if is_missing {
        place_source(&library, &source)?;
    }
    let built = compile(workspace, compiler, &scratch);
    if is_missing {
        remove_source(&source, &compiler.sysroot)?;
    }
    install(&built?, &compiler.libraries())?;
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))
}

/// Fetches and unpacks the package; gives the folder `library` of the source.
fn fetch(workspace: &Workspace, compiler: &Compiler, scratch: &Path) -> Result<PathBuf> {
    let apt = Apt::prepare(scratch)?;
    let logs = workspace.setup_logs();
    let title = format!("Package list of {SUITE} (apt-get update, privately)");
    step::logged(&title, &mut apt.command("apt-get", &["update"]), &logs.join("apt-update.log"))?;
    let listed = stdout_of(&mut apt.command("apt-cache", &["madison", PACKAGE]))?;
    let version = package_version(&listed, &compiler.version)
        .with_context(|| format!("{SUITE} has no {PACKAGE} of version {}", compiler.version))?;
    let wanted = format!("{PACKAGE}={version}");
    step::logged(
        &format!("Source of the standard library ({wanted})"),
        apt.command("apt-get", &["download", &wanted]).current_dir(scratch),
        &logs.join("apt-download.log"),
    )?;
    let unpacked = scratch.join("unpacked");
    stdout_of(Command::new("dpkg-deb").arg("-x").arg(file_ending_in(scratch, "deb")?).arg(&unpacked))?;
    let library = unpacked.join("usr/src").join(format!("rustc-{}", compiler.version)).join("library");
    if !library.is_dir() {
        bail!("the package {wanted} holds no {}", library.display());
    }
    Ok(library)
}

/// Builds the library and gives its files.
fn compile(workspace: &Workspace, compiler: &Compiler, scratch: &Path) -> Result<Vec<PathBuf>> {
    let empty = scratch.join("empty");
    fs::create_dir_all(empty.join("src")).context("cannot make a crate to build the library with")?;
    fs::write(
        empty.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n",
    )
    .and_then(|()| fs::write(empty.join("src/lib.rs"), ""))
    .context("cannot write the crate to build the library with")?;
    let output = scratch.join("target");
    let mut command = Command::new("cargo");
    command
        .args(["build", "--release", "-Zbuild-std=std,panic_abort", "--target", TARGET, "--target-dir"])
        .arg(&output)
        .current_dir(&empty)
        .env("RUSTC_BOOTSTRAP", "1")
        // Bitcode, so that the Worker can be linked with LTO.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    let title = format!("wasm32 standard library {} (cargo build)", compiler.version);
    step::logged(&title, &mut command, &workspace.setup_logs().join("wasm-std.log"))?;
    let folder = output.join(TARGET).join("release/deps");
    let files: Vec<_> = list(&folder)?.into_iter().filter(|file| is_library(file)).collect();
    if files.is_empty() {
        bail!("the build left no library in {}", folder.display());
    }
    Ok(files)
}

/// Copies the source into the folder in which cargo looks for it, all at once.
fn place_source(library: &Path, source: &Path) -> Result<()> {
    let staging = source.with_extension("new");
    let cannot = || format!("cannot write {}", source.display());
    if staging.exists() {
        fs::remove_dir_all(&staging).with_context(cannot)?;
    }
    copy_folder(library, &staging)?;
    fs::rename(&staging, source).with_context(cannot)
}

/// Removes the source again: left there, it would be in the way of `rustup component add rust-src`.
fn remove_source(source: &Path, sysroot: &Path) -> Result<()> {
    fs::remove_dir_all(source).with_context(|| format!("cannot remove {}", source.display()))?;
    for folder in source.ancestors().skip(1).take_while(|folder| *folder != sysroot) {
        // The first that holds something else ends it.
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

/// Puts the files in place all at once, so that a half-copied library is never taken for a whole one.
fn install(files: &[PathBuf], place: &Path) -> Result<()> {
    let rustlib = place.parent().context("the compiler's folder has no folder above it")?;
    let staging = rustlib.join("lib.new");
    let cannot = || format!("cannot write to {}", rustlib.display());
    if staging.exists() {
        fs::remove_dir_all(&staging).with_context(cannot)?;
    }
    fs::create_dir_all(&staging).with_context(cannot)?;
    for file in files {
        fs::copy(file, staging.join(file.file_name().unwrap_or_default())).with_context(cannot)?;
    }
    if place.exists() {
        fs::remove_dir_all(place).with_context(cannot)?;
    }
    fs::rename(&staging, place).with_context(cannot)
}

fn is_library(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.extension().is_some_and(|end| end == "rlib")
        && name.starts_with("lib")
        && !name.starts_with("libempty-")
}

fn file_ending_in(folder: &Path, end: &str) -> Result<PathBuf> {
    list(folder)?
        .into_iter()
        .find(|file| file.extension().is_some_and(|held| held == end))
        .with_context(|| format!("no .{end} file came into {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_removed_with_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (library, sysroot) = (folder.path().join("library"), folder.path().join("sysroot"));
        fs::create_dir_all(library.join("core")).unwrap();
        fs::write(library.join("core/lib.rs"), "core").unwrap();
        fs::create_dir_all(sysroot.join("lib/rustlib/etc")).unwrap();
        let source = sysroot.join("lib/rustlib/src/rust/library");
        place_source(&library, &source).unwrap();
        assert_eq!(fs::read_to_string(source.join("core/lib.rs")).unwrap(), "core");
        remove_source(&source, &sysroot).unwrap();
        assert_eq!(list(&sysroot.join("lib/rustlib")).unwrap(), [sysroot.join("lib/rustlib/etc")]);
    }

    #[test]
    fn install_replaces_the_folder_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("wasm/lib");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("libold-1.rlib"), "").unwrap();
        let file = folder.path().join("libcore-1.rlib");
        fs::write(&file, "core").unwrap();
        install(&[file], &place).unwrap();
        assert_eq!(list(&place).unwrap(), [place.join("libcore-1.rlib")]);
        assert_eq!(fs::read_to_string(place.join("libcore-1.rlib")).unwrap(), "core");
    }
}
