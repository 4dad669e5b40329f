//! Access tokens (JWT) and refresh tokens (opaque), made and checked. Nothing is stored here.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use shared::{
    api::account::{Plan, User},
    auth::{
        Claims, TokenError,
        claims::{AUDIENCE, ISSUER},
        edge::sha256,
        keys::JwkSet,
    },
    id::Id,
    time::{DAY_MS, SECOND_MS, Timestamp},
};

use super::{AuthError, token_keys::TokenKeys};
use crate::{config::Config, random::Random, store::accounts::sessions::TokenHash};

const REFRESH_BYTES: usize = 32;
/// The longest life of a session, in days, unless its refresh tokens live longer.
const SESSION_DAYS: i64 = 30;
/// The time that the accounts have to tell of new keys; a verifier that asks for the keys waits no longer.
const PUBLISHED_KEYS_TIMEOUT: Duration = Duration::from_millis(500);
/// Separates this key from others derived from the same secret (RFC 5869, section 3.2).
const REFRESH_KEY_INFO: &[u8] = b"edgechat refresh token successor v1";

/// Makes and checks tokens.
pub struct TokenIssuer {
    /// The keys of access tokens.
    pub keys: TokenKeys,
    /// One for each secret, the secret in use first.
    successor_keys: Vec<Hmac<Sha256>>,
    access_lifetime_ms: i64,
    refresh_lifetime_ms: i64,
    session_lifetime_ms: i64,
}

/// A token that says nothing by itself: 256 random bits. Refresh tokens and permissions to reset a password are such.
pub struct OpaqueToken([u8; REFRESH_BYTES]);

impl OpaqueToken {
    /// The token as a client holds it.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads a client's token; anything of another form is `None`.
    pub fn decode(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// Returns the hash that is stored.
    pub fn hash(&self) -> TokenHash {
        sha256(&self.0)
    }
}

impl TokenIssuer {
    /// Makes an issuer with the keys and lifetimes of the configuration.
    ///
    /// # Errors
    ///
    /// Fails when the key is longer than HKDF can derive, which a test rules out.
    pub fn new(config: &Config, keys: TokenKeys) -> Result<Self, hkdf::InvalidLength> {
        let refresh_lifetime_ms = config.limits.refresh_token_days * DAY_MS;
        Ok(Self {
            keys,
            successor_keys: config
                .jwt_secrets
                .iter()
                .map(|secret| successor_key(secret.expose()))
                .collect::<Result<_, _>>()?,
            access_lifetime_ms: config.limits.access_token_minutes * 60 * SECOND_MS,
            refresh_lifetime_ms,
            session_lifetime_ms: (SESSION_DAYS * DAY_MS).max(refresh_lifetime_ms),
        })
    }

    /// Returns the public keys, read from the accounts a second ago at most, or as they are known while those do not answer: whoever
    /// looks up a key that signs finds it, before this process has read it for itself.
    pub async fn jwk_set(&self, now: Timestamp) -> JwkSet {
        let read = tokio::time::timeout(PUBLISHED_KEYS_TIMEOUT, self.keys.read_if_older()).await;
        let ring = match read {
            Ok(Ok(ring)) => ring,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the published keys are those that are known");
                self.keys.ring()
            }
            Err(_) => self.keys.ring(),
        };
        ring.jwk_set(now)
    }

    /// Seconds an access token is valid.
    pub fn access_lifetime_s(&self) -> u64 {
        seconds(self.access_lifetime_ms)
    }

    /// An access token for a session of this user.
    pub fn access(&self, user: &User, session_id: Id, now: Timestamp, random: &dyn Random) -> String {
        self.keys.ring().signing(now).sign(&self.claims(user.id, user.plan, session_id, now, random))
    }

    /// Returns the claims of a token that is valid at `at`. A key that is not known is looked up in the accounts first.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::Token`], and with the store's error when nobody can tell whether there is such a key.
    pub async fn verify(&self, token: &str, at: Timestamp) -> Result<Claims, AuthError> {
        let mut ring = self.keys.ring();
        if !ring.knows_key_of(token) {
            ring = self.keys.read_if_older().await?;
        }
        Ok(ring.verify(token, at)?)
    }

    /// Returns the claims of a token that was valid at some time, to identify its user; they grant no access.
    pub fn verify_origin(&self, token: &str) -> Result<Claims, TokenError> {
        self.keys.ring().verify_origin(token)
    }

    /// Makes a token that follows no other.
    pub fn opaque(random: &dyn Random) -> OpaqueToken {
        let mut bytes = [0; REFRESH_BYTES];
        random.fill(&mut bytes);
        OpaqueToken(bytes)
    }

    /// The tokens that may follow this one, one of each secret, the secret in use first. They are always the same, so that a
    /// client whose answer was lost gets its token again, and no raw token need be stored.
    pub fn successors(&self, token: &OpaqueToken) -> Vec<OpaqueToken> {
        let successor = |key: &Hmac<Sha256>| {
            let mut mac = key.clone();
            mac.update(&token.0);
            OpaqueToken(mac.finalize().into_bytes().into())
        };
        self.successor_keys.iter().map(successor).collect()
    }

    /// Returns the time at which a refresh token made now expires, if it is not used.
    pub fn refresh_expiry(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(self.refresh_lifetime_ms)
    }

    /// Returns the time of the last use of a session whose refresh token expires now.
    pub fn unused_since(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(-self.refresh_lifetime_ms)
    }

    /// Returns the time at which a session that begins now ends at the latest.
    pub fn session_expiry(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(self.session_lifetime_ms)
    }

    fn claims(&self, user_id: Id, plan: Plan, session_id: Id, now: Timestamp, random: &dyn Random) -> Claims {
        let issued = now.as_secs();
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user_id,
            sid: session_id,
            jti: random.id(now),
            iat: issued,
            nbf: issued,
            exp: now.plus_millis(self.access_lifetime_ms).as_secs(),
            plan: plan.served_as(),
        }
    }
}

/// Whole seconds of a span; none when it is negative.
pub(super) fn seconds(millis: i64) -> u64 {
    u64::try_from(millis.div_euclid(SECOND_MS)).unwrap_or(0)
}

fn successor_key(secret: &str) -> Result<Hmac<Sha256>, hkdf::InvalidLength> {
    let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
    Hkdf::<Sha256>::new(None, secret.as_bytes()).expand(REFRESH_KEY_INFO, &mut key)?;
    Ok(Hmac::new(&key))
}
