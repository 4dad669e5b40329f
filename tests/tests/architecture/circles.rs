//! Tests that the modules of a crate import each other one way.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{first_segments, root, sources};

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
