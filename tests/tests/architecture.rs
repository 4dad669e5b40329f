//! The dependency rule, read from `cargo metadata` and from the sources: `edge → shared ← origin`, and within the origin
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

    /// Crates that read a clock, draw randomness, or talk to a disk, a network or a runtime.
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
    /// Crates that speak to a database, as sources name them.
    const DATABASES: [&str; 6] =
        ["deadpool_postgres", "mongodb", "redis", "refinery", "rusqlite", "tokio_postgres"];

    /// The modules of `shared`, each after those that it may use.
    const MODULES: [&str; 10] =
        ["time", "id", "sse", "text", "api", "limits", "auth", "http", "provider", "chat"];

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    /// What each package of the workspace depends on, development dependencies aside.
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

    /// The first names of paths that begin with `crate`, in lists as well as by themselves.
    fn through_crate(code: &str) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for rest in code.split("crate::").skip(1) {
            let Some(list) = rest.strip_prefix('{') else {
                names.extend(words(rest).next());
                continue;
            };
            let (mut depth, mut is_first) = (0, true);
            for (at, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => is_first = true,
                    c if is_first && c.is_alphabetic() => {
                        names.extend(list.get(at..).and_then(|rest| words(rest).next()));
                        is_first = false;
                    }
                    _ => {}
                }
            }
        }
        names
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

    /// The names that paths through `store::` go on with, in `use` lists as well as in expressions.
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
    fn edge_and_origin_know_shared_and_never_each_other() {
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
    fn shared_depends_on_nothing_impure() {
        let shared = &dependencies()["edgechat-shared"];
        let impure: Vec<_> = IMPURE.iter().filter(|name| shared.contains(**name)).collect();
        assert!(impure.is_empty(), "shared depends on {impure:?}");
    }

    #[test]
    fn modules_of_shared_use_only_those_before_them() {
        let folder = root().join("shared/src");
        for (path, code) in sources(&folder) {
            let within = path.strip_prefix(&folder).unwrap().with_extension("");
            let Some(at) = MODULES.iter().position(|module| within.starts_with(module)) else { continue };
            for name in through_crate(&code) {
                let place = MODULES.iter().position(|module| *module == name);
                assert!(place.is_none_or(|place| place <= at), "{} uses {name}", path.display());
            }
        }
        let modules = fs::read_to_string(folder.join("lib.rs")).unwrap();
        let modules: BTreeSet<_> =
            modules.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
        assert_eq!(modules, BTreeSet::from(MODULES));
    }

    #[test]
    fn path_through_the_crate_is_found_however_it_is_written() {
        let code =
            "use crate::{api::{ErrorCode, auth::Claims}, chat, limits::{self}};\nfn f() { crate::http::g() }";
        assert_eq!(through_crate(code), BTreeSet::from(["api", "chat", "limits", "http"]));
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
    fn only_the_edge_knows_the_platform() {
        for (package, dependencies) in dependencies() {
            assert_eq!(dependencies.contains("worker"), package == "edgechat-edge", "{package}");
        }
    }

    #[test]
    fn only_the_store_knows_its_adapters() {
        let (adapters, store) = (adapters(), root().join("origin/src/store"));
        assert!(adapters.contains("sqlite"), "{adapters:?}");
        for (path, code) in sources(&root().join("origin/src")) {
            let named: Vec<_> =
                through_store(&code).into_iter().filter(|name| adapters.contains(*name)).collect();
            let within = path.strip_prefix(&store).ok().and_then(|path| path.iter().next());
            // An adapter may name itself, and the contract suites name every adapter once.
            let allowed = within.is_some_and(|folder| {
                folder == "contract" || named.iter().all(|name| folder.to_str() == Some(*name))
            });
            assert!(named.is_empty() || allowed, "{} names {named:?}", path.display());
        }
    }

    #[test]
    fn only_open_picks_an_adapter() {
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
                assert!(!paths.is_empty(), "the store picks its adapters in its own module");
            } else {
                assert!(paths.is_empty(), "{} names {paths:?}", file.display());
            }
        }
    }

    #[test]
    fn only_adapters_speak_to_databases() {
        let (adapters, store) = (adapters(), root().join("origin/src/store"));
        // The drivers read the addresses of their servers, the contract suites make and drop databases on them, and two
        // adapters have what runs their migrations in common.
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
                assert!(!used, "{} speaks to {database}", path.display());
            }
        }
    }

    #[test]
    fn a_path_through_the_store_is_found_however_it_is_written() {
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
