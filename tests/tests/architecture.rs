//! The dependency rule, read from `cargo metadata` and from the sources: `edge → shared ← origin`, and within the origin
//! `routes → domain → ports ← adapters`, without circles.

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

    /// Folders of the origin's store that are no adapters: a port, and the contract suites.
    const NO_ADAPTERS: [&str; 2] = ["accounts", "contract"];
    /// Folders of the origin that hold domain code: they know no HTTP.
    const DOMAIN: [&str; 4] = ["auth", "events", "jobs", "notify"];
    /// The modules of `shared`, each after those that it may use.
    const MODULES: [&str; 12] = [
        "time",
        "id",
        "backoff",
        "sse",
        "text",
        "api",
        "limits",
        "auth",
        "http",
        "telemetry",
        "provider",
        "chat",
    ];

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

    /// The names that paths through `base`, such as `crate::`, go on with: in `use` lists as well as in expressions.
    fn first_segments<'a>(code: &'a str, base: &str) -> BTreeSet<&'a str> {
        let mut names = BTreeSet::new();
        for rest in code.split(base).skip(1) {
            let Some(list) = rest.strip_prefix('{') else {
                names.extend(words(rest).next().filter(|word| rest.starts_with(word)));
                continue;
            };
            let (mut depth, mut is_first) = (0, true);
            for token in list.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
                let (word, end) =
                    token.split_at(token.len() - token.chars().last().map_or(0, char::len_utf8));
                if is_first && depth == 0 && !word.is_empty() {
                    names.insert(word);
                    is_first = false;
                }
                match end {
                    "{" => depth += 1,
                    "}" if depth == 0 => break,
                    "}" => depth -= 1,
                    "," if depth == 0 => is_first = true,
                    _ => {}
                }
            }
        }
        names
    }

    /// The modules of a crate's root, each with those that its code names. Tests do not count.
    fn imports(crate_folder: &str) -> BTreeMap<String, BTreeSet<String>> {
        let src = root().join(crate_folder).join("src");
        let mut imports = BTreeMap::<_, BTreeSet<_>>::new();
        for (path, code) in sources(&src) {
            let path = path.strip_prefix(&src).unwrap().with_extension("");
            let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
            if parts.iter().any(|part| ["contract", "down", "tests"].contains(part)) {
                continue;
            }
            let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
            let names = imports.entry(parts[0].to_owned()).or_default();
            let mut add = |base| names.extend(first_segments(code, base).into_iter().map(str::to_owned));
            add("crate::");
            if matches!(parts[..], [_] | [_, "mod"]) {
                add("super::");
            }
        }
        imports
    }

    /// A way from a module back to itself, if there is one.
    fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
        fn follow<'a>(
            imports: &'a BTreeMap<String, BTreeSet<String>>,
            way: &mut Vec<&'a String>,
            done: &mut BTreeSet<&'a String>,
        ) -> bool {
            let module = way[way.len() - 1];
            for next in imports.get(module).into_iter().flatten().filter(|next| *next != module) {
                if way.contains(&next) {
                    way.push(next);
                    return true;
                }
                if done.insert(next) {
                    way.push(next);
                    if follow(imports, way, done) {
                        return true;
                    }
                    way.pop();
                }
            }
            false
        }
        let mut done = BTreeSet::new();
        imports.keys().find_map(|module| {
            let mut way = vec![module];
            follow(imports, &mut way, &mut done).then(|| {
                let start = way.iter().position(|module| Some(module) == way.last()).unwrap();
                way[start..].iter().map(|module| (*module).clone()).collect()
            })
        })
    }

    /// The folders of the origin's store that are adapters.
    fn adapters() -> BTreeSet<String> {
        let folders = fs::read_dir(root().join("origin/src/store")).unwrap();
        let folders = folders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        let names: BTreeSet<_> =
            folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        names.into_iter().filter(|name| !NO_ADAPTERS.contains(&name.as_str())).collect()
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
    fn modules_of_shared_use_only_those_before_them() {
        let folder = root().join("shared/src");
        for (path, code) in sources(&folder) {
            let relative = path.strip_prefix(&folder).unwrap().with_extension("");
            let Some(at) = MODULES.iter().position(|module| relative.starts_with(module)) else { continue };
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
            let names: Vec<_> =
                through_store(&code).into_iter().filter(|name| adapters.contains(*name)).collect();
            let relative = path.strip_prefix(&store).ok().and_then(|path| path.iter().next());
            // An adapter may name itself, and the contract suites name each adapter once.
            let allowed = relative.is_some_and(|folder| {
                folder == "contract" || names.iter().all(|name| folder.to_str() == Some(*name))
            });
            assert!(names.is_empty() || allowed, "{} names {names:?}", path.display());
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
            let relative = path
                .strip_prefix(&store)
                .ok()
                .and_then(|path| path.iter().next())
                .and_then(|name| name.to_str());
            if relative.is_some_and(|folder| adapters.contains(folder)) {
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
    fn domain_code_knows_no_http() {
        let src = root().join("origin/src");
        let folders: Vec<_> =
            DOMAIN.iter().map(|folder| src.join(folder)).filter(|path| path.is_dir()).collect();
        assert!(folders.contains(&src.join("auth")), "{folders:?}");
        for (path, code) in folders.iter().flat_map(|folder| sources(folder)) {
            assert!(words(&code).all(|word| word != "axum"), "{} names axum", path.display());
            let names = first_segments(&code, "crate::");
            for module in ["app", "http", "routes", "server"] {
                assert!(!names.contains(module), "{} imports crate::{module}", path.display());
            }
        }
    }

    #[test]
    fn modules_of_a_crate_import_each_other_one_way() {
        for crate_folder in ["edge", "origin"] {
            let circle = circle(&imports(crate_folder));
            assert!(circle.is_none(), "{crate_folder}: {}", circle.unwrap().join(" -> "));
        }
    }

    #[test]
    fn import_circle_is_named() {
        let imports = |edges: &[(&str, &str)]| {
            let mut imports = BTreeMap::<_, BTreeSet<_>>::new();
            for (from, to) in edges {
                imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            }
            imports
        };
        assert_eq!(circle(&imports(&[("a", "b"), ("a", "c"), ("b", "c"), ("c", "c")])), None);
        let found = circle(&imports(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")]));
        assert_eq!(found.unwrap(), ["b", "c", "d", "b"]);
    }

    #[test]
    fn first_segment_of_an_import_is_found_however_it_is_written() {
        let code = "use crate::{app::App, http::{Error, body::{read, has}}, store,\n};\nuse crate::cli;\nfn f() { crate::a::b() }";
        assert_eq!(first_segments(code, "crate::"), ["a", "app", "cli", "http", "store"].into());
        assert_eq!(first_segments("use super::*;", "super::"), BTreeSet::new());
    }

    #[test]
    fn path_through_store_is_found_in_any_notation() {
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
