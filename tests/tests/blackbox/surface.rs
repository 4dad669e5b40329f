//! The routes of the table, health, keys and documentation, through the Worker as everybody sees them.

use std::collections::{BTreeMap, BTreeSet};

use edgechat_tests::{
    client::{Ask, Client},
    test_env::TestEnv,
    wait::{BOUND, until},
};
use serde_json::{Value, json};
use shared::{
    api::{
        ErrorCode,
        routes::{Body, Caller, Method, ROUTES, Route},
    },
    auth::{keys::JwkSet, native::SigningKey},
};

/// Returns the result of a health check once it is good: a busy machine exceeds the time limit of Redis now and then.
async fn when_all_is_well(client: &Client, path: &str, is_good: impl Fn(&Value) -> bool) -> Value {
    until(BOUND, &format!("a good answer of {path}"), || async {
        let reply = client.get(path).send().await;
        Some(reply.value()).filter(|health| reply.status == 200 && is_good(health))
    })
    .await
}

#[tokio::test]
async fn everything_says_how_it_is() {
    let env = TestEnv::start().await;
    let client = env.client();
    let health = client.get("/api/v1/health").send().await.expect_status(200);
    assert_eq!(health.value(), json!({ "status": "ok" }));

    let ports = ["accounts", "chats", "ephemeral"];
    let ready = when_all_is_well(&client, "/api/v1/health/ready", |ready| {
        ports.iter().all(|port| ready["checks"][port]["status"] == "ok")
    })
    .await;
    assert_eq!(ready["status"], "ok");
    for port in ports {
        let check = &ready["checks"][port];
        assert_eq!(check["error"], Value::Null, "{ready}");
        assert!(check["backend"].is_string() && check["latency_ms"].is_number(), "{ready}");
    }
    for (path, name) in [("db", "database"), ("mongo", "mongo"), ("redis", "redis")] {
        let path = format!("/api/v1/health/{path}");
        let health = when_all_is_well(&client, &path, |health| health[name] == "connected").await;
        assert_eq!(health["status"], "ok", "{health}");
        assert!(health["backend"].is_string() && health["latency_ms"].is_number(), "{health}");
    }
    let about = client.get("/").send().await.expect_status(200).value();
    assert_eq!((&about["status"], &about["docs"]), (&json!("ok"), &json!("/docs")), "{about}");
    assert!(about["name"].is_string() && about["version"].is_string(), "{about}");
}

#[tokio::test]
async fn without_the_origin_its_routes_say_so() {
    let mut env = TestEnv::start().await;
    env.kill_origin().await;
    for path in ["/api/v1/health/ready", "/openapi.json", "/api/v1/auth/login"] {
        let reply = env.client().get(path).send().await;
        reply.problem(ErrorCode::OriginUnavailable);
    }
    env.start_origin().await;
    let _ = env.client().get("/api/v1/health/ready").send().await.expect_status(200);
}

#[tokio::test]
async fn served_keys_are_public_only() {
    let env = TestEnv::start().await;
    let reply = env.client().get("/.well-known/jwks.json").send().await.expect_status(200);
    let expected = SigningKey::from_secret(edgechat_tests::test_env::JWT_SECRET).unwrap().jwk_set();
    assert_eq!(reply.json::<JwkSet>(), expected);
    for key in reply.value()["keys"].as_array().unwrap() {
        assert!(key.get("d").is_none(), "a private key");
        assert_eq!(
            (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
            (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig"))
        );
    }
}

/// iOS and Android follow no redirect and insist on the type.
#[tokio::test]
async fn files_for_apps_come_through_the_worker_as_json() {
    let android = format!("com.example.chat:{}", ["AB"; 32].join(":"));
    let setup = TestEnv::setup().var("APPLE_APP_IDS", "A1B2C3D4E5.com.example.chat");
    let env = setup.var("ANDROID_APPS", android).start().await;
    let files = [
        ("/.well-known/apple-app-site-association", "/webcredentials/apps/0", "A1B2C3D4E5.com.example.chat"),
        ("/.well-known/assetlinks.json", "/0/target/package_name", "com.example.chat"),
    ];
    for (path, pointer, expected) in files {
        let reply = env.client().get(path).send().await.expect_status(200);
        assert_eq!(reply.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(reply.value().pointer(pointer), Some(&json!(expected)), "{path}");
    }
}

/// Every `$ref` below this value.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn openapi_document_is_complete() {
    let env = TestEnv::start().await;
    let document = env.client().get("/openapi.json").send().await.expect_status(200).value();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());

    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} is nowhere");
    }

    let (mut ids, mut calls) = (BTreeSet::new(), BTreeSet::new());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if method == "parameters" {
                continue;
            }
            calls.insert(format!("{} {path}", method.to_uppercase()));
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "two operations are called {id}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path} never succeeds");
            let in_path = path.split('/').filter(|segment| segment.starts_with('{')).count();
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let declared = parameters.filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(in_path, declared, "{method} {path} declares its path parameters");
        }
    }
    let expected = routes().map(|route| format!("{} {}", route.method.as_str(), route.path));
    assert_eq!(calls, expected.collect());
}

