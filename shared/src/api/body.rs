//! From the bytes of a body to a validated request, with errors that name the field.

use garde::Validate;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error::{ApiError, ErrorCode, FieldError};

/// The largest JSON body that is read, in bytes. Larger ones are 413.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Reads and validates a JSON body.
///
/// Errors: [`ErrorCode::PayloadTooLarge`] over [`MAX_BODY_BYTES`]; [`ErrorCode::InvalidJson`] when it is not JSON;
/// [`ErrorCode::ValidationFailed`] naming the field when a type or a value is wrong.
pub fn parse<T>(body: &[u8]) -> Result<T, ApiError>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    if body.len() > MAX_BODY_BYTES {
        return Err(too_large());
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            Category::Data => wrong_type(&path, &inner),
            _ => not_json(&inner),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    validate(&value)?;
    Ok(value)
}

/// Checks the rules of a request that was read by other means, such as a query string.
pub fn validate<T: Validate<Context = ()>>(value: &T) -> Result<(), ApiError> {
    value.validate().map_err(|report| {
        ApiError::invalid_fields(
            report
                .iter()
                .map(|(path, error)| FieldError {
                    field: path.to_string(),
                    message: error.message().to_owned(),
                })
                .collect(),
        )
    })
}

/// The error of a body over the limit.
pub fn too_large() -> ApiError {
    ApiError::new(
        ErrorCode::PayloadTooLarge,
        format!("The body is larger than {} KiB", MAX_BODY_BYTES / 1024),
    )
}

fn not_json(error: &serde_json::Error) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidJson,
        format!("The body is not valid JSON (line {}, column {})", error.line(), error.column()),
    )
}

/// serde names a missing field in its message only, and gives the path of the object around it.
fn wrong_type(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    match (missing, path) {
        (Some(field), ".") => ApiError::invalid_field(field, "is required"),
        (Some(field), path) => ApiError::invalid_field(&format!("{path}.{field}"), "is required"),
        (None, ".") => ApiError::invalid_field("body", message),
        (None, path) => ApiError::invalid_field(path, message),
    }
}

#[cfg(test)]
mod tests {
    use garde::Validate;
    use rstest::rstest;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, Validate)]
    struct Inner {
        #[garde(range(min = 1))]
        count: u32,
    }

    #[derive(Debug, Deserialize, Validate)]
    struct Request {
        #[garde(length(chars, min = 2, max = 4))]
        name: String,
        #[serde(default)]
        #[garde(dive)]
        items: Vec<Inner>,
    }

    #[rstest]
    #[case(r#"{"name":"#, ErrorCode::InvalidJson, "")]
    #[case("", ErrorCode::InvalidJson, "")]
    #[case(r#"{"name":"abc"} x"#, ErrorCode::InvalidJson, "")]
    #[case("[]", ErrorCode::ValidationFailed, "body")]
    #[case("7", ErrorCode::ValidationFailed, "body")]
    #[case("{}", ErrorCode::ValidationFailed, "name")]
    #[case(r#"{"name":7}"#, ErrorCode::ValidationFailed, "name")]
    #[case(r#"{"name":"a"}"#, ErrorCode::ValidationFailed, "name")]
    #[case(
        r#"{"name":"abc","items":[{"count":1},{"count":"2"}]}"#,
        ErrorCode::ValidationFailed,
        "items[1].count"
    )]
    #[case(r#"{"name":"abc","items":[{}]}"#, ErrorCode::ValidationFailed, "items[0].count")]
    #[case(r#"{"name":"abc","items":[{"count":0}]}"#, ErrorCode::ValidationFailed, "items[0].count")]
    fn names_what_is_wrong(#[case] body: &str, #[case] code: ErrorCode, #[case] field: &str) {
        let error = parse::<Request>(body.as_bytes()).unwrap_err();
        assert_eq!(error.code, code);
        assert_eq!(error.errors.first().map_or("", |e| e.field.as_str()), field);
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let request = parse::<Request>(br#"{"name":"abc","later":{"x":1},"items":[{"count":3}]}"#).unwrap();
        assert_eq!((request.name.as_str(), request.items[0].count), ("abc", 3));
    }

    #[test]
    fn the_size_is_bounded() {
        let body = vec![b' '; MAX_BODY_BYTES + 1];
        assert_eq!(parse::<Request>(&body).unwrap_err().code, ErrorCode::PayloadTooLarge);
    }
}
