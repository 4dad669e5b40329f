//! Id tokens of other providers (OpenID Connect Core 1.0, section 2): every rule but the signature itself.
//!
//! The caller verifies [`UnverifiedIdToken::signature`] over [`UnverifiedIdToken::signing_input`] with the provider's key that
//! [`UnverifiedIdToken::kid`] names, by RSASSA-PKCS1-v1_5 with SHA-256 and nothing else, and only then asks for the identity.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};
use subtle::ConstantTimeEq as _;

use super::edge::sha256;
use crate::{
    api::account::{MAX_NAME_CHARS, identity::MAX_ID_TOKEN_CHARS, is_email},
    text::normalize_email,
    time::Timestamp,
};

/// The one algorithm that is accepted. Google and Apple both sign by it, and neither by another one.
pub const ALGORITHM: &str = "RS256";
/// The seconds by which clocks may differ, as for access tokens.
pub const LEEWAY_S: i64 = super::claims::LEEWAY_S;
/// The most characters of a subject (OpenID Connect Core 1.0, section 2).
const MAX_SUBJECT_CHARS: usize = 255;
/// The most characters of a key's id.
const MAX_KEY_ID_CHARS: usize = 128;
/// The end of every client id that Google issues to an app.
const GOOGLE_CLIENT_SUFFIX: &str = ".apps.googleusercontent.com";

/// The reason why an id token is not accepted. It tells nothing that whoever has the token does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is no JWT, or not one that may be an id token.
    #[error("is not an id token signed by RS256: {0}")]
    Malformed(&'static str),
    /// The signature is not by the provider's key.
    #[error("has a signature that is not the provider's")]
    Signature,
    /// Another party issued it.
    #[error("is of another issuer")]
    Issuer,
    /// It was issued to another app.
    #[error("was issued to another client")]
    Audience,
    /// It was valid once.
    #[error("has expired")]
    Expired,
    /// It is not valid yet.
    #[error("is not valid yet")]
    NotYetValid,
    /// The nonce is another one, or only one of token and request has one.
    #[error("has another nonce")]
    Nonce,
}

/// The provider's own values that a token must have.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The spellings of the issuer.
    pub issuers: &'a [&'a str],
    /// The client ids of this app.
    pub client_ids: &'a [String],
    /// True where the authorized party must be a client of an app, and no other kind of account of the provider: anybody's
    /// service account at Google can get a token for any audience.
    pub is_party_an_app: bool,
    /// The nonce that the request has, as the client chose it.
    pub nonce: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
}

/// Somebody as the provider knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenIdentity {
    /// The provider's id of the user, which never changes.
    pub subject: String,
    /// The client that the token was issued to, one of those expected.
    pub client_id: String,
    /// The address, in the form in which addresses are compared.
    pub email: Option<String>,
    /// True when the provider has verified the address.
    pub is_email_verified: bool,
    /// A name that can be shown.
    pub name: Option<String>,
}

impl ProvenIdentity {
    /// Returns the address if it is verified.
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.is_email_verified)
    }
}

/// An id token of the right shape, whose signature nobody has verified yet.
#[derive(Clone, Debug)]
pub struct UnverifiedIdToken<'a> {
    /// Names the key that must have signed it.
    pub kid: String,
    /// The bytes that were signed: header and payload as they came.
    pub signing_input: &'a str,
    /// The signature.
    pub signature: Vec<u8>,
    payload: &'a str,
}

/// The header. Whatever asks for more trust is refused.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
    jku: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
}

/// The claims. A claim that comes twice is refused, since serde does so for fields that it knows.
#[derive(Deserialize)]
struct IdClaims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    azp: Option<String>,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<Flag>,
    name: Option<String>,
}

/// A truth value. Apple writes some as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Text(String),
}

/// Reads the header and the signature of a token in compact form (RFC 7515, section 7.1).
///
/// # Errors
///
/// Fails with [`IdTokenError::Malformed`] when it is longer than [`MAX_ID_TOKEN_CHARS`], not three parts of unpadded base64url, or
/// its header names another algorithm, no key, or asks for trust.
pub fn parse(token: &str) -> Result<UnverifiedIdToken<'_>, IdTokenError> {
    if token.len() > MAX_ID_TOKEN_CHARS {
        return Err(IdTokenError::Malformed("too long"));
    }
    let (signing_input, signature) = token.rsplit_once('.').ok_or(IdTokenError::Malformed("shape"))?;
    let (header, payload) = signing_input.split_once('.').ok_or(IdTokenError::Malformed("shape"))?;
    if payload.contains('.') {
        return Err(IdTokenError::Malformed("shape"));
    }
    let header = decode(header, "header encoding")?;
    let header: Header = object(&header).ok_or(IdTokenError::Malformed("header"))?;
    if header.alg != ALGORITHM {
        return Err(IdTokenError::Malformed("algorithm"));
    }
    if header.typ.is_some_and(|kind| !kind.eq_ignore_ascii_case("JWT")) {
        return Err(IdTokenError::Malformed("type"));
    }
    let Header { crit, jku, jwk, x5u, x5c, .. } = header;
    if [crit, jku, jwk, x5u, x5c].iter().any(Option::is_some) {
        return Err(IdTokenError::Malformed("header that asks for trust"));
    }
    if header.kid.is_empty() || header.kid.chars().count() > MAX_KEY_ID_CHARS {
        return Err(IdTokenError::Malformed("key id"));
    }
    let signature = decode(signature, "signature encoding")?;
    Ok(UnverifiedIdToken { kid: header.kid, signing_input, signature, payload })
}

