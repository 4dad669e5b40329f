//! The Worker's variables, read once per isolate.

use std::{cell::OnceCell, rc::Rc};

use shared::{
    auth::edge::EdgeKeys,
    http::{
        base_url,
        cors::{self, CorsPolicy},
    },
    provider::{TimeoutBounds, gemini},
    telemetry::{
        Sampler, otlp,
        settings::{self, HEADERS_FORM, SAMPLER_FORM},
    },
};
use worker::Env;

use crate::platform::HeaderLines;

/// Requests of one address in a window, when `RATE_LIMIT_REQUESTS` is unset.
const RATE_LIMIT_REQUESTS: u32 = 100;
/// The window in seconds, when `RATE_LIMIT_WINDOW_SECONDS` is unset.
const RATE_LIMIT_WINDOW_SECONDS: u32 = 60;
/// Messages of the basic plan in a day, when `BASIC_TIER_DAILY_LIMIT` is unset.
const BASIC_TIER_DAILY_LIMIT: u32 = 5;

/// Milliseconds between pings, when `STREAM_PING_MS` is unset: OkHttp gives up after 10 s without a byte.
const STREAM_PING_MS: u32 = 8_000;

/// Milliseconds between two deltas, when `STREAM_FLUSH_MS` is unset: too short to be seen, and it spares the phone's radio.
const STREAM_FLUSH_MS: u32 = 33;

/// Milliseconds for which a reader may take nothing of what waits for it, when `STREAM_STALL_MS` is unset.
const STREAM_STALL_MS: i64 = 45_000;

/// Turns of a user that may wait for the origin, when `OUTBOX_MAX_TURNS` is unset.
const OUTBOX_MAX_TURNS: u32 = 500;

/// The Worker's configuration.
pub struct Config {
    /// `ORIGIN_URL`: the address of the origin, without a slash at the end.
    pub origin_url: String,
    /// `EDGE_KEYS`: the keys that sign requests to the origin.
    pub edge_keys: EdgeKeys,
    /// `GEMINI_API_KEY`, also `GOOGLE_API_KEY`; empty when unset.
    pub gemini_api_key: String,
    /// `GEMINI_API_BASE`: the address of Gemini, without a slash at the end.
    pub gemini_api_base: String,
    /// `DEFAULT_MODEL`: the alias of the model when none is named.
    pub default_model: String,
    /// `CORS_ORIGINS`: `*`, a comma list or a JSON list.
    pub cors: CorsPolicy,
    /// The request headers browsers may send; `CORS_ALLOWED_HEADERS`, a comma list, adds to them.
    pub cors_allowed_headers: String,
    /// `RATE_LIMIT_REQUESTS` (100): requests of one address in a window.
    pub rate_limit_requests: u32,
    /// `RATE_LIMIT_WINDOW_SECONDS` (60), in milliseconds.
    pub rate_limit_window_ms: u32,
    /// `BASIC_TIER_DAILY_LIMIT` (5): messages of the basic plan in a day; 0 is no limit.
    pub basic_tier_daily_limit: Option<u64>,
    /// `STREAM_PING_MS` (8,000): milliseconds after which a silent stream sends a ping; 1,000 to 60,000.
    pub stream_ping_ms: i64,
    /// `STREAM_FLUSH_MS` (33): the least milliseconds between two deltas of one answer; 0 to 1,000, 0 sends each chunk at once.
    pub stream_flush_ms: i64,
    /// `STREAM_STALL_MS` (45,000): milliseconds for which a reader may take nothing before its connection is closed; 1,000 to 600,000.
    pub stream_stall_ms: i64,
    /// `PROVIDER_FIRST_BYTE_MS` (30,000) and `PROVIDER_STALL_MS` (20,000): the most milliseconds to the first byte of a streamed answer,
    /// and from byte to byte; 1,000 to 600,000.
    pub provider_timeouts: TimeoutBounds,
    /// `OUTBOX_MAX_TURNS` (500): turns of a user that may wait for the origin; 1 to 10,000.
    pub outbox_max_turns: usize,
    /// The destination of spans; `None` while `OTEL_EXPORTER_OTLP_ENDPOINT` is unset.
    pub traces: Option<TracesConfig>,
    /// `PROVIDER_TRACEPARENT=on`: true when calls of providers carry `traceparent`. Off, a trace's id leaves the system with nobody's
    /// words.
    pub provider_traceparent: bool,
    /// `FAULT_INJECTION=on` outside production: true when tests may provoke a panic.
    pub fault_injection: bool,
}

