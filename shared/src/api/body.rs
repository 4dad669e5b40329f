//! From the bytes of a body to a validated request, with errors that name the field in words of the API.
//!
//! - [`json`]: JSON before a type is read from it
//! - [`reader`]: from JSON, a query string or a form to a type of the API
//! - [`words`]: the messages of a type's rules

mod json;
mod reader;
mod words;

use std::borrow::Cow;

use garde::{Validate, i18n::with_i18n};
use serde::{Deserialize, de::DeserializeOwned};

pub use self::json::MAX_DEPTH;
use self::json::{Json, is_too_deep};
use super::error::{ApiError, ErrorCode, FieldError};

/// The largest JSON body that is read, in bytes. Larger ones are 413.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Reads and validates a JSON body.
///
/// Errors: [`ErrorCode::PayloadTooLarge`] over [`MAX_BODY_BYTES`]; [`ErrorCode::InvalidJson`] when it is not JSON, or is
/// nested deeper than [`MAX_DEPTH`]; [`ErrorCode::ValidationFailed`] naming the field when a type or a value is wrong.
pub fn parse<T>(body: &[u8]) -> Result<T, ApiError>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    if body.len() > MAX_BODY_BYTES {
        return Err(too_large(MAX_BODY_BYTES));
    }
    if is_too_deep(body) {
        let detail = format!("The body is nested deeper than {MAX_DEPTH} levels");
        return Err(ApiError::new(ErrorCode::InvalidJson, detail));
    }
    let json: Json<'_> = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    read(json, "body")
}

/// Tells a field that is `null` from one that is not there.
#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
pub(super) fn double_option<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// The error of a body over its limit. It says how much is allowed and, where a picture may be the reason, what to do.
pub fn too_large(max_bytes: usize) -> ApiError {
    let kib = max_bytes / 1024;
    let detail = if max_bytes == MAX_BODY_BYTES {
        format!(
            "The body is larger than the {kib} KiB allowed; shrink a picture before it is sent, for example to 1536 pixels \
             on its longest side as JPEG of quality 80"
        )
    } else {
        format!("The body is larger than the {kib} KiB allowed here")
    };
    ApiError::new(ErrorCode::PayloadTooLarge, detail)
}

/// Reads and validates the decoded pairs of a query string or a form.
///
/// Errors: [`ErrorCode::ValidationFailed`] naming the parameter.
pub fn parse_pairs<'a, T>(pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Result<T, ApiError>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    read(Json::Object(pairs.map(|(name, text)| (name, Json::Plain(text))).collect()), "query")
}

/// `whole` names the value itself.
fn read<T>(value: Json<'_>, whole: &str) -> Result<T, ApiError>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    let value = T::deserialize(value).map_err(|mismatch| {
        let field = if mismatch.path.is_empty() { whole } else { &mismatch.path };
        ApiError::invalid_field(field, mismatch.message)
    })?;
    validate(&value)?;
    Ok(value)
}

