//! The reasons why the origin gave no answer.

use std::{fmt, time::Duration};

use shared::api::{ApiError, ErrorCode};

/// The seconds after which a client may retry when the origin does not answer.
const RETRY_S: u64 = 2;

/// Why the origin gave no answer for a client.
#[derive(Debug)]
pub enum OriginError {
    /// Nothing arrived for this time.
    Timeout(Duration),
    /// The connection could not be made or broke.
    Unreachable(worker::Error),
    /// It refused the Worker's signature: keys or clocks differ.
    SignatureRefused(String),
    /// A gateway in front of it, such as a load balancer, answered with this status.
    Gateway(u16),
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(timeout) => write!(f, "the origin was silent for {} ms", timeout.as_millis()),
            Self::Unreachable(error) => write!(f, "the origin cannot be reached: {error}"),
            Self::SignatureRefused(reason) => write!(f, "the origin refused the signature: {reason}"),
            Self::Gateway(status) => write!(f, "a gateway before the origin answered {status}"),
        }
    }
}

impl From<worker::Error> for OriginError {
    fn from(error: worker::Error) -> Self {
        Self::Unreachable(error)
    }
}

impl From<OriginError> for worker::Error {
    fn from(error: OriginError) -> Self {
        match error {
            OriginError::Unreachable(error) => error,
            error => Self::RustError(error.to_string()),
        }
    }
}

/// Returns the error of a request that needs the origin during its outage.
pub fn unavailable() -> ApiError {
    ApiError::from(ErrorCode::OriginUnavailable).retry_after(RETRY_S)
}
