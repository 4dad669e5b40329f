//! A collector of traces: takes spans as OpenTelemetry's protocol writes them in JSON, and keeps them for the test.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{Request, Response, body::Incoming, header::HeaderMap, service::service_fn};
use serde_json::Value;

use crate::{
    mock_origin,
    wait::{BOUND, until},
};

/// A span that arrived.
#[derive(Clone, Debug)]
pub struct Span {
    /// The service that made it.
    pub service: String,
    /// Its trace.
    pub trace_id: String,
    /// Its id.
    pub span_id: String,
    /// The id of the span that it is a part of; empty when there is none.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// Its side of a call, as the protocol numbers them.
    pub kind: u64,
    /// Its begin and its end, in nanoseconds since 1970.
    pub times_ns: (u64, u64),
    /// Its attributes, as texts.
    pub attributes: BTreeMap<String, String>,
    /// The names of its events, in order.
    pub events: Vec<String>,
    /// True when it failed.
    pub is_error: bool,
}

/// The spans and headers received so far.
#[derive(Debug, Default)]
struct Received {
    spans: Vec<Span>,
    headers: Vec<HeaderMap>,
}

/// A collector on a port of its own, until the test ends.
#[derive(Debug)]
pub struct Collector {
    url: String,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    /// Starts a collector.
    pub async fn start() -> Self {
        let received: Arc<Mutex<Received>> = Arc::default();
        let kept = Arc::clone(&received);
        let url = mock_origin::serve(service_fn(move |request| take(request, Arc::clone(&kept)))).await;
        Self { url, received }
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> &str {
        &self.url
    }

    /// The headers of each request that brought spans.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).headers.clone()
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).spans.clone()
    }

    /// Waits until the spans are as they should be.
    ///
    /// # Panics
    /// Panics when that takes too long.
    pub async fn wait(&self, what: &str, are_so: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        until(BOUND, what, || async { Some(self.spans()).filter(|spans| are_so(spans)) }).await
    }
}

impl Span {
    /// An attribute; empty when it is absent.
    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

async fn take(
    request: Request<Incoming>,
    received: Arc<Mutex<Received>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_right = request.method() == "POST" && request.uri().path() == "/v1/traces";
    let headers = request.headers().clone();
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let spans = serde_json::from_slice(&body).ok().filter(|_| is_right).and_then(|body| read(&body));
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    match spans {
        Some(spans) => {
            let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
            received.headers.push(headers);
            received.spans.extend(spans);
        }
        None => *response.status_mut() = hyper::StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

/// Reads an `ExportTraceServiceRequest`; none when it is not one.
fn read(request: &Value) -> Option<Vec<Span>> {
    let mut found = Vec::new();
    for resource_spans in request["resourceSpans"].as_array()? {
        let service = attributes(&resource_spans["resource"])?.remove("service.name")?;
        for scope_spans in resource_spans["scopeSpans"].as_array()? {
            for span in scope_spans["spans"].as_array()? {
                found.push(read_span(&service, span)?);
            }
        }
    }
    Some(found)
}

fn read_span(service: &str, span: &Value) -> Option<Span> {
    let text = |field: &str| span[field].as_str().map(str::to_owned);
    let id = |field, digits| text(field).filter(|id| id.len() == digits);
    let parent = if span["parentSpanId"].is_null() { String::new() } else { id("parentSpanId", 16)? };
    let events = span["events"].as_array()?;
    Some(Span {
        service: service.to_owned(),
        trace_id: id("traceId", 32)?,
        span_id: id("spanId", 16)?,
        parent,
        name: text("name")?,
        kind: span["kind"].as_u64()?,
        times_ns: (text("startTimeUnixNano")?.parse().ok()?, text("endTimeUnixNano")?.parse().ok()?),
        attributes: attributes(span)?,
        events: events.iter().map(|event| Some(event["name"].as_str()?.to_owned())).collect::<Option<_>>()?,
        is_error: span["status"]["code"] == 2,
    })
}

fn attributes(of: &Value) -> Option<BTreeMap<String, String>> {
    let pair = |attribute: &Value| {
        let value = attribute["value"].as_object()?.values().next()?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((attribute["key"].as_str()?.to_owned(), text))
    };
    of["attributes"].as_array()?.iter().map(pair).collect()
}