/// Checks the rules of a request that was read by other means, such as a query string.
pub fn validate<T: Validate<Context = ()>>(value: &T) -> Result<(), ApiError> {
    with_i18n(words::Words, || value.validate()).map_err(|report| {
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

fn not_json(error: &serde_json::Error) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidJson,
        format!("The body is not valid JSON (line {}, column {})", error.line(), error.column()),
    )
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

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Order {
        Asc,
        Desc,
    }

    #[derive(Debug, Deserialize, Validate)]
    #[expect(dead_code, reason = "some fields are only read from bodies that are refused")]
    struct Request {
        #[garde(length(chars, min = 2, max = 4))]
        name: String,
        #[serde(default)]
        #[garde(dive)]
        items: Vec<Inner>,
        #[serde(default)]
        #[garde(skip)]
        order: Option<Order>,
        #[serde(default)]
        #[garde(skip)]
        pinned: Option<bool>,
        #[serde(default)]
        #[garde(skip)]
        warmth: Option<f64>,
        #[serde(default)]
        #[garde(skip)]
        anything: serde_json::Value,
        #[serde(default)]
        #[garde(inner(length(chars, min = 2, max = 4)))]
        long: Option<String>,
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
    fn wrong_field_is_named(#[case] body: &str, #[case] code: ErrorCode, #[case] field: &str) {
        let error = parse::<Request>(body.as_bytes()).unwrap_err();
        assert_eq!(error.code, code);
        assert_eq!(error.errors.first().map_or("", |e| e.field.as_str()), field);
    }

    /// The one wrong field of a body with this beside a good name.
    fn wrong(member: &str) -> (String, String) {
        let body = format!(r#"{{"name":"abc",{member}}}"#);
        let error = parse::<Request>(body.as_bytes()).unwrap_err();
        assert_eq!(error.code, ErrorCode::ValidationFailed, "{member}");
        let first = error.errors.first().unwrap();
        (first.field.clone(), first.message.clone())
    }

    #[rstest]
    #[case(r#""items":{}"#, "items", "must be a list")]
    #[case(r#""items":"x""#, "items", "must be a list")]
    #[case(r#""items":[[1]]"#, "items[0]", "must be an object")]
    #[case(r#""items":[{"count":1},[2]]"#, "items[1]", "must be an object")]
    #[case(r#""items":[{"count":1,"count":1}]"#, "items[0].count", "is given more than once")]
    #[case(r#""items":[{}]"#, "items[0].count", "is required")]
    #[case(r#""items":[{"count":1.5}]"#, "items[0].count", "must be an integer")]
    #[case(r#""items":[{"count":"1"}]"#, "items[0].count", "must be an integer")]
    #[case(r#""items":[{"count":null}]"#, "items[0].count", "must be an integer")]
    #[case(r#""items":[{"count":-1}]"#, "items[0].count", "must be an integer from 0 to 4294967295")]
    #[case(r#""items":[{"count":1e30}]"#, "items[0].count", "must be an integer from 0 to 4294967295")]
    #[case(r#""items":[{"count":4294967296}]"#, "items[0].count", "must be an integer from 0 to 4294967295")]
    #[case(r#""order":"up""#, "order", "must be one of asc, desc")]
    #[case(r#""order":{"asc":null}"#, "order", "must be a string")]
    #[case(r#""order":7"#, "order", "must be a string")]
    #[case(r#""pinned":1"#, "pinned", "must be true or false")]
    #[case(r#""pinned":"true""#, "pinned", "must be true or false")]
    #[case(r#""warmth":"hot""#, "warmth", "must be a number")]
    #[case(r#""items":[{"count":0}]"#, "items[0].count", "must be at least 1")]
    #[case(r#""long":"abcde""#, "long", "must have at most 4 characters")]
    #[case(r#""long":"a""#, "long", "must have at least 2 characters")]
    fn wrong_type_is_described_in_api_terms(
        #[case] member: &str,
        #[case] field: &str,
        #[case] message: &str,
    ) {
        assert_eq!(wrong(member), (field.to_owned(), message.to_owned()));
    }

    #[rstest]
    #[case(r#"["abc"]"#, "body", "must be an object")]
    #[case(r#"["abc",[],null,null,null,null]"#, "body", "must be an object")]
    #[case("null", "body", "must be an object")]
    #[case(r#"{"name":null}"#, "name", "must be a string")]
    #[case(r#"{"name":["abc"]}"#, "name", "must be a string")]
    #[case(r#"{"name":"abc","name":"abc"}"#, "name", "is given more than once")]
    fn body_that_is_no_object_is_refused(#[case] body: &str, #[case] field: &str, #[case] message: &str) {
        let error = parse::<Request>(body.as_bytes()).unwrap_err();
        assert_eq!(error.errors, [FieldError { field: field.to_owned(), message: message.to_owned() }]);
    }

    #[rstest]
    #[case("1.0", 1)]
    #[case("1e2", 100)]
    #[case("4294967295", u32::MAX)]
    #[case("4294967295.0", u32::MAX)]
    fn number_without_fraction_is_an_integer(#[case] number: &str, #[case] count: u32) {
        let body = format!(r#"{{"name":"abc","items":[{{"count":{number}}}],"warmth":1}}"#);
        let request: Request = parse(body.as_bytes()).unwrap();
        assert_eq!((request.items[0].count, request.warmth), (count, Some(1.0)));
    }

    #[test]
    fn free_json_stays_as_it_was_sent() {
        let sent = serde_json::json!({"a": [1, 2.5, -3, null, true, {"b": "\u{1F600}\n"}], "c": {}});
        let body = serde_json::json!({"name": "a\u{e9}\"", "anything": sent}).to_string();
        let request: Request = parse(body.as_bytes()).unwrap();
        assert_eq!((request.name.as_str(), request.anything), ("a\u{e9}\"", sent));
    }

    #[test]
    fn nesting_is_bounded_wherever_it_stands() {
        let nested = |levels: usize, field: &str| {
            format!(r#"{{"name":"abc","{field}":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
        };
        for field in ["later", "anything"] {
            assert!(parse::<Request>(nested(MAX_DEPTH - 1, field).as_bytes()).is_ok());
            let error = parse::<Request>(nested(MAX_DEPTH, field).as_bytes()).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidJson);
            assert_eq!(error.detail, "The body is nested deeper than 64 levels");
        }
        let brackets = format!(r#"{{"name":"abc","later":"{}\\\""}}"#, "[{".repeat(100));
        assert!(parse::<Request>(brackets.as_bytes()).is_ok());
    }

    #[derive(Debug, PartialEq, Deserialize, Validate)]
    struct Parameters {
        #[serde(default)]
        #[garde(inner(range(min = 1, max = 100)))]
        limit: Option<u32>,
        #[serde(default)]
        #[garde(skip)]
        archived: Option<bool>,
        #[serde(default)]
        #[garde(skip)]
        cursor: Option<String>,
        #[serde(default)]
        #[garde(skip)]
        ratio: Option<f64>,
    }

    fn parameters(pairs: &[(&'static str, &'static str)]) -> Result<Parameters, ApiError> {
        parse_pairs(pairs.iter().map(|(name, text)| (Cow::Borrowed(*name), Cow::Borrowed(*text))))
    }

    #[test]
    fn plain_text_is_read_as_the_type_that_is_asked_for() {
        let read = parameters(&[("limit", "7"), ("archived", "false"), ("cursor", "7"), ("other", "x")]);
        let expected =
            Parameters { limit: Some(7), archived: Some(false), cursor: Some("7".to_owned()), ratio: None };
        assert_eq!(read.unwrap(), expected);
        for (pair, message) in [
            (("limit", "x"), "must be an integer"),
            (("limit", ""), "must be an integer"),
            (("limit", "-1"), "must be an integer from 0 to 4294967295"),
            (("archived", "1"), "must be true or false"),
            (("ratio", "x"), "must be a number"),
        ] {
            let error = parameters(&[pair]).unwrap_err();
            assert_eq!(error.errors, [FieldError { field: pair.0.to_owned(), message: message.to_owned() }]);
        }
        let twice = parameters(&[("limit", "1"), ("limit", "2")]).unwrap_err();
        assert_eq!(twice.detail, "limit: is given more than once");
    }

    #[rstest]
    #[case(16 * 1024, "16 KiB")]
    #[case(MAX_BODY_BYTES, "1024 KiB")]
    fn error_of_a_body_over_its_limit_names_the_limit(#[case] max_bytes: usize, #[case] expected: &str) {
        let detail = too_large(max_bytes).detail;
        assert!(detail.contains(expected), "{detail}");
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let request = parse::<Request>(br#"{"name":"abc","later":{"x":1},"items":[{"count":3}]}"#).unwrap();
        assert_eq!((request.name.as_str(), request.items[0].count), ("abc", 3));
    }

    #[test]
    fn size_is_bounded() {
        let body = vec![b' '; MAX_BODY_BYTES + 1];
        assert_eq!(parse::<Request>(&body).unwrap_err().code, ErrorCode::PayloadTooLarge);
    }
}
