//! Settings of metrics and traces.

use std::net::SocketAddr;

use shared::telemetry::{
    Sampler,
    settings::{HEADERS_FORM, SAMPLER_FORM, headers, traces_url},
};

use super::{
    process::Environment,
    reader::{Reader, masked, quoted},
    secrets::Secret,
};

/// The section of figures and traces.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// `METRICS_ADDR`, default none: where `GET /metrics` is served, such as `127.0.0.1:9464`; port 0 takes a free one. It
    /// is for a private network: whoever reaches it reads it.
    pub metrics_addr: Option<SocketAddr>,
    /// The collector of spans; none while `OTEL_EXPORTER_OTLP_ENDPOINT` is unset.
    pub traces: Option<TracesConfig>,
}

/// Traces, by OpenTelemetry's own variables.
#[derive(Clone, Debug)]
pub struct TracesConfig {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` with the path of spans: where they are posted.
    pub url: String,
    /// `OTEL_EXPORTER_OTLP_HEADERS`, default none: headers of each such request, often a key.
    pub headers: Vec<(String, Secret)>,
    /// `OTEL_SERVICE_NAME`, default `edgechat`.
    pub service_name: Option<String>,
    /// `OTEL_TRACES_SAMPLER_ARG`, default 1: the share of the traces that begin here and are recorded. A caller's choice
    /// holds.
    pub sampler: Sampler,
}

impl TelemetryConfig {
    pub(super) fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        Self { metrics_addr: metrics_addr(reader), traces: TracesConfig::read(reader, environment) }
    }
}

impl TracesConfig {
    fn read(reader: &mut Reader<'_>, environment: Environment) -> Option<Self> {
        let url = reader.text("OTEL_EXPORTER_OTLP_ENDPOINT").and_then(|text| {
            let url = traces_url(text, environment == Environment::Production);
            url.map_err(|wanted| reader.wrong("OTEL_EXPORTER_OTLP_ENDPOINT", quoted(text), wanted)).ok()
        });
        let pairs = reader.text("OTEL_EXPORTER_OTLP_HEADERS").map_or_else(Vec::new, |text| {
            headers(text).unwrap_or_else(|| {
                reader.wrong("OTEL_EXPORTER_OTLP_HEADERS", masked(text), HEADERS_FORM);
                Vec::new()
            })
        });
        let sampler = reader.text("OTEL_TRACES_SAMPLER_ARG").map_or_else(Sampler::default, |text| {
            Sampler::parse(text).unwrap_or_else(|| {
                reader.wrong("OTEL_TRACES_SAMPLER_ARG", quoted(text), SAMPLER_FORM);
                Sampler::default()
            })
        });
        Some(Self {
            url: url?,
            headers: pairs.into_iter().map(|(name, value)| (name, Secret::new(&value))).collect(),
            service_name: reader.text("OTEL_SERVICE_NAME").map(str::to_owned),
            sampler,
        })
    }
}

fn metrics_addr(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    let text = reader.text("METRICS_ADDR")?;
    let addr = text.parse().ok();
    if addr.is_none() {
        let wanted = "it should hold an address and a port, such as 127.0.0.1:9464";
        reader.wrong("METRICS_ADDR", quoted(text), wanted);
    }
    addr
}
