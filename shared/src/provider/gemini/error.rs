//! Gemini's error object (google.rpc.Status as JSON), and what it means.
//!
//! Source: ai.google.dev/gemini-api/docs/troubleshooting, google.rpc.ErrorInfo and google.rpc.RetryInfo.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::words::without_lone_halves;
use crate::{http::retry_after::MAX_RETRY_AFTER_S, provider::ProviderFailure};

/// Error bodies over this size are not looked into; Google's are far smaller.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// Classifies an answer whose status is not 200. `retry_after_s` is its `Retry-After` header in seconds; without it the
/// body's own delay counts. A body that is not Gemini's (HTML of a proxy, nothing) leaves the status to speak.
pub fn classify(status: u16, retry_after_s: Option<u64>, body: &[u8]) -> ProviderFailure {
    let error = if body.len() > MAX_ERROR_BODY_BYTES { None } else { read(body) };
    error.unwrap_or_default().failure(status, retry_after_s)
}

/// The object, or Google's array around it.
fn read(body: &[u8]) -> Option<WireError> {
    let value = match serde_json::from_slice(&without_lone_halves(body)).ok()? {
        Value::Array(items) => items.into_iter().next()?,
        value => value,
    };
    match value {
        Value::Object(mut envelope) => envelope.remove("error").and_then(WireError::lenient),
        _ => None,
    }
}

/// The error object, as far as it is read.
#[derive(Debug, Default)]
pub(super) struct WireError {
    code: Option<u16>,
    status: Option<String>,
    details: Vec<Detail>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    retry_delay: Option<String>,
}

impl WireError {
    /// Reads the field `error` of a chunk.
    pub(super) fn in_field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Value::deserialize(deserializer).map(Self::lenient)
    }

    /// Reads what can be read of an error. One that is no object is an error all the same; `null` and `false` say that there is
    /// none.
    pub(super) fn lenient(error: Value) -> Option<Self> {
        let mut error = match error {
            Value::Null | Value::Bool(false) => return None,
            Value::Object(error) => error,
            _ => return Some(Self::default()),
        };
        let code = match error.get("code") {
            Some(Value::Number(code)) => code.as_u64().and_then(|code| u16::try_from(code).ok()),
            Some(Value::String(code)) => code.parse().ok(),
            _ => None,
        };
        let status = error.get("status").and_then(Value::as_str).map(str::to_owned);
        let details = match error.remove("details") {
            Some(Value::Array(details)) => details,
            _ => Vec::new(),
        };
        let details = details.into_iter().filter_map(|detail| serde_json::from_value(detail).ok()).collect();
        Some(Self { code, status, details })
    }

    /// Classifies this error when it came within a stream, where no status goes with it.
    pub(super) fn in_stream(&self) -> ProviderFailure {
        let status = self.code.or_else(|| self.status.as_deref().and_then(code_of)).unwrap_or(500);
        self.failure(status, None)
    }

    fn failure(&self, status: u16, retry_after_s: Option<u64>) -> ProviderFailure {
        let retry_after_s = retry_after_s.or_else(|| self.retry_delay_s()).map(|s| s.min(MAX_RETRY_AFTER_S));
        match status {
            400 if self.blames_the_account() => ProviderFailure::Unauthorized,
            401..=403 => ProviderFailure::Unauthorized,
            408 | 504 => ProviderFailure::Timeout,
            429 => ProviderFailure::RateLimited { retry_after_s },
            400..=499 => ProviderFailure::Refused,
            500 if self.status.as_deref() != Some("UNAVAILABLE") => ProviderFailure::Internal,
            501 => ProviderFailure::Internal,
            500..=599 => ProviderFailure::Unavailable { retry_after_s },
            _ => ProviderFailure::Malformed,
        }
    }

    /// Gemini answers 400 also for a wrong key, an unpaid account and a country it does not serve.
    fn blames_the_account(&self) -> bool {
        let mut reasons = self.details.iter().filter_map(|detail| detail.reason.as_deref());
        self.status.as_deref() == Some("FAILED_PRECONDITION")
            || reasons.any(|reason| reason.starts_with("API_KEY_"))
    }

    /// `RetryInfo` says a protobuf duration such as "37s" or "37.8s"; a started second counts as one.
    fn retry_delay_s(&self) -> Option<u64> {
        let delay = self.details.iter().find_map(|detail| detail.retry_delay.as_deref())?;
        let (seconds, fraction) = match delay.strip_suffix('s')?.split_once('.') {
            Some((seconds, fraction)) => (seconds, fraction.bytes().any(|digit| digit != b'0')),
            None => (delay.strip_suffix('s')?, false),
        };
        seconds.parse::<u64>().ok()?.checked_add(u64::from(fraction))
    }
}

/// google.rpc.Code by name, as the HTTP status Google maps it to.
fn code_of(status: &str) -> Option<u16> {
    STATUSES.iter().find(|(_, name)| *name == status).map(|(code, _)| *code)
}

/// The name of an HTTP status in google.rpc.Code.
pub(super) fn status_of(code: u16) -> &'static str {
    STATUSES.iter().find(|(known, _)| *known == code).map_or("UNKNOWN", |(_, name)| name)
}

const STATUSES: [(u16, &str); 11] = [
    (400, "INVALID_ARGUMENT"),
    (400, "FAILED_PRECONDITION"),
    (401, "UNAUTHENTICATED"),
    (403, "PERMISSION_DENIED"),
    (404, "NOT_FOUND"),
    (429, "RESOURCE_EXHAUSTED"),
    (499, "CANCELLED"),
    (500, "INTERNAL"),
    (501, "UNIMPLEMENTED"),
    (503, "UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED"),
];
