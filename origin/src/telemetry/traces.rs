//! Traces: a span for each request and one for each call of a store, where a collector is configured. Without one nothing is
//! made. Spans wait in a queue of bounded length for a thread of their own; what does not fit, or cannot be sent, is dropped.

use std::{sync::OnceLock, time::Duration};

use axum::http::{HeaderMap, Method};
use opentelemetry::{
    Context, KeyValue,
    trace::{
        SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceState, Tracer as _,
        TracerProvider as _,
    },
};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span,
};
use shared::telemetry::{TRACEPARENT, TraceContext};
use tokio::runtime::Handle;

use super::{
    exporter::{Exporter, ExporterError},
    metrics::method_label,
    store_calls::Backend,
};
use crate::config::TracesConfig;

/// The name of what records spans.
pub(super) const LIBRARY: &str = "edgechat";
/// Spans that may wait; more are dropped.
const MAX_QUEUE_SPANS: usize = 4_096;
/// Spans of one request to the collector at most.
const MAX_BATCH_SPANS: usize = 512;
/// The longest time that a span waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// The time that a process which ends gives its last spans.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The recording of traces by this process.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts recording. Called once, by the process.
    ///
    /// # Errors
    /// Fails when no HTTP client can be made for this configuration.
    pub fn start(config: &TracesConfig, runtime: Handle) -> Result<Self, ExporterError> {
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_QUEUE_SPANS)
            .with_max_export_batch_size(MAX_BATCH_SPANS)
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let processor = BatchSpanProcessor::builder(Exporter::new(config, runtime)?);
        let sampler = Sampler::TraceIdRatioBased(config.sampler.ratio());
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor.with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .build();
        if TRACER.set(provider.tracer(LIBRARY)).is_err() {
            tracing::debug!("traces were started before");
        }
        Ok(Self(provider))
    }

    /// Sends the spans that wait, for a bounded time. It blocks.
    pub fn end(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
            tracing::debug!(%error, "the last spans may be lost");
        }
    }
}

/// Begins the span of a request that came with these headers, within the trace that they name. Without traces it is no span.
pub fn begin_request(headers: &HeaderMap, method: &Method, route: &str) -> Context {
    let Some(tracer) = TRACER.get() else { return Context::new() };
    let caller = headers.get(TRACEPARENT).and_then(|value| TraceContext::parse(value.to_str().ok()?));
    let caller = caller
        .map_or_else(Context::new, |caller| Context::new().with_remote_span_context(span_context(caller)));
    let method = method_label(method);
    let span = tracer
        .span_builder(format!("{method} {route}"))
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route.to_owned()),
        ])
        .start_with_context(tracer, &caller);
    Context::new().with_span(span)
}

/// Ends the span of a request with its answer.
pub fn end_request(span: &Context, status: u16, code: Option<&'static str>) {
    if !span.has_active_span() {
        return;
    }
    let span = span.span();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
    if let Some(code) = code {
        span.set_attribute(KeyValue::new("error.type", code));
    }
    // What a client did wrong is no failure of the server's (semantic conventions of HTTP spans, "Status").
    if status >= 500 {
        span.set_status(Status::error(""));
    }
    span.end();
}

/// Returns the id of the trace of a request, when it is recorded: for its lines in the log.
pub fn recorded_trace(span: &Context) -> Option<String> {
    let span = span.span();
    let context = span.span_context();
    context.is_sampled().then(|| context.trace_id().to_string())
}

/// Begins the span of a call of a store within the current request; none without traces, or outside of a request.
pub(super) fn begin_store_call(backend: Backend, operation: &'static str) -> Option<Span> {
    let tracer = TRACER.get()?;
    let request = Context::current();
    if !request.span().span_context().is_sampled() {
        return None;
    }
    let builder = tracer
        .span_builder(format!("{operation} {}", backend.store))
        .with_kind(SpanKind::Client)
        .with_attributes([
            KeyValue::new("db.system.name", backend.product),
            KeyValue::new("db.operation.name", operation),
        ]);
    Some(builder.start_with_context(tracer, &request))
}

fn span_context(caller: TraceContext) -> SpanContext {
    let flags = if caller.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(caller.trace_id.to_bytes()),
        opentelemetry::SpanId::from_bytes(caller.span_id.to_bytes()),
        flags,
        true,
        TraceState::NONE,
    )
}
