//! Tests that the variables of the programs are passed through by the containers and kept by deployments.

use std::{collections::BTreeSet, fs};

use super::repository::{read, root, service, value, variables};

/// Variables for tests only.
const NOT_DEPLOYED: [&str; 1] = ["FAULT_INJECTION"];

/// Aliases of variables; docker-compose.yml and start.sh map them.
const ALIASES: [&str; 2] = ["GOOGLE_API_KEY", "SECRET_KEY"];

/// The string literals of a Rust source that are a variable's name.
fn texts(source: &str) -> BTreeSet<&str> {
    let texts = source.split('"').skip(1).step_by(2);
    texts.filter(|text| variables(text).contains(text)).collect()
}

#[test]
fn worker_deployments_keep_variables_and_bind_code_limit() {
    for file in ["wrangler.toml", "edge/wrangler.user.toml"] {
        assert!(read(file).lines().any(|line| line == "keep_vars = true"), "{file}");
    }
    let limiter = read("edge/src/front/limit.rs");
    let (_, bound) = limiter.split_once("FixedLimiter { limit: ").unwrap();
    let (limit, rest) = bound.split_once(", span_ms: ").unwrap();
    let span_ms: u32 = rest.split(' ').next().unwrap().replace('_', "").parse().unwrap();
    let simple = format!("{{ limit = {limit}, period = {} }}", span_ms / 1_000);
    assert_eq!(value(&read("wrangler.toml"), "simple"), simple.trim_matches('"'));
}

#[test]
fn worker_variables_are_passed_through() {
    let config = read("edge/src/config.rs");
    let mut wanted = texts(&config);
    wanted.retain(|name| !NOT_DEPLOYED.contains(name) && !ALIASES.contains(name));
    assert!(wanted.contains("ORIGIN_URL") && wanted.len() > 8, "{wanted:?}");
    let (capnp, start, service) = (read("edge/workerd.capnp"), read("edge/start.sh"), service("edge"));
    for name in &wanted {
        assert!(
            capnp.contains(&format!("(name = \"{name}\", fromEnvironment = \"{name}\")")),
            "workerd.capnp lacks {name}"
        );
    }
    let (_, set) = start.split_once("\nfor name in ").unwrap();
    let set = variables(set.split_once("; do").unwrap().0);
    let named: BTreeSet<_> =
        capnp.split("fromEnvironment = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(set, named, "start.sh sets what workerd.capnp names");
    let handed = variables(&service);
    assert!(named.is_subset(&handed), "docker-compose.yml passes {handed:?}");
}

#[test]
fn origin_variables_are_passed_through() {
    let folder = root().join("origin/src/config");
    let mut sources = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "tests.rs" {
                let text = fs::read_to_string(&path).unwrap();
                sources.push(text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned());
            }
        }
    }
    let wanted: BTreeSet<_> = sources.iter().flat_map(|source| texts(source)).collect();
    assert!(wanted.contains("DATABASE_URL") && wanted.len() > 15, "{wanted:?}");
    let services = [service("secrets"), service("origin")].concat();
    let handed = variables(&services);
    let edge = service("edge");
    let handed_to_edge = variables(&edge);
    // A variable of the Worker; the origin validates it where both read one `.env`, and compose sets its own address.
    assert!(handed_to_edge.contains("ORIGIN_URL"));
    // The image sets it.
    assert!(read("origin/Dockerfile").contains("ENV LISTEN_ADDR=0.0.0.0:8080"));
    let missing: Vec<_> = wanted
        .iter()
        .filter(|name| {
            !["LISTEN_ADDR", "ORIGIN_URL"].contains(name)
                && !ALIASES.contains(name)
                && !handed.contains(*name)
        })
        .collect();
    assert!(missing.is_empty(), "docker-compose.yml does not pass {missing:?}");
}
