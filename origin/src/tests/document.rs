//! The document and the router say the same, and no page loads anything from elsewhere.

use serde_json::Value;

use super::world::{Call, World};

/// What the Worker serves itself: documented here, absent from this router.
const OF_THE_WORKER: [(&str, &str); 4] = [
    ("post", "/api/v1/chat/conversations/{id}/messages"),
    ("get", "/api/v1/chat/turns/{id}"),
    ("get", "/api/v1/chat/turns/{id}/events"),
    ("post", "/api/v1/chat/turns/{id}/cancel"),
];

const ROUTES: [(&str, &str); 23] = [
    ("get", "/"),
    ("get", "/.well-known/jwks.json"),
    ("get", "/api/v1/health"),
    ("get", "/api/v1/health/ready"),
    ("get", "/api/v1/health/db"),
    ("get", "/api/v1/health/mongo"),
    ("get", "/api/v1/health/redis"),
    ("post", "/api/v1/auth/register"),
    ("post", "/api/v1/auth/login"),
    ("post", "/api/v1/auth/token"),
    ("post", "/api/v1/auth/refresh"),
    ("get", "/api/v1/auth/me"),
    ("get", "/api/v1/auth/verify"),
    ("get", "/api/v1/users/me"),
    ("post", "/api/v1/chat/conversations"),
    ("get", "/api/v1/chat/conversations"),
    ("get", "/api/v1/chat/conversations/{id}"),
    ("patch", "/api/v1/chat/conversations/{id}"),
    ("delete", "/api/v1/chat/conversations/{id}"),
    ("get", "/api/v1/chat/conversations/{id}/messages"),
    ("get", "/api/v1/sync"),
    ("get", "/api/v1/ai/models"),
    ("get", "/api/v1/usage/me"),
];

async fn document(world: &World) -> Value {
    let answer = world.send(Call::get("/openapi.json")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    answer.json()
}

#[tokio::test]
async fn every_route_is_in_the_document_and_the_other_way_round() {
    let world = World::new().await;
    let document = document(&world).await;
    let mut documented: Vec<(String, String)> = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            documented.push((method.clone(), path.clone()));
        }
    }
    documented.sort_unstable();
    let mut expected: Vec<_> = ROUTES
        .iter()
        .chain(&OF_THE_WORKER)
        .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(documented, expected);

    let any_id = world.app.random.id(super::world::START).to_string();
    for (method, path) in ROUTES {
        let method: &'static str = match method {
            "get" => "GET",
            "post" => "POST",
            "patch" => "PATCH",
            _ => "DELETE",
        };
        let answer = world.send(Call::new(method, path.replace("{id}", &any_id))).await;
        assert!(![404, 405].contains(&answer.status), "{method} {path}: {}", answer.status);
    }
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    let world = World::new().await;
    let document = document(&world).await;
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    assert!(document.pointer("/components/securitySchemes/bearer").is_some());
    for schema in
        ["User", "Tokens", "Conversation", "Message", "Problem", "UsageReport", "SendMessage", "Turn"]
    {
        assert!(document.pointer(&format!("/components/schemas/{schema}")).is_some(), "{schema}");
    }
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.push(reference.clone());
            }
            fields.values().for_each(|field| collect_references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_pages_load_nothing_from_elsewhere() {
    let world = World::new().await;
    for (page, parts) in [
        ("/docs/", ["./swagger-ui-bundle.js", "./swagger-ui.css"]),
        ("/redoc", ["/redoc/redoc.standalone.js", "/openapi.json"]),
    ] {
        let answer = world.send(Call::get(page)).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with("text/html"));
        assert!(answer.header("content-security-policy").starts_with("default-src 'self';"));
        let html = String::from_utf8(answer.body.to_vec()).unwrap();
        for attribute in ["src=\"http", "src=\"//", "href=\"http://", "url("] {
            assert!(!html.contains(attribute), "{page}: {attribute}");
        }
        for part in parts {
            assert!(html.contains(part), "{page}: {part}");
            let path =
                part.strip_prefix("./").map_or_else(|| part.to_owned(), |name| format!("/docs/{name}"));
            assert_eq!(world.send(Call::get(path)).await.status, 200, "{part}");
        }
    }
    let initializer = world.send(Call::get("/docs/swagger-initializer.js")).await;
    assert!(String::from_utf8_lossy(&initializer.body).contains("/openapi.json"));
    let redirected = world.send(Call::get("/docs")).await;
    assert_eq!((redirected.status, redirected.header("location")), (303, "/docs/"));
    assert_eq!(world.send(Call::get("/docs/no-such-file")).await.problem().0, 404);
}
