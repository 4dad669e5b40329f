//! Reasons why a passkey is not accepted.

/// The failure of a registration, a sign-in or a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// The server has no passkeys.
    #[error("passkeys are not configured")]
    Off,
    /// The challenge was never given out for this, was answered before, or has expired.
    #[error("the challenge is not valid")]
    ChallengeInvalid,
    /// The credential of a registration cannot be accepted.
    #[error("the credential {0}")]
    CredentialInvalid(&'static str),
    /// The credential of a sign-in is nobody's, or does not prove that it is.
    #[error("the passkey is not accepted")]
    Refused,
    /// The credential is registered already.
    #[error("the credential is registered already")]
    Known,
    /// The user has as many as one may have.
    #[error("the user has too many passkeys")]
    TooMany,
    /// The user could not sign in without it.
    #[error("the passkey is the last way into the account")]
    LastWayIn,
}
