//! Tests that an index serves every query of the table, and every order.

use std::io::Write as _;

use mongodb::{
    Database,
    bson::{Bson, Document, doc},
};

use crate::store::{
    contract::mongo,
    mongo::{
        indexes,
        queries::{self, Filter, Shape},
    },
};

/// The index of the ids, which every collection has.
const IDS: &[(&str, i32)] = &[("_id", 1)];

/// Returns true when an index finds only the documents of these equalities, in the requested order or its reverse.
fn serves(index: &[(&str, i32)], shape: &Shape) -> bool {
    let Some((equal, rest)) = index.split_at_checked(shape.equal.len()) else { return false };
    let begins = shape.equal.iter().all(|field| equal.iter().any(|(indexed, _)| indexed == field));
    let Some(sorted) = rest.get(..shape.sort.len()) else { return false };
    let goes_on = sorted.iter().zip(shape.sort).all(|((indexed, _), field)| indexed == field);
    let one_way = sorted.windows(2).all(|pair| pair[0].1 == pair[1].1);
    begins && goes_on && one_way
}

fn indexes_of(collection: &str) -> impl Iterator<Item = &'static [(&'static str, i32)]> {
    let declared = indexes::ALL.iter().filter(move |index| index.collection == collection);
    declared.map(|index| index.fields).chain([IDS])
}

#[test]
fn queries_have_an_index_on_their_fields() {
    for shape in queries::ALL {
        assert!(indexes_of(shape.collection).any(|index| serves(index, shape)), "{}: {shape:?}", shape.name);
    }
}

#[test]
fn index_that_does_not_serve_is_detected() {
    let shape = Shape { name: "", collection: "", equal: &["b", "a"], also: &[], sort: &["c", "d"] };
    assert!(serves(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)], &shape));
    assert!(serves(&[("a", 1), ("b", 1), ("c", -1), ("d", -1), ("e", 1)], &shape));
    for index in [
        &[("a", 1), ("b", 1), ("c", 1), ("d", -1)][..],
        &[("a", 1), ("b", 1), ("d", 1), ("c", 1)],
        &[("a", 1), ("c", 1), ("b", 1), ("d", 1)],
        &[("a", 1), ("b", 1), ("c", 1)],
        &[("a", 1)],
    ] {
        assert!(!serves(index, &shape), "{index:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_uses_an_index_for_every_query() {
    let (store, _dropped) = mongo::open(&mongo::config(&mongo::url())).await;
    for query in queries::ALL.iter().flat_map(|shape| queries::samples(shape)) {
        let text = format!("{query:?}");
        let Some(plan) = plan(store.database(), query).await else {
            let text = b"no explain here: only what the indexes begin with is checked\n";
            std::io::stderr().write_all(text).unwrap();
            return;
        };
        let mut stages = Vec::new();
        collect_stages(&Bson::Document(plan), &mut stages);
        let is_indexed =
            |stage: &String| ["IXSCAN", "IDHACK", "EXPRESS"].iter().any(|name| stage.contains(name));
        assert!(stages.iter().any(is_indexed), "{stages:?} {text}");
        assert!(!stages.iter().any(|stage| stage == "COLLSCAN" || stage == "SORT"), "{stages:?} {text}");
    }
}

/// Returns the server's plan of a query; `None` when it has no `explain`.
async fn plan(database: &Database, query: Filter) -> Option<Document> {
    let (collection, sort) = (query.collection(), query.sort().unwrap_or_default());
    let find = doc! { "find": collection, "filter": query.into_conditions(), "sort": sort, "limit": 10 };
    let explained = database.run_command(doc! { "explain": find, "verbosity": "queryPlanner" }).await.ok()?;
    explained.get_document("queryPlanner").ok()?.get_document("winningPlan").ok().cloned()
}

fn collect_stages(plan: &Bson, stages: &mut Vec<String>) {
    match plan {
        Bson::Document(document) => {
            stages.extend(document.get_str("stage").ok().map(ToOwned::to_owned));
            document.values().for_each(|value| collect_stages(value, stages));
        }
        Bson::Array(list) => list.iter().for_each(|value| collect_stages(value, stages)),
        _ => {}
    }
}
