//! Reasons why somebody is not let in.

use shared::{
    api::{ApiError, error::LimitState},
    auth::TokenError,
};

use super::passkeys::PasskeyError;
use crate::{detached::DetachedError, oidc::OidcError, store::StoreError};

/// The failure of a sign-up, a sign-in, a refresh, of the check of a session, or of a change of an account.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// E-mail and password do not belong together.
    #[error("e-mail and password do not belong together")]
    InvalidCredentials,
    /// The current password is another one.
    #[error("the current password is another one")]
    PasswordWrong,
    /// Another account has the e-mail.
    #[error("another account has this e-mail")]
    EmailTaken,
    /// A new password is among the first that anybody would guess.
    #[error("a new password is too easy to guess")]
    PasswordGuessable {
        /// The field it came in.
        field: &'static str,
    },
    /// Another account has the address.
    #[error("another account has this address")]
    AddressTaken,
    /// The refresh token is none of ours, or has expired.
    #[error("the refresh token is not valid")]
    TokenInvalid,
    /// The access token is not accepted.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A one-time code or a token of a link is wrong, was used or has expired.
    #[error("the code is not valid")]
    CodeInvalid,
    /// The session has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The time zone is not in the IANA database.
    #[error("there is no such time zone")]
    UnknownTimezone,
    /// The user has agreed to as many documents as one may.
    #[error("the user has agreed to too many documents")]
    TooManyConsents,
    /// A passkey was not accepted.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// An account at a provider is not proven.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// Another account has the identity.
    #[error("another account has this identity")]
    IdentityTaken,
    /// A token is not that of a guest.
    #[error("the token is not that of a guest")]
    GuestTokenInvalid,
    /// The request lacks the proof that the account needs.
    #[error("{}", .0.detail)]
    Refused(ApiError),
    /// Somebody tried too often.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// Too many passwords wait to be hashed.
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Work that must not be cut off panicked.
    #[error(transparent)]
    Detached(#[from] DetachedError),
    /// The cryptography refused its input, or what is stored cannot be.
    #[error("{0}")]
    Internal(String),
}

/// The thing that uses up a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Requests of any outcome.
    Requests,
    /// Attempts that failed.
    Failures,
}

/// A limit that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit {} is used up", limit.policy)]
pub struct RateLimited {
    /// Seconds until it is not.
    pub retry_after_s: u64,
    /// The kind of limit.
    pub kind: LimitKind,
    /// The limit.
    pub limit: LimitState,
}
