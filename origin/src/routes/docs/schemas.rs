//! Schemas: bounds from the constants of the validation, examples, and the required fields of responses.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use shared::{
    api::{
        account::{
            MAX_AVATAR_URL_BYTES, MAX_EMAIL_CHARS, MAX_LOCALE_CHARS, MAX_NAME_CHARS, MAX_REFRESH_TOKEN_CHARS,
            MAX_TIMEZONE_CHARS,
            codes::MAX_PHONE_CHARS,
            consent::MAX_DOCUMENT_CHARS,
            identity::{
                MAX_ACCESS_TOKEN_CHARS, MAX_AUTHORIZATION_CODE_CHARS, MAX_ID_TOKEN_CHARS, MAX_NONCE_CHARS,
            },
            passwords::{
                MAX_LINK_TOKEN_CHARS, MAX_PASSWORD_CHARS, MAX_TYPED_PASSWORD_CHARS, MIN_PASSWORD_CHARS,
            },
        },
        chat::{
            IMAGE_TYPES, MAX_OUTPUT_TOKENS, MAX_PARTS, MAX_SYSTEM_CHARS, MAX_TEMPERATURE, MAX_TEXT_CHARS,
            MAX_TITLE_CHARS,
        },
        models,
        page::{DEFAULT_LIMIT, MAX_CURSOR_CHARS, MAX_LIMIT},
    },
    http::accept::MAX_IDEMPOTENCY_KEY_CHARS,
};

use super::document::operations;

/// Fields of responses that are omitted when absent; all others are present, if with `null`.
const LEFT_OUT: [(&str, &str); 1] = [("Problem", "errors")];

/// The prefix of the names of lists: `Page_Message` becomes `MessagePage`, and its items a reference.
const PAGE: &str = "Page_";

/// Completes the schemas and the parameters.
pub(super) fn complete(document: &mut Value) {
    name_pages(document);
    bound_fields(document);
    bound_parameters(document);
    require_fields(document);
    super::examples::add(document);
}

fn name_pages(document: &mut Value) {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else {
        return;
    };
    let pages: Vec<_> =
        schemas.keys().filter_map(|name| name.strip_prefix(PAGE).map(str::to_owned)).collect();
    for item in &pages {
        let Some(mut page) = schemas.remove(&format!("{PAGE}{item}")) else { continue };
        if let Some(items) = page.pointer_mut("/properties/items/items") {
            *items = json!({"$ref": format!("#/components/schemas/{item}")});
        }
        schemas.insert(format!("{item}Page"), page);
    }
    for_each_reference(document, &mut |reference| {
        if let Some(item) =
            reference.strip_prefix("#/components/schemas/").and_then(|name| name.strip_prefix(PAGE))
        {
            *reference = format!("#/components/schemas/{item}Page");
        }
    });
}

fn for_each_reference(value: &mut Value, act: &mut impl FnMut(&mut String)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(reference) if name == "$ref" => act(reference),
                    field => for_each_reference(field, act),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| for_each_reference(item, act)),
        _ => {}
    }
}

/// No control characters of Unicode, as `char::is_control` knows them.
const NO_CONTROLS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";

/// The bounds of a name of a device, and of a name of a user.
fn names() -> (Value, Value) {
    let device = json!({"maxLength": MAX_NAME_CHARS, "pattern": NO_CONTROLS, "example": "Ada's phone"});
    let display_name =
        json!({"minLength": 1, "maxLength": MAX_NAME_CHARS, "pattern": NO_CONTROLS, "example": "Ada"});
    (device, display_name)
}

