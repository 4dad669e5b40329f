//! Health, keys and documentation, through the Worker as everybody sees them.

use std::collections::BTreeSet;

use edgechat_tests::{
    client::Client,
    wait::{BOUND, until},
    world::World,
};
use serde_json::{Value, json};
use shared::{
    api::ErrorCode,
    auth::{keys::JwkSet, native::SigningKey},
};

/// What a check says once it is good: Redis must answer within a time that a busy machine may exceed now and then.
async fn when_all_is_well(client: &Client, path: &str, is_good: impl Fn(&Value) -> bool) -> Value {
    until(BOUND, &format!("a good answer of {path}"), || async {
        let reply = client.get(path).send().await;
        Some(reply.value()).filter(|health| reply.status == 200 && is_good(health))
    })
    .await
}

#[tokio::test]
async fn everything_says_how_it_is() {
    let world = World::start().await;
    let client = world.client();
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
    let mut world = World::start().await;
    world.kill_origin().await;
    for path in ["/api/v1/health/ready", "/openapi.json", "/api/v1/auth/login"] {
        let reply = world.client().get(path).send().await;
        reply.problem(ErrorCode::OriginUnavailable);
    }
    world.start_origin().await;
    let _ = world.client().get("/api/v1/health/ready").send().await.expect_status(200);
}

#[tokio::test]
async fn the_keys_are_public_and_only_public() {
    let world = World::start().await;
    let reply = world.client().get("/.well-known/jwks.json").send().await.expect_status(200);
    let expected = SigningKey::from_secret(edgechat_tests::world::JWT_SECRET).unwrap().jwk_set();
    assert_eq!(reply.json::<JwkSet>(), expected);
    for key in reply.value()["keys"].as_array().unwrap() {
        assert!(key.get("d").is_none(), "a private key");
        assert_eq!(
            (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
            (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig"))
        );
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
async fn the_openapi_document_is_whole() {
    let world = World::start().await;
    let document = world.client().get("/openapi.json").send().await.expect_status(200).value();
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
            let named = path.split('/').filter(|segment| segment.starts_with('{')).count();
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let declared = parameters.filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(named, declared, "{method} {path} declares its path parameters");
        }
    }
    let expected = [
        "POST /api/v1/auth/register",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/refresh",
        "GET /api/v1/auth/me",
        "GET /api/v1/users/me",
        "POST /api/v1/chat/conversations",
        "GET /api/v1/chat/conversations",
        "GET /api/v1/chat/conversations/{id}",
        "PATCH /api/v1/chat/conversations/{id}",
        "DELETE /api/v1/chat/conversations/{id}",
        "GET /api/v1/chat/conversations/{id}/messages",
        "POST /api/v1/chat/conversations/{id}/messages",
        "GET /api/v1/chat/turns/{id}",
        "GET /api/v1/chat/turns/{id}/events",
        "POST /api/v1/chat/turns/{id}/cancel",
        "GET /api/v1/usage/me",
        "GET /api/v1/health",
        "GET /api/v1/health/ready",
    ];
    for call in expected {
        assert!(calls.contains(call), "{call} is not documented: {calls:?}");
    }
}

#[tokio::test]
async fn the_documentation_needs_nobody_else() {
    let world = World::start().await;
    let client = world.client();
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
