//! Authentication: access tokens (JWT, Ed25519) and the signature of the Worker's requests to the origin.
//!
//! - [`claims`]: claims of an access token
//! - [`token`]: from the `Authorization` header to claims, all rules but the signature itself
//! - [`keys`]: public keys (JWK, RFC 7517)
//! - [`key_cache`]: the policy of a verifier that remembers public keys
//! - [`refresh`]: decisions about refresh tokens that are presented
//! - [`sessions`]: sessions that are active as far as the edge knows
//! - [`consents`]: the documents that a user is shown
//! - [`ways_in`]: what a user can sign in with
//! - [`consents`]: the documents that a user is shown, [`consent_gate`]: those that are missing before a model is called
//! - [`id_token`]: id tokens of other providers, all rules but the signature itself
//! - [`provider_keys`]: the policy of a copy of another provider's public keys
//! - [`deletion`]: the proof that deleting an account needs
//! - [`edge`]: the HMAC between Worker and origin
//!
//! Natively also `native`, which signs and verifies, `key_ring`, the keys over time, and `cases`, the table of tokens that every verifier is tested
//! with. The Worker verifies signatures with the platform's WebCrypto and takes all other rules from [`token`].

pub mod account_notices;
pub mod claims;
pub mod consent_gate;
pub mod consents;
pub mod deletion;
pub mod edge;
pub mod id_token;
pub mod key_cache;
pub mod keys;
pub mod provider_keys;
pub mod refresh;
pub mod sessions;
pub mod token;
pub mod ways_in;

#[cfg(not(target_arch = "wasm32"))]
pub mod cases;
#[cfg(not(target_arch = "wasm32"))]
pub mod key_ring;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;

pub use claims::Claims;
pub use token::TokenError;