/// The bounds of the fields of requests.
fn bounds() -> Vec<(&'static str, &'static str, Value)> {
    let (device, display_name) = names();
    let new_password =
        json!({"minLength": MIN_PASSWORD_CHARS, "maxLength": MAX_PASSWORD_CHARS, "format": "password"});
    let typed_password = json!({"maxLength": MAX_TYPED_PASSWORD_CHARS, "format": "password"});
    let email = json!({"format": "email", "maxLength": MAX_EMAIL_CHARS});
    let phone = json!({"maxLength": MAX_PHONE_CHARS, "pattern": "^ *\\+[ ()./-]*[1-9]([ ()./-]*[0-9]){6,14}[ ()./-]*$"});
    let mut bounds = vec![
        ("ChangePasswordRequest", "current_password", typed_password.clone()),
        ("ChangePasswordRequest", "new_password", new_password.clone()),
        ("ForgotPasswordRequest", "email", email.clone()),
        ("ResetPasswordRequest", "token", json!({"maxLength": MAX_LINK_TOKEN_CHARS})),
        ("ResetPasswordRequest", "new_password", new_password.clone()),
        ("SendCodeRequest", "email", email.clone()),
        ("SendCodeRequest", "phone", phone.clone()),
        ("VerifyCodeRequest", "email", email.clone()),
        ("VerifyCodeRequest", "phone", phone),
        ("VerifyCodeRequest", "code", json!({"pattern": "^[0-9]{6}$"})),
        ("VerifyCodeRequest", "device_name", device.clone()),
        ("DeleteAccountRequest", "password", typed_password.clone()),
        ("DeleteAccountRequest", "code", json!({"pattern": "^[0-9]{6}$"})),
        ("RegisterRequest", "email", email),
        ("RegisterRequest", "password", new_password),
        ("RegisterRequest", "display_name", display_name.clone()),
        ("RegisterRequest", "device_name", device.clone()),
        ("LoginRequest", "email", json!({"maxLength": MAX_EMAIL_CHARS})),
        ("LoginRequest", "password", typed_password),
        ("LoginRequest", "device_name", device.clone()),
        ("RefreshRequest", "refresh_token", json!({"maxLength": MAX_REFRESH_TOKEN_CHARS})),
        (
            "TokenForm",
            "grant_type",
            json!({"type": "string", "enum": ["password", "refresh_token"], "default": "password"}),
        ),
        // A field of a form without a value is an absent one (RFC 6749, section 3.2).
        ("TokenForm", "username", json!({"type": "string", "maxLength": MAX_EMAIL_CHARS})),
        (
            "TokenForm",
            "password",
            json!({"type": "string", "maxLength": MAX_TYPED_PASSWORD_CHARS, "format": "password"}),
        ),
        ("TokenForm", "refresh_token", json!({"type": "string", "maxLength": MAX_REFRESH_TOKEN_CHARS})),
        ("RegisterPasskey", "name", display_name.clone()),
        ("RenamePasskey", "name", display_name.clone()),
        ("PasskeyLogin", "device_name", device.clone()),
        ("UpdateProfile", "display_name", display_name),
        (
            "UpdateProfile",
            "avatar_url",
            json!({"format": "uri", "maxLength": MAX_AVATAR_URL_BYTES, "example": "https://example.com/ada.png"}),
        ),
        (
            "UpdateProfile",
            "locale",
            json!({"minLength": 2, "maxLength": MAX_LOCALE_CHARS, "example": "de-CH"}),
        ),
        (
            "UpdateProfile",
            "timezone",
            json!({"minLength": 1, "maxLength": MAX_TIMEZONE_CHARS, "example": "Europe/Zurich"}),
        ),
        ("GiveConsent", "document", json!({"pattern": format!("^[a-z0-9_-]{{1,{MAX_DOCUMENT_CHARS}}}$")})),
        (
            "GiveConsent",
            "version",
            json!({"pattern": format!("^[A-Za-z0-9.:_+-]{{1,{MAX_DOCUMENT_CHARS}}}$")}),
        ),
    ];
    bounds.extend(chat_bounds());
    bounds.extend(identity_bounds());
    bounds
}

/// The same of requests about conversations.
fn chat_bounds() -> Vec<(&'static str, &'static str, Value)> {
    let names: Vec<_> = models::names().map(|name| name.replace('.', "\\.")).collect();
    let model = json!({"pattern": format!("^({})$", names.join("|"))});
    let title = json!({"maxLength": MAX_TITLE_CHARS});
    let system = json!({"maxLength": MAX_SYSTEM_CHARS});
    let images: Vec<_> = IMAGE_TYPES.iter().filter_map(|name| name.strip_prefix("image/")).collect();
    vec![
        ("CreateConversation", "title", title.clone()),
        ("CreateConversation", "model", model.clone()),
        ("CreateConversation", "system", system.clone()),
        ("UpdateConversation", "title", title),
        ("UpdateConversation", "model", model.clone()),
        ("UpdateConversation", "system", system),
        ("SendMessage", "content", json!({"minLength": 1, "maxLength": MAX_TEXT_CHARS, "pattern": "\\S"})),
        ("SendMessage", "parts", json!({"minItems": 1, "maxItems": MAX_PARTS})),
        ("SendMessage", "model", model.clone()),
        ("SendMessage", "temperature", json!({"minimum": 0, "maximum": MAX_TEMPERATURE})),
        ("SendMessage", "max_output_tokens", json!({"minimum": 1, "maximum": MAX_OUTPUT_TOKENS})),
        ("SendMessage", "client_message_id", idempotency_key()),
        ("AnswerRequest", "model", model),
        ("AnswerRequest", "temperature", json!({"minimum": 0, "maximum": MAX_TEMPERATURE})),
        ("AnswerRequest", "max_output_tokens", json!({"minimum": 1, "maximum": MAX_OUTPUT_TOKENS})),
        ("AnswerRequest", "client_message_id", idempotency_key()),
        ("Part", "text", json!({"maxLength": MAX_TEXT_CHARS})),
        (
            "Part",
            "mime_type",
            json!({"pattern": format!("^image/({})$", images.join("|")), "example": "image/jpeg"}),
        ),
        (
            "Part",
            "data",
            json!({
                "minLength": 4,
                "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$",
            }),
        ),
    ]
}

