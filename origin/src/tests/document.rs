//! The document says what the route table says, and no page loads anything from elsewhere.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::{
    api::{
        account::AccountEventKind,
        chat::{AnswerRequest, SendMessage, TurnStatus},
        routes::{Body, Caller, Found, ROUTES, Route, Server, UserOperation, find},
    },
    chat::event,
    id::Id,
};

use super::test_env::{Call, Member, START, TestEnv};
use crate::store::accounts::{audit::AuditEvent, passkeys::StoredPasskey};

/// The routes that clients know.
fn routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|route| !route.caller.is_internal())
}

async fn document(env: &TestEnv) -> Value {
    let answer = env.send(Call::get("/openapi.json")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    answer.json()
}

#[tokio::test]
async fn document_has_the_operations_of_the_route_table() {
    let env = TestEnv::new().await;
    let document = document(&env).await;
    let mut names = BTreeSet::new();
    for route in routes() {
        let place = format!("{} {}", route.method.as_str(), route.path);
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{place}");
        assert!(names.insert(operation["operationId"].as_str().unwrap()), "{place}");
        // An empty requirement beside another one says that a token may be absent.
        let security = operation["security"].as_array().unwrap();
        let needs_token = !security.is_empty() && !security.contains(&json!({}));
        assert_eq!(needs_token, route.caller == Caller::User, "{place}");
        let media_types = operation["requestBody"]["content"].as_object();
        let media_types: Vec<_> = media_types.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let expected: &[&str] = match route.body {
            Body::Nothing => &[],
            Body::Json { .. } => &["application/json"],
            Body::Form { .. } => &["application/x-www-form-urlencoded"],
        };
        assert_eq!(media_types, expected, "{place}");
    }
    assert_eq!(operations(&document).len(), names.len());
}

/// Every operation: its method, its path, and its description in the document.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .iter()
                .map(move |(method, found)| (method.as_str(), path.as_str(), found))
        })
        .collect()
}

#[tokio::test]
async fn operations_have_descriptions_errors_and_headers() {
    let env = TestEnv::new().await;
    let document = document(&env).await;
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (method, path, operation) in operations(&document) {
        let place = format!("{method} {path}");
        assert!(operation["description"].is_string() && operation["security"].is_array(), "{place}");
        assert!(tags.contains(&&operation["tags"][0]), "{place}");
        let responses = operation["responses"].as_object().unwrap();
        for status in ["400", "429", "500", "503"] {
            assert!(responses.contains_key(status), "{place} {status}");
        }
        for status in ["413", "415"] {
            let json = operation["requestBody"]["content"]["application/json"].is_object();
            assert!(!json || responses.contains_key(status), "{place} {status}");
        }
        for (status, response) in responses {
            let response = response["$ref"].as_str().map_or(response, |reference| {
                document.pointer(reference.strip_prefix('#').unwrap()).unwrap()
            });
            assert!(
                response["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{place} {status}"
            );
            assert!(response["headers"]["X-Request-ID"].is_object(), "{place} {status}");
            let problem = &response["content"]["application/problem+json"];
            assert_eq!(problem["schema"].is_object(), status.as_str() >= "400", "{place} {status}");
        }
    }
}

#[tokio::test]
async fn body_examples_are_accepted() {
    let configured =
        [("PASSKEY_RP_ID", "example.com"), ("GOOGLE_CLIENT_IDS", "a"), ("APPLE_CLIENT_IDS", "b")];
    let env = TestEnv::with(&configured).await;
    let document = document(&env).await;
    let ada = env.register("grace").await;
    let conversation = Call::post("/api/v1/chat/conversations").token(&ada.access).json(&json!({}));
    let id = env.send(conversation).await.json()["id"].as_str().unwrap().to_owned();
    add_passkey(&env, &ada, Id::parse(&id).unwrap()).await;
    let mut sent = 0;
    for (method, path, operation) in operations(&document) {
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        if operation["requestBody"]["content"]["application/json"].is_null() {
            continue;
        }
        sent += 1;
        assert!(example.is_object(), "{method} {path}");
        let method = method.to_uppercase();
        let Found::Route(route, _) = find(&method, path) else { panic!("{method} {path}") };
        if route.server != Server::Origin {
            let body = serde_json::to_vec(example).unwrap();
            let is_accepted = match route.server {
                Server::UserObject(UserOperation::Regenerate | UserOperation::Continue) => {
                    shared::api::body::parse::<AnswerRequest>(&body).is_ok()
                }
                _ => shared::api::body::parse::<SendMessage>(&body).is_ok(),
            };
            assert!(is_accepted, "{method} {path}");
            continue;
        }
        let call = Call::new(route.method.as_str(), path.replace("{id}", &id).replace("{mid}", &id))
            .token(&ada.access)
            .json(example);
        let answer = env.send(call).await;
        // No user has the example's password or refresh token before `register` was called.
        assert!([200, 201, 202, 401].contains(&answer.status), "{method} {path}: {:?}", answer.body);
    }
    assert_eq!(sent, routes().filter(|route| matches!(route.body, Body::Json { .. })).count());
}

/// Gives a user a passkey with this id.
async fn add_passkey(env: &TestEnv, user: &Member, id: Id) {
    let passkey = StoredPasskey {
        id,
        user_id: user.id,
        credential_id: b"of the example".to_vec(),
        credential: "{}".to_owned(),
        sign_count: 0,
        backed_up: false,
        name: None,
        created_at: START,
        last_used_at: None,
    };
    let audit = AuditEvent {
        id,
        user_id: user.id,
        at: START,
        kind: AccountEventKind::PasskeyAdded,
        session_id: None,
        ip: None,
        device_name: None,
        request_id: None,
    };
    env.app.stores.accounts.add_passkey(passkey, 1, audit).await.unwrap();
}

#[tokio::test]
async fn request_texts_are_bounded() {
    let env = TestEnv::new().await;
    let document = document(&env).await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "RegisterRequest",
        "LoginRequest",
        "RefreshRequest",
        "TokenForm",
        "UpdateProfile",
        "GiveConsent",
        "RegisterPasskey",
        "RenamePasskey",
        "PasskeyLogin",
        "CreateConversation",
        "UpdateConversation",
        "SendMessage",
        "Part",
    ] {
        for (field, schema) in schemas[name]["properties"].as_object().unwrap() {
            let kind = schema["type"].as_array().map_or(&schema["type"], |types| &types[0]);
            let bounded = ["maxLength", "pattern", "enum"].iter().any(|bound| schema.get(*bound).is_some());
            assert!(kind != "string" || bounded, "{name}.{field}");
        }
    }
    assert!(schemas["SendMessage"]["properties"].get("tools").is_none());
    assert!(!document.to_string().contains("file_id"));
}

