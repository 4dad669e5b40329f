//! Deliveries of turns by their outcome, and what the Worker tells of its outbox with them.

use axum::{extract::Request, middleware::Next, response::Response};
use prometheus_client::{metrics::histogram::Histogram, registry::Registry};
use shared::telemetry::OutboxReport;

use super::metrics::{DeliveryLabels, metrics};

/// The upper bounds of a turn's wait, in seconds. The first delivery goes out at once; a day is an outage.
const WAIT_BUCKETS_S: [f64; 11] =
    [0.01, 0.05, 0.2, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0, 21_600.0, 86_400.0];
/// The upper bounds of the number of turns that wait.
const DEPTH_BUCKETS: [f64; 8] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// The outcome of a delivery. A handler puts it on its response; one without is refused or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The turn was stored.
    Accepted,
    /// The turn was there already.
    Repeated,
    /// The request was wrong.
    Refused,
    /// The stores did not take it.
    Failed,
}

impl DeliveryOutcome {
    /// Returns its label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The outboxes of all users, as their deliveries tell.
#[derive(Debug)]
pub(super) struct OutboxFigures {
    wait_s: Histogram,
    depth: Histogram,
}

impl Default for OutboxFigures {
    fn default() -> Self {
        Self { wait_s: Histogram::new(WAIT_BUCKETS_S), depth: Histogram::new(DEPTH_BUCKETS) }
    }
}

impl OutboxFigures {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "delivery_wait_seconds",
            "Time from a turn's end to the delivery, as the Worker tells it",
            self.wait_s.clone(),
        );
        registry.register(
            "outbox_depth",
            "Other turns of the user that wait when one is delivered, as the Worker tells it",
            self.depth.clone(),
        );
    }

    #[expect(clippy::cast_precision_loss, reason = "a histogram counts in floats")]
    fn observe(&self, report: OutboxReport) {
        self.wait_s.observe(report.waited_ms as f64 / 1_000.0);
        self.depth.observe(report.behind as f64);
    }
}

/// The layer of the route that takes deliveries, within the one that checks signatures.
pub async fn count(request: Request, next: Next) -> Response {
    let report = request.uri().query().and_then(OutboxReport::parse);
    let response = next.run(request).await;
    let reported = response.extensions().get::<DeliveryOutcome>().copied();
    let outcome = reported.unwrap_or_else(|| {
        let is_ours = response.status().is_server_error();
        if is_ours { DeliveryOutcome::Failed } else { DeliveryOutcome::Refused }
    });
    metrics().deliveries.get_or_create(&DeliveryLabels { outcome: outcome.as_str() }).inc();
    if let Some(report) = report {
        metrics().outbox.observe(report);
    }
    response
}
