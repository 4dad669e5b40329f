//! What an access token says (RFC 7519, RFC 9068).

use serde::{Deserialize, Serialize};

use crate::{
    api::account::Plan,
    id::Id,
    time::{SECOND_MS, Timestamp},
};

/// Who issues access tokens.
pub const ISSUER: &str = "edgechat";
/// Whom access tokens are meant for.
pub const AUDIENCE: &str = "edgechat-api";
/// The `typ` of an access token (RFC 9068, section 2.1).
pub const TOKEN_TYPE: &str = "at+jwt";
/// The one algorithm that is accepted: Ed25519 (RFC 8037).
pub const ALGORITHM: &str = "EdDSA";
/// How far two clocks may be apart, in seconds.
pub const LEEWAY_S: i64 = 30;
/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The claims of an access token. Times are whole seconds since the Unix epoch.
///
/// Every claim is required; one that is missing, doubled or of another type makes the token invalid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The issuer: [`ISSUER`].
    pub iss: String,
    /// The audience: [`AUDIENCE`].
    pub aud: String,
    /// The user.
    pub sub: Id,
    /// The session, which can be ended before the token expires.
    pub sid: Id,
    /// The token itself.
    pub jti: Id,
    /// When it was issued.
    pub iat: i64,
    /// When it begins to be valid.
    pub nbf: i64,
    /// When it ceases to be valid.
    pub exp: i64,
    /// What the user had paid for when it was issued.
    pub plan: Plan,
}

impl Claims {
    /// When the token ceases to be valid, without leeway.
    pub const fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_mul(SECOND_MS))
    }
}
