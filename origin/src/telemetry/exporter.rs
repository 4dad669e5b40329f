//! Spans on their way to the collector: written by the encoder that the Worker uses, too, and posted. A batch that cannot be
//! sent is dropped; the log says so once, until one can be sent again.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    KeyValue,
    trace::{Event, SpanKind as SdkSpanKind, Status},
};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use reqwest::{
    Client, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use shared::telemetry::{
    Attribute, FinishedSpan, SpanEvent, SpanId, SpanKind, TraceContext, TraceId, Value, otlp, settings,
    span::clipped,
};
use tokio::runtime::Handle;

use super::{
    metrics::{SpanOutcome, metrics},
    traces::LIBRARY,
};
use crate::{
    config::TracesConfig,
    http_client::{self, Timeouts},
};

/// The time that the collector has for an answer.
const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(2), total: Duration::from_secs(5) };
/// Bytes of an answer that are read, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Sends spans.
#[derive(Debug)]
pub(super) struct Exporter {
    client: Client,
    url: Url,
    headers: HeaderMap,
    resource: Vec<Attribute>,
    /// The runtime of the requests: spans are sent by a thread outside it.
    runtime: Handle,
    is_failing: AtomicBool,
}

/// The reason why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// TLS cannot be set up.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: TLS cannot be set up: {0}")]
    Tls(#[from] reqwest::Error),
    /// The address is none.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: no request can be made to it")]
    Address,
    /// A header is none.
    #[error("OTEL_EXPORTER_OTLP_HEADERS: {0} cannot be sent")]
    Header(String),
}

impl Exporter {
    pub(super) fn new(config: &TracesConfig, runtime: Handle) -> Result<Self, ExporterError> {
        let url: Url = config.url.parse().map_err(|_| ExporterError::Address)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let pair = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value.expose()).ok());
            let (name, mut value) = pair.ok_or_else(|| ExporterError::Header(name.clone()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(otlp::CONTENT_TYPE));
        let service = config.service_name.as_deref();
        let resource = settings::resource(service, "origin", env!("CARGO_PKG_VERSION"));
        let client = http_client::client(TIMEOUTS)?;
        Ok(Self { client, url, headers, resource, runtime, is_failing: AtomicBool::new(false) })
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), String> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let posting = self.runtime.spawn(async move {
            let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
            let status = answer.status();
            http_client::discard(answer, MAX_ANSWER_BYTES).await;
            if status.is_success() { Ok(()) } else { Err(format!("the collector answered {status}")) }
        });
        posting.await.map_err(|error| error.to_string())?
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans: Vec<_> = batch.into_iter().map(finished).collect();
        let outcome = self.post(otlp::request(&self.resource, LIBRARY, &spans)).await;
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        match outcome {
            Ok(()) => metrics().count_spans(SpanOutcome::Sent, count),
            Err(error) => {
                metrics().count_spans(SpanOutcome::Dropped, count);
                if !was_failing {
                    tracing::warn!(error, "spans cannot be sent and are dropped until they can");
                }
                return Err(OTelSdkError::InternalFailure(error));
            }
        }
        Ok(())
    }
}

fn finished(span: SpanData) -> FinishedSpan {
    let context = &span.span_context;
    let parent = span.parent_span_id;
    FinishedSpan {
        context: TraceContext {
            trace_id: TraceId::from_bytes(context.trace_id().to_bytes()),
            span_id: SpanId::from_bytes(context.span_id().to_bytes()),
            is_sampled: context.is_sampled(),
        },
        parent: (parent != opentelemetry::SpanId::INVALID).then(|| SpanId::from_bytes(parent.to_bytes())),
        name: span.name,
        kind: match span.span_kind {
            SdkSpanKind::Server => SpanKind::Server,
            SdkSpanKind::Client => SpanKind::Client,
            _ => SpanKind::Internal,
        },
        started_ns: nanos(span.start_time),
        ended_ns: nanos(span.end_time),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        events: span.events.events.into_iter().map(event).collect(),
        error: match span.status {
            Status::Error { description } => Some(clipped(description)),
            Status::Unset | Status::Ok => None,
        },
    }
}

fn event(event: Event) -> SpanEvent {
    SpanEvent { name: event.name, at_ns: nanos(event.timestamp) }
}

fn attribute(pair: KeyValue) -> Attribute {
    let value = match pair.value {
        opentelemetry::Value::Bool(value) => Value::Bool(value),
        opentelemetry::Value::I64(number) => Value::Int(number),
        other => other.to_string().into(),
    };
    Attribute::new(Cow::Owned(pair.key.as_str().to_owned()), value)
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
