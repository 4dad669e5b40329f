//! From the `Authorization` header to claims: every rule of an access token except the signature itself, which the
//! Worker checks with WebCrypto and native code with `super::native`.
//!
//! The caller verifies [`UnverifiedToken::signature`] over [`UnverifiedToken::signing_input`] with the key that
//! [`UnverifiedToken::kid`] names, and only then asks for the claims; nothing of the payload is read before.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{
    claims::{ALGORITHM, AUDIENCE, Claims, ISSUER, LEEWAY_S, MAX_TOKEN_BYTES, TOKEN_TYPE},
    keys::is_thumbprint,
};
use crate::{
    api::{
        account::Plan,
        error::{ApiError, ErrorCode},
    },
    time::{SECOND_MS, Timestamp},
};

/// Bytes of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;

/// The error of a token that lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("no bearer token")]
    Missing,
    /// It is not one of ours, or was changed. The reason is for logs, never for the client.
    #[error("token not valid: {0}")]
    Invalid(&'static str),
    /// It was valid once.
    #[error("token expired")]
    Expired,
}

impl TokenError {
    /// The code a client sees.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Missing => ErrorCode::TokenMissing,
            Self::Invalid(_) => ErrorCode::TokenInvalid,
            Self::Expired => ErrorCode::TokenExpired,
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        error.code().into()
    }
}

/// The token of an `Authorization` header (RFC 6750, section 2.1).
///
/// Errors: [`TokenError::Missing`] when the header is absent, names another scheme or holds no token.
pub fn bearer(authorization: Option<&str>) -> Result<&str, TokenError> {
    let (scheme, token) =
        authorization.and_then(|value| value.trim().split_once(' ')).ok_or(TokenError::Missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(TokenError::Missing);
    }
    Ok(token)
}

/// A token of the right shape, whose signature nobody has verified yet.
#[derive(Clone, Debug)]
pub struct UnverifiedToken<'a> {
    /// Names the key that must have signed it.
    pub kid: String,
    /// The bytes that were signed: header and payload as they came.
    pub signing_input: &'a str,
    /// The signature.
    pub signature: [u8; SIGNATURE_BYTES],
    payload: &'a str,
}

/// The header of a token. It holds these three and nothing else: whatever asks for more trust (`crit`, `jku`, `jwk`,
/// `x5u`, …) is refused as an unknown field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    kid: String,
}

/// Reads the header and the signature of a token in compact form (RFC 7515, section 7.1).
///
/// Errors: [`TokenError::Missing`] when it is empty; [`TokenError::Invalid`] when it is longer than
/// [`MAX_TOKEN_BYTES`], not three parts of unpadded base64url, or its header is not exactly ours.
pub fn parse(token: &str) -> Result<UnverifiedToken<'_>, TokenError> {
    if token.is_empty() {
        return Err(TokenError::Missing);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Invalid("too long"));
    }
    let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenError::Invalid("shape"))?;
    let (header, payload) = signing_input.split_once('.').ok_or(TokenError::Invalid("shape"))?;
    if payload.contains('.') {
        return Err(TokenError::Invalid("shape"));
    }

    let header = decode(header, "header encoding")?;
    let header: Header<'_> = object(&header).ok_or(TokenError::Invalid("header"))?;
    if header.alg != ALGORITHM {
        return Err(TokenError::Invalid("algorithm"));
    }
    if header.typ != TOKEN_TYPE {
        return Err(TokenError::Invalid("type"));
    }
    // No key has such an id, so nobody need be asked for it.
    if !is_thumbprint(&header.kid) {
        return Err(TokenError::Invalid("key id"));
    }
    let signature = decode(signature, "signature encoding")?
        .try_into()
        .map_err(|_| TokenError::Invalid("signature length"))?;
    Ok(UnverifiedToken { kid: header.kid, signing_input, signature, payload })
}

impl UnverifiedToken<'_> {
    /// The claims, read and checked against the time `now`. Call it only once the signature has been verified.
    ///
    /// Errors: [`TokenError::Expired`] after the expiry and leeway; [`TokenError::Invalid`] when a claim is missing,
    /// doubled, of another type, names another issuer or audience, or the token is not valid yet.
    pub fn into_claims_once_verified(self, now: Timestamp) -> Result<Claims, TokenError> {
        let payload = decode(self.payload, "payload encoding")?;
        let claims: Claims = object(&payload).ok_or(TokenError::Invalid("claims"))?;
        check(claims, now)
    }
}

impl UnverifiedToken<'_> {
    /// The claims, whenever the token was valid: it still tells whom it was issued to. Only for a token whose signature has been
    /// verified, and never to let anybody in.
    ///
    /// Errors: as [`Self::into_claims_once_verified`], but for the times.
    pub fn into_claims_of_any_time(self) -> Result<Claims, TokenError> {
        let payload = decode(self.payload, "payload encoding")?;
        let claims: Claims = object(&payload).ok_or(TokenError::Invalid("claims"))?;
        let valid_from = Timestamp::from_millis(claims.nbf.saturating_mul(SECOND_MS));
        check(claims, valid_from)
    }
}

/// Checks issuer, audience, plan and times, these with [`LEEWAY_S`].
fn check(claims: Claims, now: Timestamp) -> Result<Claims, TokenError> {
    if claims.iss != ISSUER {
        return Err(TokenError::Invalid("issuer"));
    }
    if claims.aud != AUDIENCE {
        return Err(TokenError::Invalid("audience"));
    }
    // Whoever issues a token writes what it is served as ([`Plan::served_as`]).
    if matches!(claims.plan, Plan::Unknown(_)) {
        return Err(TokenError::Invalid("plan"));
    }
    let now_s = now.as_secs();
    if claims.nbf.saturating_sub(LEEWAY_S) > now_s {
        return Err(TokenError::Invalid("not yet valid"));
    }
    if claims.exp.saturating_add(LEEWAY_S) <= now_s {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}

/// Unpadded base64url with zero trailing bits: one text for one value.
fn decode(part: &str, reason: &'static str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Invalid(reason))
}

/// Reads a JSON object. By itself serde would also take a list of the values in their order.
fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    serde_json::from_slice(json).ok().filter(|_| json.first() == Some(&b'{'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, Err(TokenError::Missing))]
    #[case(Some(""), Err(TokenError::Missing))]
    #[case(Some("Bearer"), Err(TokenError::Missing))]
    #[case(Some("Bearer   "), Err(TokenError::Missing))]
    #[case(Some("Basic YTpi"), Err(TokenError::Missing))]
    #[case(Some("Bearerabc"), Err(TokenError::Missing))]
    #[case(Some("Bearer abc"), Ok("abc"))]
    #[case(Some("bEARER  abc "), Ok("abc"))]
    fn bearer_token_is_read_from_header(
        #[case] header: Option<&str>,
        #[case] expected: Result<&str, TokenError>,
    ) {
        assert_eq!(bearer(header), expected);
    }

    #[test]
    fn reason_is_not_in_api_error() {
        let error = ApiError::from(TokenError::Invalid("audience"));
        assert_eq!(error, ApiError::from(ErrorCode::TokenInvalid));
        assert_eq!(ApiError::from(TokenError::Missing).code, ErrorCode::TokenMissing);
        assert_eq!(ApiError::from(TokenError::Expired).code, ErrorCode::TokenExpired);
    }
}
