//! The common responses of all routes beside their own: each status once, as a component, with its headers.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use shared::api::{
    ApiError, ErrorCode,
    error::{PROBLEM_CONTENT_TYPE, status_title},
};

use super::document::operations;

/// The statuses of errors that occur, with the code of the example.
const ERRORS: [(u16, ErrorCode); 13] = [
    (400, ErrorCode::InvalidJson),
    (401, ErrorCode::TokenExpired),
    (404, ErrorCode::NotFound),
    (406, ErrorCode::NotAcceptable),
    (409, ErrorCode::TurnRunning),
    (413, ErrorCode::PayloadTooLarge),
    (415, ErrorCode::UnsupportedMediaType),
    (422, ErrorCode::ValidationFailed),
    (429, ErrorCode::RateLimited),
    (500, ErrorCode::Internal),
    (502, ErrorCode::ProviderError),
    (503, ErrorCode::OriginUnavailable),
    (504, ErrorCode::ProviderTimeout),
];

/// The statuses that any request can get, whatever its route.
const OF_ALL: [u16; 4] = [400, 429, 500, 503];

/// Adds the answers that each operation can give and does not list, and to every answer its description and headers.
pub(super) fn complete(document: &mut Value) {
    let mut used = BTreeSet::new();
    for operation in operations(document) {
        let statuses = statuses(operation);
        let Some(listed) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
        for status in statuses {
            let reference = json!({"$ref": format!("#/components/responses/{}", component(status))});
            listed.entry(status.to_string()).or_insert_with(|| {
                used.insert(status);
                reference
            });
        }
        for (status, response) in listed.iter_mut() {
            if let (Ok(status), Some(response)) = (status.parse(), response.as_object_mut()) {
                finish(status, response);
            }
        }
    }
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        let errors = ERRORS.into_iter().filter(|(status, _)| used.contains(status)).map(error).collect();
        components.insert("responses".to_owned(), Value::Object(errors));
        components.insert("headers".to_owned(), headers());
    }
}

/// The statuses of errors that an operation can answer: its inputs decide.
fn statuses(operation: &Value) -> Vec<u16> {
    let has = |name: &str| operation.get(name).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let takes = |place: &str| {
        let parameters = operation.get("parameters").and_then(Value::as_array);
        parameters.is_some_and(|all| all.iter().any(|one| one.get("in").is_some_and(|found| found == place)))
    };
    let body = operation.pointer("/requestBody/content").and_then(Value::as_object);
    let json = body.is_some_and(|content| content.contains_key("application/json"));
    let mut statuses = OF_ALL.to_vec();
    let also = [
        (has("security"), 401),
        (takes("path"), 404),
        (body.is_some(), 413),
        (json, 415),
        (json || takes("query"), 422),
    ];
    statuses.extend(also.into_iter().filter_map(|(can, status)| can.then_some(status)));
    statuses
}

/// Gives a response of an operation its headers, and the body of an error, beside its own where it has one: the front answers
/// for a server that is away.
fn finish(status: u16, response: &mut Map<String, Value>) {
    if response.contains_key("$ref") {
        return;
    }
    if status >= 400 {
        let code =
            ERRORS.iter().find(|(known, _)| *known == status).map_or(ErrorCode::Internal, |(_, code)| *code);
        let content = response.entry("content").or_insert_with(|| json!({}));
        if let (Value::Object(content), Value::Object(problem)) = (content, problem(code)) {
            content.extend(problem);
        }
    }
    response.insert("headers".to_owned(), headers_of(status));
}

fn error((status, code): (u16, ErrorCode)) -> (String, Value) {
    let codes: Vec<_> = ErrorCode::ALL
        .iter()
        .filter(|code| code.status() == status)
        .map(|code| format!("`{}`", code.as_str()))
        .collect();
    let response = json!({
        "description": format!("{}: {}", status_title(status), codes.join(", ")),
        "headers": headers_of(status),
        "content": problem(code),
    });
    (component(status), response)
}

/// The name of the status's component: its title without spaces.
fn component(status: u16) -> String {
    status_title(status).replace(' ', "")
}

fn problem(code: ErrorCode) -> Value {
    let error = match code {
        ErrorCode::ValidationFailed => ApiError::invalid_field("title", "must be a string"),
        code => code.into(),
    };
    let example = error.problem("019aa5d2-8c00-7000-8000-3f6d2b1c9e77");
    json!({PROBLEM_CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}})
}

/// References to the headers of a response with this status.
fn headers_of(status: u16) -> Value {
    let names: &[&str] = match status {
        202 => &["Location"],
        401 => &["WWW-Authenticate"],
        409 | 503 => &["Retry-After"],
        429 => &["Retry-After", "RateLimit", "RateLimit-Policy"],
        _ => &[],
    };
    let headers = names.iter().chain(&["X-Request-ID"]);
    let reference =
        |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    Value::Object(headers.map(reference).collect())
}

fn headers() -> Value {
    let text = |description: &str, example: &str| json!({"description": description, "schema": {"type": "string"}, "example": example});
    json!({
        "Location": text(
            "The path of the turn",
            "/api/v1/chat/turns/019aa5d2-8c00-7000-8000-3f6d2b1c9e77",
        ),
        "RateLimit": text(
            "What is left of the limit that was hit, and in how many seconds it starts anew \
             (draft-ietf-httpapi-ratelimit-headers)",
            "\"ip\";r=0;t=42",
        ),
        "RateLimit-Policy": text("The limit that was hit: how many in how many seconds", "\"ip\";q=100;w=60"),
        "Retry-After": {
            "description": "In how many seconds to try again",
            "schema": {"type": "integer", "minimum": 0},
            "example": 42,
        },
        "WWW-Authenticate": text("The bearer challenge of RFC 6750", "Bearer"),
        "X-Request-ID": text(
            "The id of the request: the client's own where it sent one, for questions about it",
            "019aa5d2-8c00-7000-8000-3f6d2b1c9e77",
        ),
    })
}
