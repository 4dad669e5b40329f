//! Tests of the dependencies between packages, and of what `shared` uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use serde_json::Value;

use super::source::{root, sources, through_crate};

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

/// The modules of `shared`, each after those that it may use.
const MODULES: [&str; 14] = [
    "time",
    "id",
    "backoff",
    "breaker",
    "sse",
    "text",
    "address",
    "api",
    "limits",
    "auth",
    "http",
    "telemetry",
    "provider",
    "chat",
];

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

#[test]
fn edge_and_origin_depend_on_shared_and_not_on_each_other() {
    let all = dependencies();
    let (edge, origin, shared) = (&all["edgechat-edge"], &all["edgechat-origin"], &all["edgechat-shared"]);
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
fn shared_reads_no_clock_and_does_no_io() {
    for (path, code) in sources(&root().join("shared/src")) {
        for what in
            ["std::fs", "std::net", "std::process", "std::thread", "SystemTime", "Instant::now", "std::env"]
        {
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
