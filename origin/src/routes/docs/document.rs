//! The document: the routes' own descriptions, and the parts that apply to all of them.

use serde_json::{Map, Value, json};
use utoipa::openapi::{
    Info, License, OpenApi, OpenApiBuilder, Server,
    info::{ContactBuilder, LicenseBuilder},
    security::{Flow, HttpAuthScheme, HttpBuilder, OAuth2, Password, Scopes, SecurityScheme},
    tag::TagBuilder,
};

use super::{events, responses, schemas};

/// The groups of the operations.
const TAGS: [(&str, &str); 6] = [
    ("auth", "Sign-up, sign-in and tokens"),
    ("users", "The signed-in user"),
    ("chat", "Conversations, messages and turns"),
    ("ai", "The models"),
    ("usage", "What was used"),
    ("health", "What answers here, and whether it can"),
];

const DESCRIPTION: &str = "Accounts, conversations and usage of a chat app.\n\nErrors are problems of RFC 9457 with a \
    `code` to branch on. Fields may be added to every answer, and values to its enumerations; fields of a request that are \
    not known are ignored. A method that a path does not have is a 405 that names the others in `Allow`. `HEAD` works \
    where `GET` does.";

/// Builds the document of all public routes.
///
/// # Errors
///
/// Fails when it cannot be written as JSON, which a test rules out.
pub(in crate::routes) fn document(
    name: &str,
    parts: impl IntoIterator<Item = OpenApi>,
) -> Result<Value, serde_json::Error> {
    let mut info = Info::new(format!("{name} API"), env!("CARGO_PKG_VERSION").to_owned());
    info.description = Some(DESCRIPTION.to_owned());
    info.contact = Some(ContactBuilder::new().name(Some(name)).build());
    info.license = Some(license());
    let tags = TAGS.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build());
    let mut document =
        OpenApiBuilder::new().info(info).servers(Some([Server::new("/")])).tags(Some(tags)).build();
    for part in parts {
        document.merge(part);
    }
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let scopes = Scopes::one("api", "Everything that the user may do");
    let password = Flow::Password(Password::new("/api/v1/auth/token", scopes));
    let oauth2 = OAuth2::with_description([password], "The same tokens, by the OAuth2 form");
    components.add_security_scheme("oauth2", SecurityScheme::OAuth2(oauth2));

    let mut document = serde_json::to_value(&document)?;
    for operation in operations(&mut document) {
        secure(operation);
        allow_absence(operation);
    }
    events::add(&mut document);
    schemas::complete(&mut document);
    responses::complete(&mut document);
    Ok(document)
}

fn license() -> License {
    LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build()
}

/// Documents that an operation accepts either kind of token, or needs none.
fn secure(operation: &mut Value) {
    let Some(operation) = operation.as_object_mut() else { return };
    let declared = operation.get("security").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let security = match declared {
        [] => json!([]),
        // An empty requirement beside the others: the token may be absent.
        list if list.contains(&json!({})) => json!([{}, {"bearer": []}, {"oauth2": ["api"]}]),
        _ => json!([{"bearer": []}, {"oauth2": ["api"]}]),
    };
    operation.insert("security".to_owned(), security);
}

/// Documents an optional body as not required, instead of as `null`.
fn allow_absence(operation: &mut Value) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let media_types = body.get_mut("content").and_then(Value::as_object_mut);
    for media_type in media_types.into_iter().flat_map(Map::values_mut) {
        let Some(schema) = media_type.get_mut("schema") else { continue };
        let choices = schema.get("oneOf").and_then(Value::as_array);
        let reference =
            choices.and_then(|choices| choices.iter().find(|choice| choice.get("$ref").is_some())).cloned();
        if let Some(reference) = reference {
            *schema = reference;
        }
    }
}

/// Every operation of the document.
pub(super) fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    paths
        .into_iter()
        .flatten()
        .filter_map(|(_, item)| item.as_object_mut())
        .flatten()
        .map(|(_, operation)| operation)
}
