//! Tests of the origin's layers: who names adapters, databases and HTTP.

use std::{collections::BTreeSet, fs};

use super::source::{first_segments, root, sources, through_store, words};

/// Database clients, as sources name them.
const DATABASES: [&str; 6] =
    ["deadpool_postgres", "mongodb", "redis", "refinery", "rusqlite", "tokio_postgres"];

/// Folders of the origin's store that are no adapters: ports, and the contract suites.
const NO_ADAPTERS: [&str; 3] = ["accounts", "chats", "contract"];

/// Folders of the origin that hold domain code: they know no HTTP.
const DOMAIN: [&str; 4] = ["auth", "events", "jobs", "notify"];

/// The folders of the origin's store that are adapters.
fn adapters() -> BTreeSet<String> {
    let folders = fs::read_dir(root().join("origin/src/store")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let names: BTreeSet<_> =
        folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.into_iter().filter(|name| !NO_ADAPTERS.contains(&name.as_str())).collect()
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
    for file in fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
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
        let relative =
            path.strip_prefix(&store).ok().and_then(|path| path.iter().next()).and_then(|name| name.to_str());
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
    let folders: Vec<_> = DOMAIN.iter().map(|folder| src.join(folder)).filter(|path| path.is_dir()).collect();
    assert!(folders.contains(&src.join("auth")), "{folders:?}");
    for (path, code) in folders.iter().flat_map(|folder| sources(folder)) {
        assert!(words(&code).all(|word| word != "axum"), "{} names axum", path.display());
        let names = first_segments(&code, "crate::");
        for module in ["app", "http", "routes", "server"] {
            assert!(!names.contains(module), "{} imports crate::{module}", path.display());
        }
    }
}
