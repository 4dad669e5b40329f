//! Providers of identities: Google and Apple, whose id tokens tell who somebody is. They are called at their configured addresses
//! alone; no address comes from a client.
//!
//! - [`keys`]: copies of their public keys
//! - [`apple`]: the exchange and revocation of tokens at Apple

pub mod apple;
pub mod keys;

use std::sync::Arc;

use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use shared::{
    api::account::Provider,
    auth::id_token::{Expected, IdTokenError, ProvenIdentity, parse},
    time::Timestamp,
};

use self::{
    apple::AppleTokens,
    keys::{KeyError, ProviderKeys},
};
use crate::config::{OidcConfig, oidc::ProviderConfig};

/// The spellings of the issuer of Google's tokens.
const GOOGLE_ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
/// The issuer of Apple's tokens.
const APPLE_ISSUERS: [&str; 1] = ["https://appleid.apple.com"];

/// The reason why nobody is known by an id token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The provider is not configured.
    #[error("Sign-in with {} is not configured", .0.title())]
    NotConfigured(Provider),
    /// The token is not accepted.
    #[error("The id token {0}")]
    Token(#[from] IdTokenError),
    /// The token is right, but its account may not sign in.
    #[error("Sign-in with {} is refused", .0.title())]
    Refused(Provider),
    /// The provider's keys are not known, and it does not answer.
    #[error("{} does not answer", provider.title())]
    Unavailable {
        /// The provider.
        provider: Provider,
        /// Seconds after which another attempt may succeed.
        retry_after_s: u64,
    },
}

/// The configured providers.
pub struct IdentityProviders {
    google: Option<IdTokens>,
    apple: Option<IdTokens>,
    /// Apple's tokens, where their exchange is configured.
    pub apple_tokens: Option<Arc<AppleTokens>>,
}

/// A provider's id tokens.
struct IdTokens {
    issuers: &'static [&'static str],
    is_party_an_app: bool,
    client_ids: Vec<String>,
    keys: Arc<ProviderKeys>,
}

impl IdentityProviders {
    /// Makes clients of the configured providers; none is called yet.
    ///
    /// # Errors
    ///
    /// Fails when TLS cannot be set up.
    pub fn open(config: &OidcConfig) -> reqwest::Result<Self> {
        let open = |config: &ProviderConfig, provider, issuers, is_party_an_app| {
            let keys = Arc::new(ProviderKeys::new(provider, &config.jwks_url)?);
            Ok(IdTokens { issuers, is_party_an_app, client_ids: config.client_ids.clone(), keys })
        };
        let google =
            config.google.as_ref().map(|config| open(config, Provider::Google, &GOOGLE_ISSUERS, true));
        let apple = config.apple.as_ref().map(|config| open(config, Provider::Apple, &APPLE_ISSUERS, false));
        let apple_tokens = config.apple_tokens.as_ref().map(AppleTokens::new).transpose()?;
        Ok(Self {
            google: google.transpose()?,
            apple: apple.transpose()?,
            apple_tokens: apple_tokens.map(Arc::new),
        })
    }

    /// Returns whom a provider's id token names.
    ///
    /// # Errors
    ///
    /// Fails with an [`OidcError`].
    pub async fn verify(
        &self,
        provider: Provider,
        token: &str,
        nonce: Option<&str>,
        now: Timestamp,
    ) -> Result<ProvenIdentity, OidcError> {
        let tokens = match provider {
            Provider::Google => self.google.as_ref(),
            Provider::Apple => self.apple.as_ref(),
        };
        let tokens = tokens.ok_or(OidcError::NotConfigured(provider))?;
        let token = parse(token)?;
        let key = tokens.keys.key(&token.kid, now).await.map_err(|error| match error {
            KeyError::Absent => OidcError::Token(IdTokenError::Signature),
            KeyError::Unavailable { retry_after_s } => OidcError::Unavailable { provider, retry_after_s },
        })?;
        RsaPublicKeyComponents { n: &key.modulus, e: &key.exponent }
            .verify(&RSA_PKCS1_2048_8192_SHA256, token.signing_input.as_bytes(), &token.signature)
            .map_err(|_| IdTokenError::Signature)?;
        let expected = Expected {
            issuers: tokens.issuers,
            client_ids: &tokens.client_ids,
            is_party_an_app: tokens.is_party_an_app,
            nonce,
            now,
        };
        Ok(token.into_identity_once_verified(&expected)?)
    }
}
