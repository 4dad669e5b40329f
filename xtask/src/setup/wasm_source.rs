//! The wasm32 standard library built from source, for machines where rustup cannot download.
//!
//! Debian packages the library's source for the very version of the compiler, in a newer suite than the machine's own
//! perhaps. The package is fetched with a private apt configuration (the machine's is only read), the library is built
//! with cargo's `-Zbuild-std`, and what comes out is put where the compiler looks for it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::wasm::{Compiler, TARGET};
use crate::{
    process::program::{ask, require},
    step,
    workspace::Workspace,
};

/// The suite that holds the source of current compilers.
const SUITE: &str = "trixie-backports";
const PACKAGE: &str = "rust-src";
const DEBIAN_ONLY: &str = "this way works on Debian only, whose tools these are";

/// Builds and installs the library for `compiler`.
///
/// # Errors
/// When this is not Debian, the package of that version cannot be had, the build fails, or the compiler's folder
/// cannot be written to.
pub(super) fn build(workspace: &Workspace, compiler: &Compiler) -> Result<()> {
    let scratch = workspace.target().join("xtask-wasm-source");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    let library = fetch(workspace, compiler, &scratch)?;
    let source = compiler.sysroot.join("lib/rustlib/src/rust/library");
    let borrowed = !source.exists();
    if borrowed {
        copy_folder(&library, &source)?;
    }
    let built = compile(workspace, compiler, &scratch);
    if borrowed {
        // Left there, it would be in the way of `rustup component add rust-src`.
        fs::remove_dir_all(&source).with_context(|| format!("cannot remove {}", source.display()))?;
    }
    install(&built?, &compiler.libraries())?;
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))
}

/// Fetches and unpacks the package; gives the folder `library` of the source.
fn fetch(workspace: &Workspace, compiler: &Compiler, scratch: &Path) -> Result<PathBuf> {
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        require(program, DEBIAN_ONLY)?;
    }
    let apt = Apt::prepare(scratch)?;
    let logs = workspace.setup_logs();
    let title = format!("Package list of {SUITE} (apt-get update, privately)");
    step::logged(&title, &apt.command("apt-get", &["update"]), &logs.join("apt-update.log"))?;
    let listed = ask(&mut apt.command("apt-cache", &["madison", PACKAGE]))?;
    let version = package_version(&listed, &compiler.version)
        .with_context(|| format!("{SUITE} has no {PACKAGE} of version {}", compiler.version))?;
    let wanted = format!("{PACKAGE}={version}");
    step::logged(
        &format!("Source of the standard library ({wanted})"),
        apt.command("apt-get", &["download", &wanted]).current_dir(scratch),
        &logs.join("apt-download.log"),
    )?;
    let unpacked = scratch.join("unpacked");
    ask(Command::new("dpkg-deb").arg("-x").arg(file_ending_in(scratch, "deb")?).arg(&unpacked))?;
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
    step::logged(&title, &command, &workspace.setup_logs().join("wasm-std.log"))?;
    let folder = output.join(TARGET).join("release/deps");
    let files: Vec<_> = list(&folder)?.into_iter().filter(|file| is_library(file)).collect();
    if files.is_empty() {
        bail!("the build left no library in {}", folder.display());
    }
    Ok(files)
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

/// apt with lists and cache of its own.
struct Apt {
    options: Vec<OsString>,
}

impl Apt {
    fn prepare(scratch: &Path) -> Result<Self> {
        let codename = debian_codename(&fs::read_to_string("/etc/os-release").unwrap_or_default())
            .context(DEBIAN_ONLY)?
            .to_owned();
        let mut texts = Vec::new();
        for file in list(Path::new("/etc/apt/sources.list.d"))
            .unwrap_or_default()
            .into_iter()
            .chain([PathBuf::from("/etc/apt/sources.list")])
        {
            if file.extension().is_some_and(|end| end == "list" || end == "sources") {
                texts.push(fs::read_to_string(&file).unwrap_or_default());
            }
        }
        let source = texts
            .iter()
            .find_map(|text| derived_source(text, &codename))
            .with_context(|| format!("no apt source of {codename} was found"))?;
        let (lists, archives) = (scratch.join("lists"), scratch.join("archives"));
        for folder in [lists.join("partial"), archives.join("partial")] {
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let file = scratch.join(if source.starts_with("deb ") { "suite.list" } else { "suite.sources" });
        fs::write(&file, source).with_context(|| format!("cannot write {}", file.display()))?;
        let mut options = Vec::new();
        for (name, value) in [
            ("Dir::Etc::sourcelist", file.as_os_str()),
            ("Dir::Etc::sourceparts", "-".as_ref()),
            ("Dir::State::lists", lists.as_os_str()),
            ("Dir::Cache::archives", archives.as_os_str()),
            ("Dir::Cache::pkgcache", "".as_ref()),
            ("Dir::Cache::srcpkgcache", "".as_ref()),
            // Only root could become another user; the scratch folder is this user's.
            ("APT::Sandbox::User", "".as_ref()),
        ] {
            let mut option = OsString::from(format!("{name}="));
            option.push(value);
            options.extend(["-o".into(), option]);
        }
        Ok(Self { options })
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).args(args);
        command
    }
}

