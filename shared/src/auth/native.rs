//! Signing and verifying natively: the origin's half, and the reference for what the Worker does with WebCrypto.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use jwt_compact::{Algorithm as _, alg::Ed25519};
use serde_json::json;
use sha2::Sha256;

use super::{
    claims::{ALGORITHM, Claims, TOKEN_TYPE},
    keys::{Jwk, JwkSet},
    token::{SIGNATURE_BYTES, TokenError, UnverifiedToken, parse},
};
use crate::time::Timestamp;

/// The fewest characters of the secret that keys are derived from.
pub const MIN_SECRET_CHARS: usize = 32;

/// Separates this key from whatever else may be derived from the same secret (RFC 5869, section 3.2).
const KEY_INFO: &[u8] = b"edgechat access token Ed25519 v1";

/// The same for keys that have a salt in the accounts.
const ROTATED_KEY_INFO: &[u8] = b"edgechat rotated access token Ed25519 v1";
/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;

/// A secret is too short to derive a key from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret needs at least {MIN_SECRET_CHARS} characters")]
pub struct WeakSecret;

/// Names the secret of a list that is refused, by its place and never by its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret {position} has {chars} characters, at least {MIN_SECRET_CHARS} are needed")]
pub struct SecretsError {
    /// The secret's place in the list, from 1.
    pub position: usize,
    /// Its length.
    pub chars: usize,
}

/// The secrets of a list separated by commas, without the white space around each. A text without a comma is one secret.
pub fn split_secrets(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// The keys of a list of secrets. The first signs, all verify: a secret that was replaced goes on verifying what it signed for
/// as long as it is listed, and one that is listed behind another is known to verifiers before it signs.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    signing: SigningKey,
    set: JwkSet,
}

impl SigningKeys {
    /// Derives a key from each secret of a list (see [`split_secrets`]).
    ///
    /// Errors: [`SecretsError`] for the first secret that is too short; an empty one is.
    pub fn parse(list: &str) -> Result<Self, SecretsError> {
        let mut keys = split_secrets(list).enumerate().map(|(index, secret)| {
            let error = SecretsError { position: index + 1, chars: secret.chars().count() };
            SigningKey::from_secret(secret).map_err(|WeakSecret| error)
        });
        let signing = keys.next().unwrap_or(Err(SecretsError { position: 1, chars: 0 }))?;
        let mut set = signing.jwk_set();
        for key in keys {
            let public = key?.public;
            if set.find(&public.kid).is_none() {
                set.keys.push(public);
            }
        }
        Ok(Self { signing, set })
    }

    /// The key that signs.
    pub const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The public halves of all keys, the one that signs first.
    pub const fn jwk_set(&self) -> &JwkSet {
        &self.set
    }
}

/// The key that access tokens are signed with.
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    public: Jwk,
    /// The first part of every token, encoded.
    header: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.public.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Derives the key from a secret (HKDF-SHA256): the same secret is always the same key.
    ///
    /// Errors: [`WeakSecret`] under [`MIN_SECRET_CHARS`] characters.
    pub fn from_secret(secret: &str) -> Result<Self, WeakSecret> {
        if secret.chars().count() < MIN_SECRET_CHARS {
            return Err(WeakSecret);
        }
        let mut seed = [0; 32];
        // It fails over 255 blocks only; this is one.
        Hkdf::<Sha256>::new(None, secret.as_bytes()).expand(KEY_INFO, &mut seed).map_err(|_| WeakSecret)?;
        Ok(Self::from_seed(seed))
    }

    /// Derives the key from a secret and a salt (HKDF-SHA256): neither tells anything of it by itself.
    ///
    /// Errors: [`WeakSecret`] under [`MIN_SECRET_CHARS`] characters.
    pub fn from_salted_secret(secret: &str, salt: &[u8; SALT_BYTES]) -> Result<Self, WeakSecret> {
        if secret.chars().count() < MIN_SECRET_CHARS {
            return Err(WeakSecret);
        }
        let mut seed = [0; 32];
        let derived = Hkdf::<Sha256>::new(Some(salt), secret.as_bytes());
        derived.expand(ROTATED_KEY_INFO, &mut seed).map_err(|_| WeakSecret)?;
        Ok(Self::from_seed(seed))
    }

    /// The key with this seed (RFC 8032, section 5.1.5).
    pub(super) fn from_seed(seed: [u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let public = Jwk::ed25519(key.verifying_key().as_bytes());
        let header = json!({ "alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": public.kid }).to_string();
        Self { key, public, header: URL_SAFE_NO_PAD.encode(header) }
    }

    /// The name of the key.
    pub fn kid(&self) -> &str {
        &self.public.kid
    }

    /// The public half.
    pub const fn jwk(&self) -> &Jwk {
        &self.public
    }

    /// Returns the key set that verifiers need.
    pub fn jwk_set(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }

    /// An access token that says this.
    pub fn sign(&self, claims: &Claims) -> String {
        let payload = URL_SAFE_NO_PAD.encode(json!(claims).to_string());
        let signing_input = format!("{}.{payload}", self.header);
        let signature = URL_SAFE_NO_PAD.encode(self.signature(&signing_input));
        format!("{signing_input}.{signature}")
    }

    /// The bare signature of a text.
    pub(super) fn signature(&self, signing_input: &str) -> [u8; SIGNATURE_BYTES] {
        Ed25519.sign(&self.key, signing_input.as_bytes()).to_bytes()
    }
}

/// Verifies access tokens with public keys.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Vec<(String, ed25519_dalek::VerifyingKey)>,
}

impl Verifier {
    /// A verifier for tokens signed with one of these keys. Keys that are not for Ed25519 signatures are left out.
    pub fn new(set: JwkSet) -> Self {
        let keys = set.keys.into_iter().filter_map(|jwk| {
            let key = ed25519_dalek::VerifyingKey::from_bytes(&jwk.public_key()?).ok()?;
            Some((jwk.kid, key))
        });
        Self { keys: keys.collect() }
    }

    /// The claims of a token that is valid at `now`.
    ///
    /// Errors: as [`parse`] and [`super::token::UnverifiedToken::into_claims_once_verified`]; also
    /// [`TokenError::Invalid`] when the key is unknown or the signature is not its.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        self.verified(token)?.into_claims_once_verified(now)
    }

    /// The claims of a token that was valid at some time, to tell whose it is; they let nobody in.
    ///
    /// Errors: as [`Self::verify`], but for the times.
    pub fn verify_origin(&self, token: &str) -> Result<Claims, TokenError> {
        self.verified(token)?.into_claims_of_any_time()
    }

    /// Returns whether a key of this name is known.
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|(known, _)| known == kid)
    }

    /// The token, once its signature is verified.
    pub(super) fn verified<'a>(&self, token: &'a str) -> Result<UnverifiedToken<'a>, TokenError> {
        let token = parse(token)?;
        let (_, key) =
            self.keys.iter().find(|(kid, _)| *kid == token.kid).ok_or(TokenError::Invalid("unknown key"))?;
        let signature = ed25519_dalek::Signature::from_bytes(&token.signature);
        if !Ed25519.verify_signature(&signature, key, token.signing_input.as_bytes()) {
            return Err(TokenError::Invalid("signature"));
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests;
