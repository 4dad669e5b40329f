//! Claims of an access token (RFC 7519, RFC 9068).

use serde::{Deserialize, Serialize};

use crate::{
    api::account::Plan,
    id::Id,
    time::{SECOND_MS, Timestamp},
};

/// The issuer of access tokens.
pub const ISSUER: &str = "edgechat";
/// The audience of access tokens.
pub const AUDIENCE: &str = "edgechat-api";
/// The `typ` of an access token (RFC 9068, section 2.1).
pub const TOKEN_TYPE: &str = "at+jwt";
/// The one algorithm that is accepted: Ed25519 (RFC 8037).
pub const ALGORITHM: &str = "EdDSA";
/// The most seconds that two clocks may be apart.
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
    /// The time at which it was issued.
    pub iat: i64,
    /// The time from which it is valid.
    pub nbf: i64,
    /// The time at which it expires.
    pub exp: i64,
    /// The plan of the user when it was issued.
    pub plan: Plan,
}

impl Claims {
    /// Returns the time at which the token expires, without leeway.
    pub const fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_mul(SECOND_MS))
    }
}
