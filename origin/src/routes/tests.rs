//! The groups are what the route table says.

use std::collections::BTreeSet;

use shared::api::routes::{Caller, ROUTES, Server};
use utoipa_axum::router::OpenApiRouter;

use super::{always, internal, open, public};
use crate::app::App;

/// The operations of a group: method and path.
fn operations(group: OpenApiRouter<App>) -> Vec<(String, String)> {
    let document = serde_json::to_value(group.into_openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
    });
    each.collect()
}

#[test]
fn route_stands_in_the_group_of_its_caller() {
    use Caller::{Anyone, Client, Edge, User};
    let groups: [(OpenApiRouter<App>, &[Caller]); 4] =
        [(always(), &[Anyone]), (open(), &[Anyone]), (public(), &[Client, User]), (internal(), &[Edge])];
    let mut routed = BTreeSet::new();
    for (group, callers) in groups {
        for (method, path) in operations(group) {
            let known =
                |route: &&shared::api::routes::Route| route.method.as_str() == method && route.path == path;
            let route =
                ROUTES.iter().find(known).unwrap_or_else(|| panic!("{method} {path} is not in the table"));
            assert!(callers.contains(&route.caller), "{method} {path}");
            assert!(routed.insert((method, path)));
        }
    }
    let of_the_origin = ROUTES.iter().filter(|route| route.server == Server::Origin);
    let expected = of_the_origin.map(|route| (route.method.as_str().to_owned(), route.path.to_owned()));
    assert_eq!(routed, expected.collect());
}