/// The same of requests that sign in by an identity, begin as a guest, or move one's conversations.
fn identity_bounds() -> Vec<(&'static str, &'static str, Value)> {
    let (device, display_name) = names();
    let id_token = json!({"minLength": 1, "maxLength": MAX_ID_TOKEN_CHARS});
    let nonce = json!({"minLength": 1, "maxLength": MAX_NONCE_CHARS});
    let guest_token = json!({"minLength": 1, "maxLength": MAX_ACCESS_TOKEN_CHARS});
    vec![
        ("GoogleSignInRequest", "id_token", id_token.clone()),
        ("GoogleSignInRequest", "nonce", nonce.clone()),
        ("GoogleSignInRequest", "display_name", display_name.clone()),
        ("GoogleSignInRequest", "device_name", device.clone()),
        ("GoogleSignInRequest", "merge_guest_token", guest_token.clone()),
        ("AppleSignInRequest", "id_token", id_token),
        ("AppleSignInRequest", "nonce", nonce),
        (
            "AppleSignInRequest",
            "authorization_code",
            json!({"minLength": 1, "maxLength": MAX_AUTHORIZATION_CODE_CHARS, "pattern": NO_CONTROLS}),
        ),
        ("AppleSignInRequest", "display_name", display_name.clone()),
        ("AppleSignInRequest", "device_name", device.clone()),
        ("AppleSignInRequest", "merge_guest_token", guest_token.clone()),
        ("GuestRequest", "device_name", device),
        ("LoginRequest", "merge_guest_token", guest_token.clone()),
        ("VerifyCodeRequest", "merge_guest_token", guest_token),
    ]
}

fn idempotency_key() -> Value {
    json!({"minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_CHARS, "pattern": "^[!-~]+$"})
}

fn bound_fields(document: &mut Value) {
    for (schema, field, bounds) in bounds() {
        merge(document.pointer_mut(&format!("/components/schemas/{schema}/properties/{field}")), &bounds);
    }
}

/// The bounds of the parameters, and no `null`, which no parameter can be.
fn bound_parameters(document: &mut Value) {
    let bounds = [
        ("limit", json!({"minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT})),
        ("cursor", json!({"minLength": 1, "maxLength": MAX_CURSOR_CHARS})),
        ("from", json!({"format": "date"})),
        ("to", json!({"format": "date"})),
        ("Idempotency-Key", idempotency_key()),
    ];
    for operation in operations(document) {
        let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else {
            continue;
        };
        for parameter in parameters {
            let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            let Some(schema) = parameter.get_mut("schema") else { continue };
            if let Some(kind) = schema.get_mut("type")
                && let Some(types) = kind.as_array_mut()
            {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    *kind = one.clone();
                }
            }
            if let Some((_, bounds)) = bounds.iter().find(|(known, _)| *known == name) {
                merge(Some(schema), bounds);
            }
        }
    }
}

fn merge(target: Option<&mut Value>, more: &Value) {
    if let (Some(Value::Object(target)), Value::Object(more)) = (target, more) {
        target.extend(more.clone());
    }
}

/// Requires every field of schemas that only responses have: the server omits none.
fn require_fields(document: &mut Value) {
    let mut asked = BTreeSet::new();
    for operation in operations(&mut document.clone()) {
        if let Some(body) = operation.get_mut("requestBody") {
            for_each_reference(body, &mut |reference| {
                asked.insert(reference.clone());
            });
        }
    }
    let mut known = 0;
    while known < asked.len() {
        known = asked.len();
        for reference in asked.clone() {
            let schema = document.pointer(reference.trim_start_matches('#')).cloned();
            for_each_reference(&mut schema.unwrap_or_default(), &mut |reference| {
                asked.insert(reference.clone());
            });
        }
    }
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, schema) in schemas {
        if !asked.contains(&format!("#/components/schemas/{name}")) {
            require_all(name, schema);
        }
    }
}

fn require_all(name: &str, schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(pieces) = schema.get_mut("allOf").and_then(Value::as_array_mut) {
        for piece in pieces {
            require_all(name, piece);
        }
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let required = required(name, properties);
    schema.insert("required".to_owned(), required);
}

fn required(schema: &str, properties: &Map<String, Value>) -> Value {
    let left_out = |field: &&String| LEFT_OUT.contains(&(schema, field.as_str()));
    properties.keys().filter(|field| !left_out(field)).cloned().collect::<Vec<_>>().into()
}
