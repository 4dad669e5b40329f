//! Every request finds the route that a slow reading of the table finds, and nothing else.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::api::internal::{TURNS_PATH, context_path, turn_path};

const ID: &str = "019aa5d2-8c00-7000-8000-3f6d2b1c9e77";
/// An id for `{mid}`.
const MID: &str = "019aa5d2-8c00-7000-8000-3f6d2b1c9e78";
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"];

/// The routes of a path, by its segments.
fn routes_of(path: &str) -> impl Iterator<Item = &'static Route> {
    let is_same = |(pattern, segment): (&str, &str)| {
        pattern == segment || (pattern.starts_with('{') && !segment.is_empty())
    };
    ROUTES.iter().filter(move |route| {
        route.path.split('/').count() == path.split('/').count()
            && route.path.split('/').zip(path.split('/')).all(is_same)
    })
}

/// The methods of a path, by its segments.
fn allowed(path: &str) -> BTreeSet<&'static str> {
    let names = |route: &Route| match route.method {
        Method::Get => vec!["GET", "HEAD"],
        method => vec![method.as_str()],
    };
    routes_of(path).flat_map(names).collect()
}

fn check(method: &str, path: &str) {
    let allowed = allowed(path);
    match find(method, path) {
        Found::Route(route, _) => {
            assert!(allowed.contains(method) && route.method.serves(method), "{method} {path}");
        }
        Found::OtherMethods { allowed: methods, is_at_edge } => {
            let text = methods.to_string();
            let listed: Vec<_> = text.split(", ").collect();
            assert!(!allowed.contains(method), "{method} {path}");
            assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), allowed, "{method} {path}");
            assert_eq!(listed.len(), allowed.len(), "{text}");
            let is_expected_at_edge = routes_of(path).any(|route| route.server != Server::Origin);
            assert_eq!(is_at_edge, is_expected_at_edge, "{path}");
        }
        Found::Nothing => assert!(allowed.is_empty(), "{method} {path}"),
    }
}

#[test]
fn route_is_found_by_its_own_pattern() {
    let in_path = |name: &str, id: &str, path: &str| Id::parse(id).filter(|_| path.contains(name));
    for route in &ROUTES {
        let path = route.path.replace("{id}", ID).replace("{mid}", MID);
        let ids = PathIds { id: in_path("{id}", ID, route.path), mid: in_path("{mid}", MID, route.path) };
        let expected = Found::Route(route, ids);
        assert_eq!(find(route.method.as_str(), &path), expected);
        let head = find("HEAD", &path);
        assert_eq!(head == expected, route.method == Method::Get, "{path}");
        for method in METHODS {
            check(method, &path);
        }
    }
}

#[rstest]
#[case("no-id")]
#[case("019aa5d2-8c00-7000-8000-3f6d2b1c9e7")]
#[case("{id}")]
fn segment_that_is_no_id_gives_none(#[case] segment: &str) {
    let path = format!("/api/v1/chat/turns/{segment}");
    assert!(matches!(find("GET", &path), Found::Route(_, PathIds { id: None, mid: None })));
    assert!(matches!(find("DELETE", &path), Found::OtherMethods { is_at_edge: true, .. }));
}

#[rstest]
#[case("")]
#[case("*")]
#[case("//")]
#[case("/api/v1")]
#[case("/api/v1/health/")]
#[case("/api/v1/chat/turns/")]
#[case("/api/v1/chat/turns//events")]
#[case("/api/v1/chat/turns/a/b/events")]
#[case("/api/v1/chat/conversations/a/b/messages/c")]
#[case("/api/v1/chat/conversations/a/messages/b/c")]
#[case("/api/v1/chat/conversations/messages/")]
#[case("/api/v1/chat/conversations/a/messages//regenerate")]
#[case("/api/v1/chat/conversations/a/messages/b/regenerate/c")]
#[case("/openapi.json")]
#[case("/docs/swagger-ui.css")]
fn path_of_no_route_is_nothing(#[case] path: &str) {
    for method in METHODS {
        assert_eq!(find(method, path), Found::Nothing);
    }
}

#[rstest]
#[case("/internal", true)]
#[case("/internal/v1/nothing", true)]
#[case("/metrics", true)]
#[case("/internals", false)]
#[case("/api/internal", false)]
#[case("/", false)]
#[case("", false)]
fn path_is_private_by_its_first_segment(#[case] path: &str, #[case] expected: bool) {
    assert_eq!(is_private(path), expected);
}

