//! The figures of this process, and the text in which Prometheus reads them.

use std::{fmt, sync::LazyLock, time::Duration};

use axum::http::Method;
use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram},
    registry::Registry,
};

use super::{
    deliveries::OutboxFigures, gauges::Gauges, messages::MessageFigures, process::Process,
    store_calls::StoreCallLabels,
};

/// The prefix of all metric names except those of the process, which are the same for all programs.
const PREFIX: &str = "edgechat";
/// The upper bounds of a request's time, in seconds.
const REQUEST_BUCKETS_S: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// The upper bounds of the time of a store's call, in seconds. Every store gives up after six.
const STORE_BUCKETS_S: [f64; 12] =
    [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 6.0];

/// The figures.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Histogram>,
    pub(super) store_calls: Family<StoreCallLabels, Histogram>,
    pub(super) deliveries: Family<DeliveryLabels, Counter>,
    pub(super) outbox: OutboxFigures,
    pub(super) messages: MessageFigures,
    pub(super) gauges: Gauges,
    spans: Family<SpanLabels, Counter>,
}

/// The outcome of a recorded span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanOutcome {
    /// The collector has it.
    Sent,
    /// The collector did not take it.
    Dropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SpanLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

/// The labels of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DeliveryLabels {
    pub(super) outcome: &'static str,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Returns the figures of this process.
pub fn metrics() -> &'static Metrics {
    &METRICS
}

impl Metrics {
    fn new() -> Self {
        let request = || Histogram::new(REQUEST_BUCKETS_S);
        let store_call = || Histogram::new(STORE_BUCKETS_S);
        let metrics = Self {
            registry: Registry::default(),
            requests: Family::new_with_constructor(request),
            store_calls: Family::new_with_constructor(store_call),
            deliveries: Family::default(),
            outbox: OutboxFigures::default(),
            messages: MessageFigures::default(),
            gauges: Gauges::default(),
            spans: Family::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        self.registry.register_collector(Box::new(Process));
        let ours = self.registry.sub_registry_with_prefix(PREFIX);
        ours.register(
            "http_request_duration_seconds",
            "Time from a request to its answer",
            self.requests.clone(),
        );
        ours.register(
            "store_call_duration_seconds",
            "Time of a call of a store, the wait for a connection or a thread included",
            self.store_calls.clone(),
        );
        ours.register("deliveries", "Turns that the Worker delivered", self.deliveries.clone());
        self.outbox.register(ours);
        self.messages.register(ours);
        ours.register("spans", "Recorded spans of traces", self.spans.clone());
        let build = ours.sub_registry_with_label(("version".into(), env!("CARGO_PKG_VERSION").into()));
        build.register("build_info", "The version of the program", ConstGauge::new(1_i64));
        ours.register_collector(Box::new(self.gauges.clone()));
        self
    }

    /// Counts a request that was answered. `route` is the pattern that the path has matched, never the path.
    pub fn count_request(&self, method: &Method, route: &str, status: u16, latency: Duration) {
        let labels = RequestLabels { method: method_label(method), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).observe(latency.as_secs_f64());
    }

    /// Counts spans that a batch had.
    pub(super) fn count_spans(&self, outcome: SpanOutcome, count: u64) {
        let outcome = match outcome {
            SpanOutcome::Sent => "sent",
            SpanOutcome::Dropped => "dropped",
        };
        self.spans.get_or_create(&SpanLabels { outcome }).inc_by(count);
    }

    /// Writes all figures in Prometheus's text format, version 0.0.4.
    ///
    /// # Errors
    /// Fails when a figure cannot be written, which none has reason to.
    pub fn to_text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Returns the method as a label: a client may send any word as one.
pub(super) const fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_with_their_labels() {
        let metrics = Metrics::new();
        let made_up: Method = "BREW".parse().unwrap();
        for (method, latency_ms) in [(&Method::GET, 2), (&Method::GET, 40_000), (&made_up, 1)] {
            metrics.count_request(method, "/api/v1/users/{id}", 200, Duration::from_millis(latency_ms));
        }
        let text = metrics.to_text().unwrap();
        let series = |what: &str| format!("edgechat_http_request_duration_seconds_{what}");
        for line in [
            "# TYPE edgechat_http_request_duration_seconds histogram".to_owned(),
            series(r#"count{method="GET",route="/api/v1/users/{id}",status="200"} 2"#),
            series(r#"bucket{method="GET",route="/api/v1/users/{id}",status="200",le="0.0025"} 1"#),
            series(r#"bucket{method="GET",route="/api/v1/users/{id}",status="200",le="+Inf"} 2"#),
            series(r#"count{method="_OTHER",route="/api/v1/users/{id}",status="200"} 1"#),
            format!("edgechat_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
