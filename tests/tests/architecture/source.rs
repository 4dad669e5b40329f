//! Reads Rust sources and finds the names that paths in them go through.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The first names of paths that begin with `crate`, in lists as well as by themselves.
pub(crate) fn through_crate(code: &str) -> BTreeSet<&str> {
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
pub(crate) fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
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

pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The names that follow `store::` in paths, in `use` lists as well as in expressions.
pub(crate) fn through_store(code: &str) -> BTreeSet<&str> {
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
pub(crate) fn first_segments<'a>(code: &'a str, base: &str) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for rest in code.split(base).skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            names.extend(words(rest).next().filter(|word| rest.starts_with(word)));
            continue;
        };
        let (mut depth, mut is_first) = (0, true);
        for token in list.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
            let (word, end) = token.split_at(token.len() - token.chars().last().map_or(0, char::len_utf8));
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

#[test]
fn path_through_the_crate_is_found_however_it_is_written() {
    let code =
        "use crate::{api::{ErrorCode, auth::Claims}, chat, limits::{self}};\nfn f() { crate::http::g() }";
    assert_eq!(through_crate(code), BTreeSet::from(["api", "chat", "limits", "http"]));
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
