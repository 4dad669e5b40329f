//! The error of a handler. It becomes a response in [`super::observe`], which knows the request's id.

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::Body,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use shared::{
    api::{
        ApiError, ErrorCode,
        account::{consent::MAX_CONSENTS, passkey::MAX_PASSKEYS},
    },
    auth::{TokenError, edge::SignatureError},
};

use crate::{
    auth::{
        AuthError,
        error::{LimitKind, RateLimited},
        passkeys::PasskeyError,
    },
    detached::DetachedError,
    oidc::OidcError,
    store::StoreError,
};

/// Seconds after which a client may try again when a store fails.
const STORE_RETRY_S: u64 = 2;
/// Seconds after which a client may try again when the origin is overloaded.
const OVERLOAD_RETRY_S: u64 = 1;

/// The error of a handler.
#[derive(Debug)]
pub enum Error {
    /// An error that the client is sent as it is.
    Client(ApiError),
    /// A token that is not accepted; the reason is for the log.
    Token(TokenError),
    /// A signature that is not the Worker's. The response is a 403 with the reason in a header for the Worker.
    Signature(SignatureError),
    /// A store's failure; the response says that there is one, the log which.
    Store(StoreError),
    /// An internal error; only for the log.
    Internal(String),
}

impl Error {
    /// Returns the client's error.
    pub fn to_api_error(&self) -> ApiError {
        match self {
            Self::Client(error) if error.code == ErrorCode::Overloaded => {
                error.clone().retry_after(OVERLOAD_RETRY_S)
            }
            Self::Client(error) => error.clone(),
            Self::Token(error) => (*error).into(),
            Self::Signature(_) => ErrorCode::Forbidden.into(),
            Self::Store(StoreError::Unavailable(_) | StoreError::Refused(_) | StoreError::Timeout) => {
                ApiError::from(ErrorCode::StoreUnavailable).retry_after(STORE_RETRY_S)
            }
            Self::Store(StoreError::Overloaded) => {
                ApiError::from(ErrorCode::Overloaded).retry_after(OVERLOAD_RETRY_S)
            }
            Self::Store(StoreError::Conflict(_)) => ErrorCode::Conflict.into(),
            Self::Store(StoreError::Corrupt { .. }) | Self::Internal(_) => ErrorCode::Internal.into(),
        }
    }

    /// Returns the reason for the log, where it says more than the code.
    pub fn reason(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Client(_) | Self::Token(TokenError::Missing | TokenError::Expired) => None,
            Self::Token(error) => Some(error.to_string().into()),
            Self::Signature(error) => Some(error.to_string().into()),
            Self::Store(error) => Some(error.to_string().into()),
            Self::Internal(reason) => Some(reason.into()),
        }
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::Client(code.into())
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Client(error)
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<SignatureError> for Error {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DetachedError> for Error {
    fn from(error: DetachedError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<RateLimited> for Error {
    fn from(limited: RateLimited) -> Self {
        let error = match limited.kind {
            LimitKind::Requests => ApiError::from(ErrorCode::RateLimited),
            LimitKind::Failures => {
                let wait = readable_seconds(limited.retry_after_s);
                ApiError::new(
                    ErrorCode::RateLimited,
                    format!("Too many failed attempts. Try again in {wait}."),
                )
            }
        };
        Self::Client(error.retry_after(limited.retry_after_s).limited_by(limited.limit))
    }
}

impl From<OidcError> for Error {
    fn from(error: OidcError) -> Self {
        let detail = error.to_string();
        Self::Client(match error {
            OidcError::NotConfigured(_) => ApiError::new(ErrorCode::NotFound, detail),
            OidcError::Token(_) | OidcError::Refused(_) => {
                ApiError::new(ErrorCode::InvalidCredentials, detail)
            }
            OidcError::Unavailable { retry_after_s, .. } => {
                ApiError::new(ErrorCode::ProviderUnavailable, detail).retry_after(retry_after_s)
            }
        })
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::InvalidCredentials => ErrorCode::InvalidCredentials.into(),
            AuthError::PasswordWrong => {
                ApiError::new(ErrorCode::InvalidCredentials, "The current password is wrong").into()
            }
            AuthError::EmailTaken => ErrorCode::EmailTaken.into(),
            AuthError::PasswordGuessable { field } => {
                ApiError::invalid_field(field, "is too easy to guess; choose a longer or less common one")
                    .into()
            }
            AuthError::AddressTaken => {
                ApiError::new(ErrorCode::EmailTaken, "Another account has this address").into()
            }
            AuthError::TokenInvalid => ErrorCode::TokenInvalid.into(),
            AuthError::Token(error) => error.into(),
            AuthError::CodeInvalid => ErrorCode::CodeInvalid.into(),
            AuthError::SessionEnded => ErrorCode::SessionEnded.into(),
            AuthError::UnknownTimezone => {
                ApiError::invalid_field("timezone", "is not a time zone of the IANA database").into()
            }
            AuthError::TooManyConsents => {
                let detail = format!("You have agreed to {MAX_CONSENTS} versions of documents already");
                ApiError::new(ErrorCode::Conflict, detail).into()
            }
            AuthError::Passkey(error) => error.into(),
            AuthError::Oidc(error) => error.into(),
            AuthError::IdentityTaken => {
                let detail = "Another account has this identity or its address; sign in to it instead";
                ApiError::new(ErrorCode::Conflict, detail).into()
            }
            AuthError::GuestTokenInvalid => {
                ApiError::invalid_field("merge_guest_token", "is not a valid access token of a guest").into()
            }
            AuthError::Refused(error) => error.into(),
            AuthError::RateLimited(limited) => limited.into(),
            AuthError::Overloaded => ErrorCode::Overloaded.into(),
            AuthError::Store(error) => error.into(),
            AuthError::Detached(error) => error.into(),
            AuthError::Internal(reason) => Self::Internal(reason),
        }
    }
}

impl From<PasskeyError> for Error {
    fn from(error: PasskeyError) -> Self {
        let (code, detail) = match error {
            PasskeyError::Off => return ErrorCode::NotFound.into(),
            PasskeyError::CredentialInvalid(reason) => {
                return ApiError::invalid_field("credential", reason).into();
            }
            PasskeyError::ChallengeInvalid => (
                ErrorCode::CodeInvalid,
                "The challenge was used or has expired; ask for new options".to_owned(),
            ),
            PasskeyError::Refused => {
                (ErrorCode::InvalidCredentials, "The passkey is not accepted".to_owned())
            }
            PasskeyError::Known => (ErrorCode::Conflict, "The passkey is registered already".to_owned()),
            PasskeyError::TooMany => {
                (ErrorCode::Conflict, format!("You have {MAX_PASSKEYS} passkeys already"))
            }
            PasskeyError::LastWayIn => {
                (ErrorCode::Conflict, "You could not sign in without this passkey".to_owned())
            }
        };
        ApiError::new(code, detail).into()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status(self.to_api_error().code);
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Returns a time as a person says it, rounded up.
fn readable_seconds(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..=90 => (seconds, "second"),
        91..=5_400 => (seconds.div_ceil(60), "minute"),
        _ => (seconds.div_ceil(3_600), "hour"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// The status of a code.
pub fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