#[tokio::test]
async fn stream_events_are_members_of_union() {
    let env = TestEnv::new().await;
    let document = document(&env).await;
    let union = &document["components"]["schemas"]["TurnEvent"];
    let mapping = union["discriminator"]["mapping"].as_object().unwrap();
    assert_eq!(union["oneOf"].as_array().unwrap().len(), mapping.len());
    for status in [
        TurnStatus::Completed,
        TurnStatus::Incomplete,
        TurnStatus::Cancelled,
        TurnStatus::Failed,
        TurnStatus::Interrupted,
    ] {
        assert!(mapping.contains_key(event::terminal_name(status)));
    }
    for name in ["turn.started", event::DELTA, event::MESSAGE, "reset"] {
        let schema = mapping[name].as_str().unwrap();
        let schema = document.pointer(schema.strip_prefix('#').unwrap()).unwrap();
        assert_eq!(schema["properties"]["event"]["enum"], json!([name]));
    }
}

#[tokio::test]
async fn document_references_are_resolved() {
    let env = TestEnv::new().await;
    let document = document(&env).await;
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
async fn pages_load_nothing_from_other_hosts() {
    let env = TestEnv::new().await;
    for (page, parts) in [
        ("/docs/", ["./swagger-ui-bundle.js", "./swagger-ui.css"]),
        ("/redoc", ["/redoc/redoc.standalone.js", "/openapi.json"]),
    ] {
        let answer = env.send(Call::get(page)).await;
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
            assert_eq!(env.send(Call::get(path)).await.status, 200, "{part}");
        }
    }
    // The script's other addresses are names of vocabularies, links, and error messages.
    let redoc = env.send(Call::get("/redoc/redoc.standalone.js")).await;
    assert!(!String::from_utf8_lossy(&redoc.body).contains("://cdn"));
    let initializer = env.send(Call::get("/docs/swagger-initializer.js")).await;
    assert!(String::from_utf8_lossy(&initializer.body).contains("/openapi.json"));
    let redirected = env.send(Call::get("/docs")).await;
    assert_eq!((redirected.status, redirected.header("location")), (303, "/docs/"));
    assert_eq!(env.send(Call::get("/docs/no-such-file")).await.problem().0, 404);
}
