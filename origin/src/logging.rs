//! Log lines on stderr, as text for people or JSON for machines.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{LogFormat, ProcessConfig};

/// Starts logging. Called once, by the process; a second call changes nothing.
pub fn start(config: &ProcessConfig) {
    let level = if config.debug { "debug" } else { "info" };
    // The library of the schema history logs each step at the same level.
    let filter = EnvFilter::new(format!("{level},refinery_core=warn,hyper=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.log_format {
        LogFormat::Text => {
            registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).try_init()
        }
        LogFormat::Json => registry
            .with(fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(std::io::stderr))
            .try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}
