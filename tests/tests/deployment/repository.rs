//! Reads the files of the repository that the tests compare.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the rest of the first line that begins with `name`, without quotation marks.
pub(crate) fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no {name}")).trim_matches([' ', '=', '"', ';'])
}

/// The words of a text that look like variables.
pub(crate) fn variables(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c: char| !is_part(c) && !c.is_ascii_lowercase());
    words.filter(|word| word.len() > 4 && word.chars().all(is_part)).collect()
}

/// The services of docker-compose.yml by name, each with its lines.
pub(crate) fn services() -> Vec<(String, String)> {
    let compose = read("docker-compose.yml");
    let (_, from) = compose.split_once("\nservices:\n").unwrap();
    let mut services: Vec<(String, String)> = Vec::new();
    for line in from.split("\nnetworks:\n").next().unwrap().lines() {
        match line.strip_prefix("  ").and_then(|line| line.strip_suffix(':')) {
            Some(name) if !name.starts_with(' ') => services.push((name.to_owned(), String::new())),
            _ => {
                if let Some((_, lines)) = services.last_mut() {
                    lines.extend([line, "\n"]);
                }
            }
        }
    }
    services
}

pub(crate) fn service(name: &str) -> String {
    services().into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no service {name}")).1
}