#[test]
fn route_of_the_worker_alone_is_private_and_no_other() {
    for route in &ROUTES {
        assert_eq!(is_private(route.path), route.caller.is_internal(), "{}", route.path);
    }
}

#[test]
fn path_that_the_worker_asks_is_in_the_table() {
    let id = Id::parse(ID).unwrap();
    for (method, path) in [("POST", TURNS_PATH.to_owned()), ("GET", turn_path(id)), ("GET", context_path(id))]
    {
        assert!(matches!(find(method, &path), Found::Route(Route { caller: Caller::Edge, .. }, _)), "{path}");
    }
}

#[test]
fn body_comes_with_methods_that_have_one() {
    for route in &ROUTES {
        // The proof that deletes an account has no better place: an address stands in logs.
        let is_proof = (route.method, route.path) == (Method::Delete, "/api/v1/users/me");
        let may_have_one = matches!(route.method, Method::Post | Method::Put | Method::Patch) || is_proof;
        assert!(may_have_one || route.body == Body::Nothing, "{} {}", route.method.as_str(), route.path);
    }
}

fn listed(method: &str, path: &str) -> Option<&'static Route> {
    match find(method, path) {
        Found::Route(route, _) => Some(route),
        Found::OtherMethods { .. } | Found::Nothing => None,
    }
}

#[rstest]
#[case("POST", "/api/v1/auth/login", false)]
#[case("GET", "/api/v1/health/ready", false)]
#[case("GET", "/docs/", false)]
#[case("GET", "/api/v1/users/me", true)]
#[case("DELETE", "/api/v1/users/me", true)]
#[case("GET", "/api/v1/nothing", true)]
fn token_is_checked_for_user_and_unlisted_routes(
    #[case] method: &str,
    #[case] path: &str,
    #[case] expected: bool,
) {
    assert_eq!(takes_token(listed(method, path), path), expected);
}

#[rstest]
#[case("POST", "/api/v1/auth/login", MAX_STRANGER_BODY_BYTES)]
#[case("POST", "/api/v1/auth/token", MAX_STRANGER_BODY_BYTES)]
#[case("POST", "/api/v1/chat/conversations", MAX_BODY_BYTES)]
#[case("POST", "/internal/v1/turns", MAX_INTERNAL_BODY_BYTES)]
#[case("GET", "/api/v1/users/me", MAX_STRANGER_BODY_BYTES)]
#[case("POST", "/api/v1/nothing", MAX_BODY_BYTES)]
fn body_is_limited_by_route_and_token(#[case] method: &str, #[case] path: &str, #[case] max_bytes: usize) {
    let route = listed(method, path);
    assert_eq!(max_body_bytes(route, true), max_bytes);
    assert_eq!(max_body_bytes(route, false), MAX_STRANGER_BODY_BYTES);
}

#[rstest]
#[case("GET", true)]
#[case("HEAD", true)]
#[case("PATCH", true)]
#[case("OPTIONS", false)]
#[case("PROPFIND", false)]
#[case("post", false)]
fn method_is_served_by_some_route_or_none(#[case] method: &str, #[case] expected: bool) {
    assert_eq!(is_served(method), expected);
}

/// A path of the table's own segments, ids and others, in any order.
fn paths() -> impl Strategy<Value = String> {
    let mut segments: BTreeSet<&str> = ROUTES.iter().flat_map(|route| route.path.split('/')).collect();
    segments.extend([ID, MID, "no-id", "%2F"]);
    let segments: Vec<_> = segments.into_iter().collect();
    let any =
        prop::collection::vec(prop::sample::select(segments.clone()), 1..8).prop_map(|all| all.join("/"));
    let near = (prop::sample::select(&ROUTES[..]), 0..8usize, prop::sample::select(segments)).prop_map(
        |(route, at, other)| {
            let path = route.path.replace("{id}", ID).replace("{mid}", MID);
            let changed = path.split('/').enumerate().map(|(here, own)| if here == at { other } else { own });
            changed.collect::<Vec<_>>().join("/")
        },
    );
    prop_oneof![any, near]
}

#[test]
fn path_named_like_a_resource_of_the_worker_is_the_origins() {
    let expected = [Method::Get, Method::Patch, Method::Delete];
    match find("POST", "/api/v1/chat/conversations/messages") {
        Found::OtherMethods { allowed, is_at_edge: false } => {
            assert!(expected.into_iter().all(|method| allowed.contains(method)));
        }
        found => panic!("{found:?}"),
    }
}

proptest! {
    #[test]
    fn request_finds_route_of_its_segments(method in prop::sample::select(&METHODS[..]), path in paths()) {
        check(method, &path);
    }
}