/// The codename in `/etc/os-release`, if this is Debian.
fn debian_codename(os_release: &str) -> Option<&str> {
    let value = |name: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|held| held.trim_matches('"'))
    };
    (value("ID")? == "debian").then_some(())?;
    value("VERSION_CODENAME")
}

/// From one apt source file, the source of [`SUITE`] at the place where `codename` itself comes from: the same entry
/// with the suite's name replaced. Both of apt's formats are understood.
fn derived_source(text: &str, codename: &str) -> Option<String> {
    text.lines().find_map(|line| derived_line(line, codename)).or_else(|| {
        let mut stanza = Vec::new();
        for line in text.lines().chain([""]) {
            if !line.trim().is_empty() {
                stanza.push(line);
            } else if let Some(derived) = derived_stanza(&std::mem::take(&mut stanza), codename) {
                return Some(derived);
            }
        }
        None
    })
}

/// `deb [options] place suite components…`
fn derived_line(line: &str, codename: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((options, rest)) => (format!("[{}] ", options.trim()), rest),
        None => (String::new(), rest),
    };
    let mut words = rest.split_whitespace();
    let (place, suite) = (words.next()?, words.next()?);
    (suite == codename).then(|| format!("deb {options}{place} {SUITE} main\n"))
}

/// A paragraph of `Name: value` lines.
fn derived_stanza(lines: &[&str], codename: &str) -> Option<String> {
    let field = |name: &str| {
        lines.iter().find_map(|line| {
            let (held, value) = line.split_once(':')?;
            held.eq_ignore_ascii_case(name).then_some(value)
        })
    };
    let lists =
        |name: &str, word: &str| field(name).is_some_and(|value| value.split_whitespace().any(|w| w == word));
    let off = field("Enabled").is_some_and(|value| value.trim().eq_ignore_ascii_case("no"));
    if off || !lists("Types", "deb") || !lists("Suites", codename) {
        return None;
    }
    let mut derived = String::new();
    for line in lines.iter().filter(|line| !line.starts_with('#')) {
        match line.split_once(':').map(|(name, _)| name.to_ascii_lowercase()).as_deref() {
            Some("types") => derived.push_str("Types: deb"),
            Some("suites") => {
                derived.push_str("Suites: ");
                derived.push_str(SUITE);
            }
            Some("components") => derived.push_str("Components: main"),
            _ => derived.push_str(line),
        }
        derived.push('\n');
    }
    Some(derived)
}

/// From `apt-cache madison`, the package version for a compiler version.
fn package_version<'a>(madison: &'a str, compiler: &str) -> Option<&'a str> {
    madison.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).find(|version| {
        version
            .strip_prefix(compiler)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', '-', '~']))
    })
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

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .with_context(|| format!("cannot list {}", folder.display()))?;
    files.sort();
    Ok(files)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debian_has_a_codename_here() {
        assert_eq!(debian_codename("ID=debian\nVERSION_CODENAME=bookworm\n"), Some("bookworm"));
        assert_eq!(debian_codename("VERSION_CODENAME=\"noble\"\nID=ubuntu\n"), None);
        assert_eq!(debian_codename(""), None);
    }

    #[test]
    fn the_one_line_format_keeps_options_and_place() {
        let text = "# a comment\ndeb [signed-by=/k.gpg arch=amd64]  http://mirror.example/debian bookworm main contrib\n";
        assert_eq!(
            derived_source(text, "bookworm").unwrap(),
            "deb [signed-by=/k.gpg arch=amd64] http://mirror.example/debian trixie-backports main\n"
        );
        assert_eq!(
            derived_source("deb http://mirror.example/debian bookworm main", "bookworm").unwrap(),
            "deb http://mirror.example/debian trixie-backports main\n"
        );
        assert_eq!(derived_source("deb http://security.example/ bookworm-security main", "bookworm"), None);
        assert_eq!(derived_source("deb-src http://mirror.example/debian bookworm main", "bookworm"), None);
    }

    #[test]
    fn the_paragraph_format_keeps_all_but_suite_and_components() {
        let text = "Types: deb\nURIs: http://other.example/x\nSuites: nodistro\nComponents: main\n\n\
                    Types: deb deb-src\n# why\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main contrib\nSigned-By: /k.gpg\n";
        assert_eq!(
            derived_source(text, "bookworm").unwrap(),
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie-backports\nComponents: main\n\
             Signed-By: /k.gpg\n"
        );
    }

    #[test]
    fn a_disabled_paragraph_does_not_count() {
        let text = "Types: deb\nEnabled: no\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n";
        assert_eq!(derived_source(text, "bookworm"), None);
    }

    #[test]
    fn the_package_version_is_exactly_the_compilers() {
        let listed =
            " rust-src | 1.95.1+dfsg1-1~bpo13+1 | place\n  rust-src | 1.95.0+dfsg1-1~bpo13+1 | place\n";
        assert_eq!(package_version(listed, "1.95.0"), Some("1.95.0+dfsg1-1~bpo13+1"));
        assert_eq!(package_version(listed, "1.95"), None);
        assert_eq!(package_version("", "1.95.0"), None);
    }

    #[test]
    fn installing_replaces_the_folder_as_a_whole() {
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
