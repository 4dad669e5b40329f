//! The licences and sources of all crates, by the rules of `deny.toml`. cargo-deny reads the same file, but takes minutes to compile.

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
        path::{Path, PathBuf},
        process::Command,
    };

    use serde::Deserialize;
    use spdx::{Expression, LicenseReq, Licensee, ParseMode};

    /// The parts of `deny.toml` that are enforced here. A rule of theirs that this does not know fails the test.
    #[derive(Deserialize)]
    struct Deny {
        licenses: Licenses,
        sources: Sources,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Licenses {
        allow: Vec<String>,
        exceptions: Vec<Exception>,
        include_build: bool,
        include_dev: bool,
        unused_allowed_license: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Exception {
        #[serde(rename = "crate")]
        name: String,
        allow: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Sources {
        unknown_registry: String,
        unknown_git: String,
        allow_registry: Vec<String>,
        allow_git: Vec<String>,
    }

    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }

    #[derive(Clone, Deserialize)]
    struct Package {
        name: String,
        version: String,
        license: Option<String>,
        /// `None` for what lies in a folder.
        source: Option<String>,
        manifest_path: PathBuf,
    }

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    fn deny() -> Deny {
        let deny: Deny = toml::from_str(&fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap();
        // Everything below judges by these.
        let (licenses, sources) = (&deny.licenses, &deny.sources);
        assert!(licenses.include_build && licenses.include_dev);
        for word in [&licenses.unused_allowed_license, &sources.unknown_registry, &sources.unknown_git] {
            assert_eq!(word, "deny");
        }
        deny
    }

    fn packages() -> Vec<Package> {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--all-features", "--locked", "--format-version", "1"])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Metadata>(&output.stdout).unwrap().packages
    }

    /// Returns one sentence for each crate whose licence is not allowed, and for each licence that is allowed in vain.
    fn license_problems(rules: &Licenses, packages: &[Package]) -> Vec<String> {
        let licensees = |names: &[String]| -> Vec<Licensee> {
            names.iter().map(|name| Licensee::parse(name).unwrap()).collect()
        };
        let general = licensees(&rules.allow);
        let exceptions: BTreeMap<_, _> =
            rules.exceptions.iter().map(|exception| (&exception.name, licensees(&exception.allow))).collect();
        let mut used = BTreeSet::new();
        let mut problems = Vec::new();
        for package in packages {
            let special = exceptions.get(&package.name).map(Vec::as_slice).unwrap_or_default();
            let mut is_allowed = |wanted: &LicenseReq| {
                if let Some(at) = general.iter().position(|allowed| allowed.satisfies(wanted)) {
                    used.insert(at);
                    return true;
                }
                special.iter().any(|allowed| allowed.satisfies(wanted))
            };
            let license = package.license.as_deref().unwrap_or_default();
            // Older crates write `MIT/Apache-2.0`.
            let is_right = Expression::parse_mode(license, ParseMode::LAX)
                .is_ok_and(|expression| expression.evaluate(&mut is_allowed));
            if !is_right {
                problems.push(format!("{} {} has the licence `{license}`", package.name, package.version));
            }
        }
        for (at, name) in rules.allow.iter().enumerate().filter(|(at, _)| !used.contains(at)) {
            problems.push(format!("no crate needs licence {at}, {name}"));
        }
        problems
    }

    /// Returns one sentence for each crate that is neither of this repository nor of an allowed registry or repository.
    fn source_problems(rules: &Sources, packages: &[Package]) -> Vec<String> {
        let is_allowed = |package: &Package| match package.source.as_deref() {
            None => package.manifest_path.starts_with(root()),
            Some(source) => match source.split_once('+') {
                Some(("registry" | "sparse", url)) => {
                    rules.allow_registry.iter().any(|allowed| allowed == url)
                }
                Some(("git", url)) => {
                    let url = url.split(['?', '#']).next().unwrap();
                    rules.allow_git.iter().any(|allowed| allowed == url)
                }
                _ => false,
            },
        };
        let strange = packages.iter().filter(|package| !is_allowed(package));
        strange
            .map(|package| format!("{} {} is from {:?}", package.name, package.version, package.source))
            .collect()
    }

    #[test]
    fn licences_of_all_crates_are_allowed() {
        assert_eq!(license_problems(&deny().licenses, &packages()), [""; 0]);
    }

    #[test]
    fn sources_of_all_crates_are_allowed() {
        assert_eq!(source_problems(&deny().sources, &packages()), [""; 0]);
    }

    fn made_up(license: Option<&str>, source: Option<&str>) -> Package {
        Package {
            name: "made-up".to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            source: source.map(str::to_owned),
            manifest_path: "/elsewhere/Cargo.toml".into(),
        }
    }

    fn rules(allow: &[&str], exceptions: &[&str]) -> Licenses {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Licenses {
            allow: owned(allow),
            exceptions: vec![Exception { name: "made-up".to_owned(), allow: owned(exceptions) }],
            include_build: true,
            include_dev: true,
            unused_allowed_license: "deny".to_owned(),
        }
    }

    #[test]
    fn crate_with_a_licence_outside_the_list_is_named() {
        let problems = |license| {
            license_problems(&rules(&["MIT"], &[]), &[made_up(Some("MIT"), None), made_up(license, None)])
        };
        for license in ["MIT", "MIT OR GPL-3.0-only", "Apache-2.0/MIT", "MIT AND MIT"] {
            assert_eq!(problems(Some(license)), [""; 0], "{license}");
        }
        for license in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0", "nonsense", ""] {
            assert_eq!(problems(Some(license)), [format!("made-up 1.0.0 has the licence `{license}`")]);
        }
        assert_eq!(problems(None), ["made-up 1.0.0 has the licence ``"]);
    }

    #[test]
    fn exception_counts_for_its_crate_alone() {
        let rules = rules(&["MIT"], &["MPL-2.0"]);
        let other = |license| Package { name: "other".to_owned(), ..made_up(Some(license), None) };
        let packages = [made_up(Some("MIT AND MPL-2.0"), None), other("MPL-2.0")];
        assert_eq!(license_problems(&rules, &packages), ["other 1.0.0 has the licence `MPL-2.0`"]);
    }

    #[test]
    fn licence_that_no_crate_needs_is_named() {
        let problems = license_problems(&rules(&["ISC", "MIT"], &[]), &[made_up(Some("MIT OR Zlib"), None)]);
        assert_eq!(problems, ["no crate needs licence 0, ISC"]);
    }

    #[test]
    fn crate_from_elsewhere_is_named() {
        let sources = deny().sources;
        let problems = |source| source_problems(&sources, &[made_up(None, source)]);
        assert_eq!(problems(Some("registry+https://github.com/rust-lang/crates.io-index")), [""; 0]);
        for source in [
            "registry+https://example.com/index",
            "sparse+https://example.com/",
            "git+https://github.com/rust-lang/crates.io-index?branch=main#0123",
            "path",
        ] {
            assert_eq!(problems(Some(source)), [format!("made-up 1.0.0 is from Some({source:?})")]);
        }
        assert_eq!(problems(None), ["made-up 1.0.0 is from None"], "a folder outside");
        let git = Sources { allow_git: vec!["https://example.com/a".to_owned()], ..sources };
        assert_eq!(
            source_problems(&git, &[made_up(None, Some("git+https://example.com/a?tag=1#0123"))]),
            [""; 0]
        );
    }
}
