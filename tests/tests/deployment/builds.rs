//! Tests of the Dockerfiles: locked builds, versions and pinned images.

use std::collections::{BTreeMap, BTreeSet};

use super::repository::{read, value};

const DOCKERFILES: [&str; 3] = ["edge/Dockerfile", "origin/Dockerfile", "tests/Dockerfile"];

/// The version of a crate in Cargo.lock.
fn locked(name: &str) -> String {
    let lock = read("Cargo.lock");
    let (_, from) = lock.split_once(&format!("name = \"{name}\"\n")).unwrap();
    value(from, "version").to_owned()
}

/// Cargo's own lock is beside its registry, outside the cache: concurrent builds with one registry unpack the same crate at
/// once, and one of them fails.
#[test]
fn image_builds_lock_cargo_registry() {
    let mut locks: BTreeMap<String, Vec<BTreeSet<String>>> = BTreeMap::new();
    for dockerfile in DOCKERFILES {
        for run in read(dockerfile).replace("\\\n", " ").lines().filter(|line| line.starts_with("RUN ")) {
            let mounts: Vec<_> = run.split("--mount=").skip(1).map(str::trim_end).collect();
            let id = |mount: &str| value(&mount.replace(',', "\n"), "id=").to_owned();
            let locked = mounts.iter().filter(|mount| mount.contains("sharing=locked"));
            let locked: BTreeSet<_> = locked.map(|mount| id(mount)).collect();
            for mount in mounts.iter().filter(|mount| mount.contains("/cargo/registry")) {
                locks.entry(id(mount)).or_default().push(locked.clone());
            }
        }
    }
    assert!(locks.len() > 1, "{locks:?}");
    for (registry, locked) in locks {
        let common = locked.iter().skip(1).fold(locked[0].clone(), |common, other| &common & other);
        assert!(!common.is_empty(), "{registry}: no lock separates two builds");
    }
}

#[test]
fn image_cargo_builds_are_locked() {
    let mut builds = 0;
    for path in DOCKERFILES {
        for command in read(path).replace("\\\n", " ").split("&&") {
            if command.contains("cargo install") || command.contains("cargo build") {
                builds += 1;
                assert!(command.contains(" --locked"), "{path}: {command}");
            }
        }
    }
    assert_eq!(builds, 4);
}

#[test]
fn versions_match_repository() {
    let toolchain = read("rust-toolchain.toml");
    for path in DOCKERFILES {
        assert_eq!(value(&read(path), "ARG RUST="), value(&toolchain, "channel"), "{path}");
    }
    assert_eq!(locked("wasm-bindgen-cli-support"), locked("wasm-bindgen"));
    let date = read("edge/workerd.capnp");
    let date = value(&date, "const compatibilityDate :Text");
    for path in ["wrangler.toml", "edge/wrangler.user.toml"] {
        assert_eq!(value(&read(path), "compatibility_date"), date, "{path}");
    }
}

#[test]
fn images_are_pinned_to_versions() {
    let images = ["docker-compose.yml"].into_iter().chain(DOCKERFILES).flat_map(|path| {
        let from = read(path).replace("${RUST}", "1.95.0");
        let stages: Vec<_> =
            from.lines().filter_map(|line| line.split_once(" AS ")).map(|(_, name)| name).collect();
        let images = from.lines().filter_map(|line| {
            line.trim().strip_prefix("FROM ").or_else(|| line.trim().strip_prefix("image: "))
        });
        let images = images.map(|image| image.split(' ').next().unwrap());
        images.filter(|image| !stages.contains(image)).map(str::to_owned).collect::<Vec<_>>()
    });
    let images: BTreeSet<_> = images.collect();
    assert!(images.len() >= 6, "{images:?}");
    for image in images {
        let tag = image.split_once(':').unwrap_or_else(|| panic!("{image} has no tag")).1;
        assert!(tag.chars().filter(char::is_ascii_digit).count() >= 3, "{image} is not pinned to a version");
    }
}
