//! What an operator sees of the process.

use std::net::SocketAddr;

use super::reader::{Reader, quoted};

/// The section of figures and traces.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// `METRICS_ADDR`, default none: where `GET /metrics` is served, such as `127.0.0.1:9464`; port 0 takes a free one. It is for
    /// a private network: whoever reaches it reads it.
    pub metrics_addr: Option<SocketAddr>,
}

impl TelemetryConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self { metrics_addr: metrics_addr(reader) }
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
