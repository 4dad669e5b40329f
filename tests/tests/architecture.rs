//! The dependency rule, checked against `cargo metadata` and the sources: `edge → shared ← origin`, and within the origin
//! `routes → ports ← adapters`.

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
        path::{Path, PathBuf},
        process::Command,
    };

    use serde_json::Value;

    /// Crates that read a clock, draw randomness, or use a disk, a network or a runtime.
    const IMPURE: [&str; 14] = [
        "axum",
        "getrandom",
        "hyper",
        "js-sys",
        "mongodb",
        "rand",
        "redis",
        "reqwest",
        "rusqlite",
        "tokio",
        "tokio-postgres",
        "wasm-bindgen",
        "web-sys",
        "worker",
    ];
    /// Database clients, as sources name them.
    const DATABASES: [&str; 6] =
        ["deadpool_postgres", "mongodb", "redis", "refinery", "rusqlite", "tokio_postgres"];

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    /// Returns the dependencies of each package of the workspace, without development dependencies.
    fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
        let packages = metadata["packages"].as_array().unwrap();
        packages
            .iter()
            .map(|package| {
                let all = package["dependencies"].as_array().unwrap().iter();
                (name(package), all.filter(|dependency| dependency["kind"] != "dev").map(name).collect())
            })
            .collect()
    }

    /// Every Rust source below a folder, without its line comments.
    fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(sources(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code: Vec<_> = text.lines().map(|line| line.split("//").next().unwrap()).collect();
                found.push((path, code.join("\n")));
            }
        }
        found
    }

    fn words(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
    }

    /// The names that follow `store::` in paths, in `use` lists as well as in expressions.
    fn through_store(code: &str) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for rest in code.split("store::").skip(1) {
            let path = match rest.strip_prefix('{') {
                // A list may nest, but nothing in it is more than a path.
                Some(list) => list.split(';').next().unwrap(),
                None => rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap(),
            };
            names.extend(words(path));
        }
        names
    }

    /// The folders of the origin's store that are adapters.
    fn adapters() -> BTreeSet<String> {
        let folders = fs::read_dir(root().join("origin/src/store")).unwrap();
        let folders = folders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        let names: BTreeSet<_> =
            folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        names.into_iter().filter(|name| name != "contract").collect()
    }

    #[test]
    fn edge_and_origin_depend_on_shared_and_not_on_each_other() {
        let all = dependencies();
        let (edge, origin, shared) =
            (&all["edgechat-edge"], &all["edgechat-origin"], &all["edgechat-shared"]);
        assert!(edge.contains("edgechat-shared") && origin.contains("edgechat-shared"));
        assert!(!edge.contains("edgechat-origin") && !origin.contains("edgechat-edge"));
        for package in all.keys() {
            assert!(!shared.contains(package), "shared depends on {package}");
        }
    }

    #[test]
    fn shared_depends_on_pure_crates_only() {
        let shared = &dependencies()["edgechat-shared"];
        let impure: Vec<_> = IMPURE.iter().filter(|name| shared.contains(**name)).collect();
        assert!(impure.is_empty(), "shared depends on {impure:?}");
    }

    #[test]
    fn shared_reads_no_clock_and_does_no_io() {
        for (path, code) in sources(&root().join("shared/src")) {
            for what in [
                "std::fs",
                "std::net",
                "std::process",
                "std::thread",
                "SystemTime",
                "Instant::now",
                "std::env",
            ] {
                assert!(!code.contains(what), "{} in {}", what, path.display());
            }
        }
    }

    #[test]
    fn platform_crate_is_used_by_edge_only() {
        for (package, dependencies) in dependencies() {
            assert_eq!(dependencies.contains("worker"), package == "edgechat-edge", "{package}");
        }
    }

    #[test]
    fn adapters_are_named_by_store_only() {
        let (adapters, store) = (adapters(), root().join("origin/src/store"));
        assert!(adapters.contains("sqlite"), "{adapters:?}");
        for (path, code) in sources(&root().join("origin/src")) {
            let named: Vec<_> =
                through_store(&code).into_iter().filter(|name| adapters.contains(*name)).collect();
            let within = path.strip_prefix(&store).ok().and_then(|path| path.iter().next());
            // An adapter may name itself, and the contract suites name each adapter once.
            let allowed = within.is_some_and(|folder| {
                folder == "contract" || named.iter().all(|name| folder.to_str() == Some(*name))
            });
            assert!(named.is_empty() || allowed, "{} names {named:?}", path.display());
        }
    }

    #[test]
    fn adapter_is_chosen_by_open_only() {
        let adapters = adapters();
        let store = root().join("origin/src/store");
        for file in
            fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
        {
            let code = fs::read_to_string(&file).unwrap();
            let code: Vec<_> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
            let code = code.join("\n");
            let paths: Vec<_> = adapters.iter().filter(|name| code.contains(&format!("{name}::"))).collect();
            if file.file_name().unwrap() == "mod.rs" {
                assert!(!paths.is_empty(), "the store chooses its adapters in its own module");
            } else {
                assert!(paths.is_empty(), "{} names {paths:?}", file.display());
            }
        }
    }

    #[test]
    fn databases_are_used_by_adapters_only() {
        let (adapters, store) = (adapters(), root().join("origin/src/store"));
        // The drivers parse the addresses of their servers, the contract suites create and drop databases on them, and two
        // adapters share their migration runner.
        let allowed =
            [root().join("origin/src/config/stores"), store.join("contract"), store.join("migrations.rs")];
        for (path, code) in sources(&root().join("origin/src")) {
            if allowed.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            let within = path
                .strip_prefix(&store)
                .ok()
                .and_then(|path| path.iter().next())
                .and_then(|name| name.to_str());
            if within.is_some_and(|folder| adapters.contains(folder)) {
                continue;
            }
            for database in DATABASES {
                let used =
                    code.contains(&format!("use {database}::")) || code.contains(&format!(" {database}::"));
                assert!(!used, "{} uses {database}", path.display());
            }
        }
    }

    #[test]
    fn store_path_is_found_in_every_notation() {
        for code in [
            "use crate::store::sqlite::SqliteChats;",
            "use crate::{config, store::{Chats, sqlite::{SqliteChats, engine}}};",
            "fn f() { crate::store::sqlite::open(path) }",
        ] {
            assert!(through_store(code).contains("sqlite"), "{code}");
        }
        assert!(!through_store("use crate::store::{Chats, Accounts};\nfn sqlite() {}").contains("sqlite"));
    }
}