impl UnverifiedIdToken<'_> {
    /// Returns the identity that the token proves. Call it only once the signature has been verified.
    ///
    /// # Errors
    ///
    /// Fails when a claim is missing, doubled, of another type or another value than expected, or the token is not valid now.
    pub fn into_identity_once_verified(
        self,
        expected: &Expected<'_>,
    ) -> Result<ProvenIdentity, IdTokenError> {
        check(self.claims()?, expected)
    }

    /// Returns the subject of a token that came from the provider itself over TLS (OpenID Connect Core 1.0, section 3.1.3.7, 6).
    ///
    /// # Errors
    ///
    /// Fails when a claim is missing, doubled or of another type.
    pub fn into_subject_from_provider(self) -> Result<String, IdTokenError> {
        Ok(self.claims()?.sub)
    }

    fn claims(&self) -> Result<IdClaims, IdTokenError> {
        let payload = decode(self.payload, "payload encoding")?;
        object(&payload).ok_or(IdTokenError::Malformed("claims"))
    }
}

/// Checks the claims of a token whose signature is right.
fn check(claims: IdClaims, expected: &Expected<'_>) -> Result<ProvenIdentity, IdTokenError> {
    if !expected.issuers.contains(&claims.iss.as_str()) {
        return Err(IdTokenError::Issuer);
    }
    let is_ours = |client: &str| expected.client_ids.iter().any(|known| known == client);
    let is_party_fit =
        |party: &str| !expected.is_party_an_app || is_ours(party) || party.ends_with(GOOGLE_CLIENT_SUFFIX);
    if !is_ours(&claims.aud) || !claims.azp.as_deref().is_none_or(is_party_fit) {
        return Err(IdTokenError::Audience);
    }
    let now_s = expected.now.as_secs();
    if claims.exp.saturating_add(LEEWAY_S) <= now_s {
        return Err(IdTokenError::Expired);
    }
    let valid_from = claims.nbf.unwrap_or(claims.iat).max(claims.iat);
    if valid_from.saturating_sub(LEEWAY_S) > now_s {
        return Err(IdTokenError::NotYetValid);
    }
    if !is_nonce(claims.nonce.as_deref(), expected.nonce) {
        return Err(IdTokenError::Nonce);
    }
    let is_subject = (1..=MAX_SUBJECT_CHARS).contains(&claims.sub.len());
    if !is_subject || !claims.sub.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(IdTokenError::Malformed("subject"));
    }
    Ok(ProvenIdentity {
        subject: claims.sub,
        client_id: claims.aud,
        email: claims.email.filter(|email| is_email(email)).map(|email| normalize_email(&email)),
        is_email_verified: match claims.email_verified {
            Some(Flag::Bool(flag)) => flag,
            Some(Flag::Text(text)) => text == "true",
            None => false,
        },
        name: claims.name.as_deref().and_then(shown_name),
    })
}

/// Returns whether the token's nonce belongs to the request's: it is the same, or its SHA-256 in hexadecimal, which apps pass to the
/// SDKs of Apple and Google so that a stolen token is no use without the nonce itself.
fn is_nonce(of_token: Option<&str>, of_request: Option<&str>) -> bool {
    match (of_token, of_request) {
        (None, None) => true,
        (Some(token), Some(request)) => {
            let hashed = sha256(request.as_bytes()).iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
            let is_same = |known: &str| bool::from(token.as_bytes().ct_eq(known.as_bytes()));
            is_same(request) | is_same(&hashed)
        }
        _ => false,
    }
}

/// Returns a name as the profile takes it, cut to its length.
fn shown_name(name: &str) -> Option<String> {
    let shown: String = name.trim().chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect();
    (!shown.is_empty()).then_some(shown)
}

/// Unpadded base64url with zero trailing bits: one text for one value.
fn decode(part: &str, reason: &'static str) -> Result<Vec<u8>, IdTokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| IdTokenError::Malformed(reason))
}

/// Reads a JSON object. By itself serde would also take a list of the values in their order.
fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    serde_json::from_slice(json).ok().filter(|_| json.first() == Some(&b'{'))
}

#[cfg(test)]
mod tests;
