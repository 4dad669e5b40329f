//! The failures of model calls and their error codes for clients. No part of a provider's body gets into either.

use crate::api::{
    chat::TurnCode,
    error::{ApiError, ErrorCode},
};

/// The failure of a model call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFailure {
    /// The provider does not take the request: an invalid argument, an unknown model, too large a prompt.
    #[error("the provider refused the request")]
    Refused,
    /// The provider does not take the key, or the account behind it.
    #[error("the provider refused the key")]
    Unauthorized,
    /// The key's quota is used up for now.
    #[error("the provider's rate limit is reached")]
    RateLimited {
        /// Seconds after which the provider asks to be tried again.
        retry_after_s: Option<u64>,
    },
    /// The provider is overloaded or down.
    #[error("the provider is unavailable")]
    Unavailable {
        /// Seconds after which the provider asks to be tried again.
        retry_after_s: Option<u64>,
    },
    /// The provider had an internal error.
    #[error("the provider failed internally")]
    Internal,
    /// The provider's timeout, or ours, expired.
    #[error("the provider did not answer in time")]
    Timeout,
    /// The answer is not in the provider's format: HTML, broken JSON, another protocol.
    #[error("the provider's answer cannot be read")]
    Malformed,
    /// One piece of the answer is larger than we hold in memory.
    #[error("a piece of the provider's answer is too large")]
    TooLarge,
    /// The connection could not be made, or broke. Never derived from a response: the caller reports it.
    #[error("the connection to the provider broke")]
    Disconnected,
}

impl ProviderFailure {
    /// Returns the code a client gets, with its status and fixed sentence ([`ErrorCode::default_detail`]).
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Refused => ErrorCode::ProviderRefused,
            Self::Unauthorized | Self::Internal | Self::Malformed | Self::TooLarge => {
                ErrorCode::ProviderError
            }
            Self::RateLimited { .. } | Self::Unavailable { .. } | Self::Disconnected => {
                ErrorCode::ProviderUnavailable
            }
            Self::Timeout => ErrorCode::ProviderTimeout,
        }
    }

    /// Returns the code of a turn that ends with it. A connection that could not be made and one that broke before the first word are
    /// one failure: until the model has `spoken`, the provider is not available.
    pub const fn turn_code(self, spoken: bool) -> TurnCode {
        match self {
            Self::Malformed => TurnCode::ProviderMalformed,
            Self::Disconnected if spoken => TurnCode::ProviderDisconnected,
            failure => TurnCode::Error(failure.code()),
        }
    }

    /// Returns the seconds after which the provider asks to be tried again, where it does.
    pub const fn retry_after_s(self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_s } | Self::Unavailable { retry_after_s } => retry_after_s,
            _ => None,
        }
    }
}

impl From<ProviderFailure> for ApiError {
    fn from(failure: ProviderFailure) -> Self {
        Self { retry_after_s: failure.retry_after_s(), ..Self::from(failure.code()) }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(ProviderFailure::Refused, "provider_refused", 502)]
    #[case(ProviderFailure::Unauthorized, "provider_error", 502)]
    #[case(ProviderFailure::Internal, "provider_error", 502)]
    #[case(ProviderFailure::Malformed, "provider_error", 502)]
    #[case(ProviderFailure::TooLarge, "provider_error", 502)]
    #[case(ProviderFailure::RateLimited { retry_after_s: None }, "provider_unavailable", 503)]
    #[case(ProviderFailure::Unavailable { retry_after_s: None }, "provider_unavailable", 503)]
    #[case(ProviderFailure::Disconnected, "provider_unavailable", 503)]
    #[case(ProviderFailure::Timeout, "provider_timeout", 504)]
    fn provider_failure_maps_to_error_code(
        #[case] failure: ProviderFailure,
        #[case] code: &str,
        #[case] status: u16,
    ) {
        assert_eq!((failure.code().as_str(), failure.code().status()), (code, status));
    }

    #[test]
    fn retry_after_of_provider_is_passed_on() {
        let error = ApiError::from(ProviderFailure::RateLimited { retry_after_s: Some(37) });
        assert_eq!(error.retry_after_s, Some(37));
        assert_eq!(error.detail, ErrorCode::ProviderUnavailable.default_detail());
        assert_eq!(ApiError::from(ProviderFailure::Timeout).retry_after_s, None);
    }
}