/// Traces, by OpenTelemetry's own variables.
pub struct TracesConfig {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` with the path of spans: where they are posted.
    pub url: String,
    /// `OTEL_EXPORTER_OTLP_HEADERS`, and the media type.
    pub headers: HeaderLines,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// `OTEL_TRACES_SAMPLER_ARG` (1): the share of the traces that begin here and are recorded. A caller's choice holds.
    pub sampler: Sampler,
}

impl Config {
    /// Returns the configuration of this isolate. The error names the variable and the value it should hold.
    pub fn of(env: &Env) -> Result<Rc<Self>, Rc<str>> {
        thread_local! {
            static CONFIG: OnceCell<Result<Rc<Config>, Rc<str>>> = const { OnceCell::new() };
        }
        CONFIG.with(|config| {
            let read =
                |name: &str| env.var(name).ok().map(|value| value.to_string()).filter(|v| !v.is_empty());
            config.get_or_init(|| Self::read(read).map(Rc::new).map_err(Rc::from)).clone()
        })
    }

    /// Does the same for code that returns the platform's error.
    pub fn of_worker(env: &Env) -> worker::Result<Rc<Self>> {
        Self::of(env).map_err(|error| worker::Error::RustError(error.to_string()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let production = variable("EDGECHAT_ENV").is_some_and(|env| env == "production");
        let url = |name: &str, default: Option<&str>| {
            let value = variable(name).or_else(|| default.map(str::to_owned)).ok_or_else(|| {
                format!("{name} is not set; it should be a URL such as http://127.0.0.1:8080")
            })?;
            base_url::parse(&value, production).map_err(|error| format!("{name} is {value:?}; {error}"))
        };
        let number = |name: &str, default: u32| match variable(name) {
            None => Ok(default),
            Some(value) => {
                value.parse().map_err(|_| format!("{name} is {value:?}; it should be a whole number"))
            }
        };
        let keys = variable("EDGE_KEYS")
            .ok_or("EDGE_KEYS is not set; it should hold one or two keys of at least 32 characters")?;
        let default_model = variable("DEFAULT_MODEL").unwrap_or_else(|| "fast".to_owned());
        if shared::api::models::resolve(&default_model).is_none() {
            return Err(format!(
                "DEFAULT_MODEL is {default_model:?}; it should be a model of ai/models, such as fast"
            ));
        }
        let timeout_ms = |name: &str, default_ms: i64| match variable(name) {
            None => Ok(default_ms),
            Some(_) => number(name, 0).map(|ms| i64::from(ms).clamp(1_000, 600_000)),
        };
        let provider_timeouts = TimeoutBounds::default();
        let daily = number("BASIC_TIER_DAILY_LIMIT", BASIC_TIER_DAILY_LIMIT)?;
        Ok(Self {
            origin_url: url("ORIGIN_URL", None)?,
            edge_keys: EdgeKeys::parse(&keys).map_err(|error| format!("EDGE_KEYS: {error}"))?,
            gemini_api_key: variable("GEMINI_API_KEY")
                .or_else(|| variable("GOOGLE_API_KEY"))
                .unwrap_or_default(),
            gemini_api_base: url("GEMINI_API_BASE", Some(gemini::DEFAULT_BASE))?,
            default_model,
            cors: CorsPolicy::parse(&variable("CORS_ORIGINS").unwrap_or_else(|| "*".to_owned()))
                .map_err(|error| format!("CORS_ORIGINS: {error}"))?,
            cors_allowed_headers: cors::request_headers(
                &variable("CORS_ALLOWED_HEADERS").unwrap_or_default(),
            )
            .map_err(|error| format!("CORS_ALLOWED_HEADERS: {error}"))?,
            rate_limit_requests: number("RATE_LIMIT_REQUESTS", RATE_LIMIT_REQUESTS)?.max(1),
            rate_limit_window_ms: number("RATE_LIMIT_WINDOW_SECONDS", RATE_LIMIT_WINDOW_SECONDS)?
                .clamp(1, 86_400)
                * 1_000,
            basic_tier_daily_limit: (daily > 0).then_some(daily.into()),
            stream_ping_ms: number("STREAM_PING_MS", STREAM_PING_MS)?.clamp(1_000, 60_000).into(),
            stream_flush_ms: number("STREAM_FLUSH_MS", STREAM_FLUSH_MS)?.min(1_000).into(),
            stream_stall_ms: timeout_ms("STREAM_STALL_MS", STREAM_STALL_MS)?,
            provider_timeouts: TimeoutBounds {
                first_byte_ms: timeout_ms("PROVIDER_FIRST_BYTE_MS", provider_timeouts.first_byte_ms)?,
                stall_ms: timeout_ms("PROVIDER_STALL_MS", provider_timeouts.stall_ms)?,
            },
            outbox_max_turns: usize::try_from(number("OUTBOX_MAX_TURNS", OUTBOX_MAX_TURNS)?.clamp(1, 10_000))
                .unwrap_or(usize::MAX),
            traces: TracesConfig::read(&variable, production)?,
            provider_traceparent: variable("PROVIDER_TRACEPARENT").is_some_and(|value| value == "on"),
            fault_injection: !production && variable("FAULT_INJECTION").is_some_and(|value| value == "on"),
        })
    }
}

impl TracesConfig {
    fn read(variable: &impl Fn(&str) -> Option<String>, production: bool) -> Result<Option<Self>, String> {
        let Some(endpoint) = variable("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
        let url = settings::traces_url(&endpoint, production)
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_ENDPOINT is {endpoint:?}; {error}"))?;
        let pairs = variable("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
        let pairs = settings::headers(&pairs)
            .ok_or_else(|| format!("OTEL_EXPORTER_OTLP_HEADERS cannot be read; {HEADERS_FORM}"))?;
        let mut headers = HeaderLines::default();
        for (name, value) in [("Content-Type", otlp::CONTENT_TYPE)]
            .into_iter()
            .chain(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        {
            headers.set(name, value).map_err(|error| error.to_string())?;
        }
        let sampler = match variable("OTEL_TRACES_SAMPLER_ARG") {
            None => Sampler::default(),
            Some(ratio) => Sampler::parse(&ratio)
                .ok_or_else(|| format!("OTEL_TRACES_SAMPLER_ARG is {ratio:?}; {SAMPLER_FORM}"))?,
        };
        Ok(Some(Self { url, headers, service_name: variable("OTEL_SERVICE_NAME"), sampler }))
    }
}
