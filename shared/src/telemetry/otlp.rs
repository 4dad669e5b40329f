//! Spans as a collector takes them at `POST /v1/traces`: OTLP 1, in its JSON encoding (OpenTelemetry Protocol, "JSON Protobuf
//! Encoding"): ids are hexadecimal, numbers of 64 bits are texts, enumerations are numbers.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::span::{Attribute, FinishedSpan, SpanEvent, Value};

/// The media type of a request.
pub const CONTENT_TYPE: &str = "application/json";
/// The status of a span that failed.
const ERROR: u8 = 2;

/// Writes the request that hands spans over. `resource` tells what made them, `library` what recorded them.
pub fn request(resource: &[Attribute], library: &'static str, spans: &[FinishedSpan]) -> Vec<u8> {
    let scope_spans = [ScopeSpans { scope: Scope { name: library }, spans }];
    let resource_spans = [ResourceSpans { resource: Resource { attributes: resource }, scope_spans }];
    // Only texts and whole numbers go in, so this cannot fail.
    serde_json::to_vec(&Request { resource_spans }).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: &'a [Attribute],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: &'a [FinishedSpan],
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
}

impl Serialize for FinishedSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("traceId", &self.context.trace_id)?;
        map.serialize_entry("spanId", &self.context.span_id)?;
        if let Some(parent) = &self.parent {
            map.serialize_entry("parentSpanId", parent)?;
        }
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("kind", &(self.kind as u8))?;
        map.serialize_entry("startTimeUnixNano", &self.started_ns.to_string())?;
        map.serialize_entry("endTimeUnixNano", &self.ended_ns.to_string())?;
        map.serialize_entry("attributes", &self.attributes)?;
        map.serialize_entry("events", &self.events)?;
        if let Some(message) = &self.error {
            map.serialize_entry("status", &Status { code: ERROR, message })?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Status<'a> {
    code: u8,
    message: &'a str,
}

impl Serialize for SpanEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timeUnixNano", &self.at_ns.to_string())?;
        map.serialize_entry("name", &self.name)?;
        map.end()
    }
}

impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("key", &self.key)?;
        map.serialize_entry("value", &self.value)?;
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Text(text) => map.serialize_entry("stringValue", text)?,
            Self::Int(number) => map.serialize_entry("intValue", &number.to_string())?,
            Self::Bool(value) => map.serialize_entry("boolValue", value)?,
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::telemetry::{context::TraceContext, span::SpanKind};

    #[test]
    fn span_is_written_as_the_protocol_says() {
        let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let span = FinishedSpan {
            context,
            parent: Some(context.span_id),
            name: "POST /internal/v1/turns".into(),
            kind: SpanKind::Client,
            started_ns: 1_795_253_400_007_000_000,
            ended_ns: 1_795_253_400_009_000_000,
            attributes: vec![
                Attribute::new("http.request.method", "POST"),
                Attribute::new("http.response.status_code", 503_u16),
                Attribute::new("edgechat.repeated", true),
            ],
            events: vec![SpanEvent { name: "first_word".into(), at_ns: 1_795_253_400_008_000_000 }],
            error: Some("the origin answered 503".into()),
        };
        let root =
            FinishedSpan { parent: None, error: None, attributes: vec![], events: vec![], ..span.clone() };
        let resource = [Attribute::new("service.name", "edgechat")];
        let request = request(&resource, "edgechat", &[span, root]);
        let text = |text: &str| json!({ "stringValue": text });
        let expected = json!({ "resourceSpans": [{
            "resource": { "attributes": [{ "key": "service.name", "value": text("edgechat") }] },
            "scopeSpans": [{
                "scope": { "name": "edgechat" },
                "spans": [{
                    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                    "spanId": "00f067aa0ba902b7",
                    "parentSpanId": "00f067aa0ba902b7",
                    "name": "POST /internal/v1/turns",
                    "kind": 3,
                    "startTimeUnixNano": "1795253400007000000",
                    "endTimeUnixNano": "1795253400009000000",
                    "attributes": [
                        { "key": "http.request.method", "value": text("POST") },
                        { "key": "http.response.status_code", "value": { "intValue": "503" } },
                        { "key": "edgechat.repeated", "value": { "boolValue": true } },
                    ],
                    "events": [{ "timeUnixNano": "1795253400008000000", "name": "first_word" }],
                    "status": { "code": 2, "message": "the origin answered 503" },
                }, {
                    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                    "spanId": "00f067aa0ba902b7",
                    "name": "POST /internal/v1/turns",
                    "kind": 3,
                    "startTimeUnixNano": "1795253400007000000",
                    "endTimeUnixNano": "1795253400009000000",
                    "attributes": [],
                    "events": [],
                }],
            }],
        }] });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&request).unwrap(), expected);
    }
}