/// An id that nothing has.
const EXAMPLE_ID: &str = "019aa5d2-8c00-7000-8000-3f6d2b1c9e77";

/// The routes that clients know.
fn routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|route| !route.caller.is_internal())
}

/// A request to a route, about nothing that is there: all that is looked at here is refused before that.
fn ask(client: &Client, method: &str, route: &Route) -> Ask {
    let path = route.path.replace("{id}", EXAMPLE_ID).replace("{mid}", EXAMPLE_ID);
    client.ask(method.parse().unwrap(), &path)
}

/// A request with a body of one kind of space, said to be what the route takes, and the most bytes that it may have.
fn ask_with_body(
    client: &Client,
    route: &Route,
    media_type: Option<&str>,
    bytes: impl Fn(usize) -> usize,
) -> Option<Ask> {
    let (own, max_bytes) = match route.body {
        Body::Nothing => return None,
        Body::Json { max_bytes } => ("application/json", max_bytes),
        Body::Form { max_bytes } => ("application/x-www-form-urlencoded", max_bytes),
    };
    let ask = ask(client, route.method.as_str(), route).header("Content-Type", media_type.unwrap_or(own));
    Some(ask.body(vec![b' '; bytes(max_bytes)]))
}

#[tokio::test]
async fn route_of_users_without_a_token_is_401_and_no_other() {
    let env = TestEnv::start().await;
    for route in routes() {
        let reply = ask(&env.client(), route.method.as_str(), route).send().await;
        if route.caller == Caller::User {
            reply.problem(ErrorCode::TokenMissing);
        } else {
            assert_ne!(reply.status, 401, "{reply:?}");
        }
    }
}

#[tokio::test]
async fn method_that_a_path_has_not_is_405_with_those_it_has() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let mut paths: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for route in routes() {
        let methods = paths.entry(route.path).or_default();
        methods.insert(route.method.as_str());
        methods.extend((route.method == Method::Get).then_some("HEAD"));
    }
    for route in routes() {
        let methods = &paths[route.path];
        let others = ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"];
        for method in others.iter().filter(|method| !methods.contains(*method)) {
            let reply = ask(&phone.client, method, route).send().await;
            reply.problem(ErrorCode::MethodNotAllowed);
            let allowed = reply.header("allow").unwrap().split(',').map(str::trim);
            assert_eq!(allowed.collect::<BTreeSet<_>>(), *methods, "{reply:?}");
        }
    }
}

#[tokio::test]
async fn body_of_another_media_type_than_its_route_takes_is_refused() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    for route in routes() {
        let Some(ask) = ask_with_body(&phone.client, route, Some("text/plain"), |_| 1) else { continue };
        let reply = ask.send().await;
        if let Body::Form { .. } = route.body {
            // The errors of this route are those of RFC 6749.
            assert_eq!(reply.expect_status(400).value()["error"], "invalid_request");
        } else {
            reply.problem(ErrorCode::UnsupportedMediaType);
        }
    }
}

#[tokio::test]
async fn body_over_the_limit_of_its_route_is_413() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    for route in routes() {
        let Some(over) = ask_with_body(&phone.client, route, None, |max_bytes| max_bytes + 1) else {
            continue;
        };
        over.send().await.problem(ErrorCode::PayloadTooLarge);
        let largest = ask_with_body(&phone.client, route, None, |max_bytes| max_bytes).unwrap();
        let reply = largest.send().await;
        assert_eq!(reply.status, 400, "nothing but spaces: {reply:?}");
    }
}

#[tokio::test]
async fn route_of_the_worker_alone_is_absent_for_clients() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    for route in ROUTES.iter().filter(|route| route.caller.is_internal()) {
        for method in [route.method.as_str(), "PUT"] {
            ask(&phone.client, method, route).send().await.problem(ErrorCode::NotFound);
        }
    }
}

#[tokio::test]
async fn documentation_loads_nothing_external() {
    let env = TestEnv::start().await;
    let client = env.client();
    for path in ["/docs", "/redoc"] {
        let mut reply = client.get(path).send().await;
        let mut page = path.to_owned();
        while [301, 302, 303, 307, 308].contains(&reply.status) {
            page = reply.header("location").unwrap().to_owned();
            assert!(page.starts_with('/'), "{page} is elsewhere");
            reply = client.get(&page).send().await;
        }
        let reply = reply.expect_status(200);
        assert!(reply.header("content-type").unwrap().starts_with("text/html"), "{reply:?}");
        let html = reply.text();
        for attribute in ["src=\"", "href=\""] {
            for reference in html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(!reference.contains("//"), "{path} loads {reference} from elsewhere");
                if reference.starts_with("data:") || reference.starts_with('#') {
                    continue;
                }
                let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
                let target = match reference.strip_prefix("./").unwrap_or(reference) {
                    absolute if absolute.starts_with('/') => absolute.to_owned(),
                    relative => format!("{folder}/{relative}"),
                };
                let _ = client.get(&target).send().await.expect_status(200);
            }
        }
    }
}
