//! Debian's package tools, used without touching the machine's own configuration, lists or cache.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::files::list;
use crate::process::program::require;

/// The suite that holds the source of current compilers.
pub(super) const SUITE: &str = "trixie-backports";
const DEBIAN_ONLY: &str = "this way works on Debian only, whose tools these are";

/// apt with lists and cache of its own.
pub(super) struct Apt {
    options: Vec<OsString>,
}

impl Apt {
    /// Writes a configuration for [`SUITE`], at the place where the machine's own packages come from, to `scratch`.
    ///
    /// # Errors
    /// Fails when this is not Debian.
    pub(super) fn prepare(scratch: &Path) -> Result<Self> {
        for program in ["apt-get", "apt-cache", "dpkg-deb"] {
            require(program, DEBIAN_ONLY)?;
        }
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

    /// A command of one of apt's programs with this configuration.
    pub(super) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).args(args);
        command
    }
}

/// Returns whether this is Debian.
pub(super) fn is_debian() -> bool {
    debian_codename(&fs::read_to_string("/etc/os-release").unwrap_or_default()).is_some()
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
pub(super) fn package_version<'a>(madison: &'a str, compiler: &str) -> Option<&'a str> {
    madison.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).find(|version| {
        version
            .strip_prefix(compiler)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', '-', '~']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codename_is_debians_alone() {
        assert_eq!(debian_codename("ID=debian\nVERSION_CODENAME=bookworm\n"), Some("bookworm"));
        assert_eq!(debian_codename("VERSION_CODENAME=\"noble\"\nID=ubuntu\n"), None);
        assert_eq!(debian_codename(""), None);
    }

    #[test]
    fn one_line_format_keeps_options_and_place() {
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
    fn paragraph_format_keeps_all_but_suite_and_components() {
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
    fn disabled_paragraph_is_skipped() {
        let text = "Types: deb\nEnabled: no\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n";
        assert_eq!(derived_source(text, "bookworm"), None);
    }

    #[test]
    fn package_version_is_exactly_the_compilers() {
        let listed =
            " rust-src | 1.95.1+dfsg1-1~bpo13+1 | place\n  rust-src | 1.95.0+dfsg1-1~bpo13+1 | place\n";
        assert_eq!(package_version(listed, "1.95.0"), Some("1.95.0+dfsg1-1~bpo13+1"));
        assert_eq!(package_version(listed, "1.95"), None);
        assert_eq!(package_version("", "1.95.0"), None);
    }
}
