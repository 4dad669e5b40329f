//! The variables of traces, as the OpenTelemetry specification names them ("Environment Variable Specification", "OpenTelemetry
//! Protocol Exporter"): the Worker and the origin read the same ones.

use super::span::Attribute;
use crate::http::base_url;

/// The name of the service where nobody names it. Each part adds a word of its own: `edgechat-origin`.
pub const SERVICE_NAME: &str = "edgechat";

/// The form of `OTEL_EXPORTER_OTLP_HEADERS`, for a message about a wrong one.
pub const HEADERS_FORM: &str = "it should hold name=value pairs with commas between, values percent-encoded";
/// The form of `OTEL_TRACES_SAMPLER_ARG`, likewise.
pub const SAMPLER_FORM: &str = "it should hold a number from 0 to 1 (default 1)";

/// Reads the value of `OTEL_EXPORTER_OTLP_ENDPOINT`, and returns the address to which spans are posted.
///
/// # Errors
/// A sentence of what it should be.
pub fn traces_url(endpoint: &str, is_production: bool) -> Result<String, String> {
    Ok(format!("{}/v1/traces", base_url::parse(endpoint, is_production)?))
}

/// Returns what a collector is told of the part that made spans. `service` is the value of `OTEL_SERVICE_NAME`, where it is set.
pub fn resource(service: Option<&str>, part: &str, version: &'static str) -> Vec<Attribute> {
    let service = service.unwrap_or(SERVICE_NAME);
    vec![
        Attribute::new("service.name", format!("{service}-{part}")),
        Attribute::new("service.namespace", service.to_owned()),
        Attribute::new("service.version", version),
    ]
}

/// Reads the value of `OTEL_EXPORTER_OTLP_HEADERS`; none when it is malformed.
pub fn headers(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim(), percent_decoded(value.trim())?);
            let is_name = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&b));
            let is_value = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            (is_name && is_value).then(|| (name.to_owned(), value))
        })
        .collect()
}

/// Returns a text with each `%` and its two digits as the byte that they stand for.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", Some(vec![]))]
    #[case("api-key=abc", Some(vec![("api-key", "abc")]))]
    #[case(" a = 1 , b=2=3,", Some(vec![("a", "1"), ("b", "2=3")]))]
    #[case("Authorization=Basic%20dXNlcg==", Some(vec![("Authorization", "Basic dXNlcg==")]))]
    #[case("a", None)]
    #[case("=a", None)]
    #[case("a b=c", None)]
    #[case("a=%2", None)]
    #[case("a=%+1", None)]
    #[case("a=%zz", None)]
    #[case("a=%0ab", None)]
    #[case("a=ü", None)]
    fn headers_are_pairs(#[case] text: &str, #[case] expected: Option<Vec<(&str, &str)>>) {
        let owned = |pairs: Vec<(&str, &str)>| -> Vec<(String, String)> {
            pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        assert_eq!(headers(text), expected.map(owned));
    }

    #[test]
    fn address_of_spans_is_below_the_endpoint() {
        let url = traces_url("http://collector:4318/", true);
        assert_eq!(url.as_deref(), Ok("http://collector:4318/v1/traces"));
        assert!(traces_url("collector:4318", true).is_err());
    }

    #[rstest]
    #[case(None, "edgechat-origin", "edgechat")]
    #[case(Some("chat"), "chat-origin", "chat")]
    fn part_of_a_service_is_named_after_it(
        #[case] service: Option<&str>,
        #[case] name: &str,
        #[case] namespace: &str,
    ) {
        let expected =
            [("service.name", name), ("service.namespace", namespace), ("service.version", "1.2.3")];
        let expected = expected.map(|(key, value)| Attribute::new(key.to_owned(), value.to_owned()));
        assert_eq!(resource(service, "origin", "1.2.3"), expected);
    }
}
