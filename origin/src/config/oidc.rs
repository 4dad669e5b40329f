//! The providers of social sign-in: the variables `GOOGLE_…` and `APPLE_…`.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use shared::http::base_url;

use super::{
    process::Environment,
    reader::{Reader, UNSET, masked, quoted},
};

/// The most client ids of a provider: an app has one a platform.
const MAX_CLIENT_IDS: usize = 20;
const GOOGLE_JWKS_URL: &str = "https://www.googleapis.com/oauth2/v3/certs";
const APPLE_JWKS_URL: &str = "https://appleid.apple.com/auth/keys";
const APPLE_TOKEN_URL: &str = "https://appleid.apple.com/auth/token";
const APPLE_REVOKE_URL: &str = "https://appleid.apple.com/auth/revoke";

/// The section of social sign-in.
#[derive(Clone, Debug, Default)]
pub struct OidcConfig {
    /// Sign-in with Google; `None` while `GOOGLE_CLIENT_IDS` is unset.
    pub google: Option<ProviderConfig>,
    /// Sign-in with Apple; `None` while `APPLE_CLIENT_IDS` is unset.
    pub apple: Option<ProviderConfig>,
    /// Apple's tokens; `None` while `APPLE_PRIVATE_KEY` is unset.
    pub apple_tokens: Option<AppleTokensConfig>,
}

/// A provider of id tokens.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// `GOOGLE_CLIENT_IDS`, `APPLE_CLIENT_IDS`: the client ids of this app on its platforms, comma-separated. Tokens for others
    /// are refused.
    pub client_ids: Vec<String>,
    /// `GOOGLE_JWKS_URL`, `APPLE_JWKS_URL`, default the provider's own: the address of its public keys.
    pub jwks_url: String,
}

/// The exchange and revocation of tokens at Apple.
#[derive(Clone, Debug)]
pub struct AppleTokensConfig {
    /// `APPLE_TEAM_ID`: the id of the developer's team.
    pub team_id: String,
    /// `APPLE_KEY_ID`: the id of the key.
    pub key_id: String,
    /// `APPLE_PRIVATE_KEY`: the key for Sign in with Apple, in PEM form as Apple's file has it; `\n` stands for a line's end.
    pub private_key: ApplePrivateKey,
    /// `APPLE_TOKEN_URL`, default Apple's own.
    pub token_url: String,
    /// `APPLE_REVOKE_URL`, default Apple's own.
    pub revoke_url: String,
}

/// A private key on the curve P-256 (PKCS #8), which is never logged.
#[derive(Clone)]
pub struct ApplePrivateKey(Arc<EcdsaKeyPair>);

impl ApplePrivateKey {
    /// Reads a key in PEM form, or the base64 of its DER form.
    fn parse(text: &str) -> Option<Self> {
        let text = text.replace("\\n", "\n");
        let der = match PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()) {
            Ok(key) => key.secret_pkcs8_der().to_vec(),
            Err(_) => STANDARD.decode(text.split_whitespace().collect::<String>()).ok()?,
        };
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        EcdsaKeyPair::from_pkcs8(algorithm, &der, &SystemRandom::new()).ok().map(|key| Self(Arc::new(key)))
    }

    /// Returns the key.
    pub fn expose(&self) -> &EcdsaKeyPair {
        &self.0
    }
}

impl fmt::Debug for ApplePrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApplePrivateKey")
    }
}

impl OidcConfig {
    pub(super) fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let is_production = environment == Environment::Production;
        let google =
            provider(reader, "GOOGLE_CLIENT_IDS", ("GOOGLE_JWKS_URL", GOOGLE_JWKS_URL), is_production);
        let apple = provider(reader, "APPLE_CLIENT_IDS", ("APPLE_JWKS_URL", APPLE_JWKS_URL), is_production);
        Self { google, apple, apple_tokens: apple_tokens(reader, is_production) }
    }
}

/// Reads a provider; `None` while its client ids are unset.
fn provider(
    reader: &mut Reader<'_>,
    ids_variable: &'static str,
    (url_variable, default_url): (&'static str, &str),
    is_production: bool,
) -> Option<ProviderConfig> {
    let jwks_url = provider_url(reader, url_variable, default_url, is_production);
    let text = reader.text(ids_variable)?;
    let client_ids: Vec<_> = text.split(',').map(|id| id.trim().to_owned()).collect();
    let is_id = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    if client_ids.len() > MAX_CLIENT_IDS || !client_ids.iter().all(is_id) {
        let wanted = format!(
            "it should hold 1 to {MAX_CLIENT_IDS} client ids of the app, with commas between, as the provider's console shows them"
        );
        reader.wrong(ids_variable, quoted(text), wanted);
        return None;
    }
    Some(ProviderConfig { client_ids, jwks_url })
}

/// Reads an address of a provider. In production it is `https` whatever its host is: keys and tokens come from there.
fn provider_url(
    reader: &mut Reader<'_>,
    variable: &'static str,
    default: &str,
    is_production: bool,
) -> String {
    let Some(text) = reader.text(variable) else { return default.to_owned() };
    let read = if is_production && !text.starts_with("https://") {
        Err("it should begin with https:// in production".to_owned())
    } else {
        // Elsewhere, as if it were production: without TLS on this machine or a private network only.
        base_url::parse(text, true)
    };
    read.unwrap_or_else(|wanted| {
        reader.wrong(variable, quoted(text), wanted);
        default.to_owned()
    })
}

/// Reads the exchange of tokens at Apple. The three variables belong together.
fn apple_tokens(reader: &mut Reader<'_>, is_production: bool) -> Option<AppleTokensConfig> {
    let token_url = provider_url(reader, "APPLE_TOKEN_URL", APPLE_TOKEN_URL, is_production);
    let revoke_url = provider_url(reader, "APPLE_REVOKE_URL", APPLE_REVOKE_URL, is_production);
    let names = ["APPLE_TEAM_ID", "APPLE_KEY_ID", "APPLE_PRIVATE_KEY"];
    if names.iter().all(|name| reader.text(name).is_none()) {
        return None;
    }
    for name in names.into_iter().chain(["APPLE_CLIENT_IDS"]) {
        if reader.text(name).is_none() {
            let wanted = "it should be set, as other variables of Sign in with Apple are";
            reader.wrong(name, UNSET, wanted);
        }
    }
    let team_id = short_id(reader, "APPLE_TEAM_ID");
    let key_id = short_id(reader, "APPLE_KEY_ID");
    let text = reader.text("APPLE_PRIVATE_KEY")?;
    let Some(private_key) = ApplePrivateKey::parse(text) else {
        let wanted = "it should hold the key of Sign in with Apple, as in the file AuthKey_….p8 with \\n for each line's end";
        reader.wrong("APPLE_PRIVATE_KEY", masked(text), wanted);
        return None;
    };
    Some(AppleTokensConfig { team_id: team_id?, key_id: key_id?, private_key, token_url, revoke_url })
}

/// Reads an id of ten letters and digits, as Apple gives them to teams and keys.
fn short_id(reader: &mut Reader<'_>, variable: &'static str) -> Option<String> {
    let text = reader.text(variable)?;
    let is_id = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_id {
        reader.wrong(variable, quoted(text), "it should hold ten letters and digits, as Apple shows them");
    }
    is_id.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use ring::signature::KeyPair as _;
    use rstest::rstest;

    use super::*;
    use crate::config::{Config, ConfigError};

    /// A key that was made for this test.
    const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpsIyoQlz//gH8hf4sfgZaH1s+L3q2ymfAfCxfSenZMChRANCAATz7RECW8xsegHSHmFifIkEBcBufvYetNkQ/fAw0ptuBBkAS3ligLm8DTUUhI5f1x1hPVigMb6ChhURzb2bTsva";

    fn read(vars: &[(&str, &str)]) -> Result<OidcConfig, ConfigError> {
        let base = [("JWT_SECRET", "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c")];
        Config::read(&base.iter().chain(vars).copied().collect()).map(|config| config.oidc)
    }

    fn problems(vars: &[(&str, &str)]) -> Vec<&'static str> {
        read(vars).unwrap_err().0.iter().map(|problem| problem.variable).collect()
    }

    #[test]
    fn provider_without_client_ids_is_off() {
        let config = read(&[]).unwrap();
        assert!(config.google.is_none() && config.apple.is_none() && config.apple_tokens.is_none());
    }

    #[test]
    fn client_ids_are_a_list_and_addresses_the_providers_own() {
        let config = read(&[("GOOGLE_CLIENT_IDS", "web, ios"), ("APPLE_CLIENT_IDS", "com.example.app")]);
        let OidcConfig { google, apple, .. } = config.unwrap();
        let (google, apple) = (google.unwrap(), apple.unwrap());
        assert_eq!(google.client_ids, ["web", "ios"]);
        assert_eq!(google.jwks_url, "https://www.googleapis.com/oauth2/v3/certs");
        assert_eq!(apple.jwks_url, "https://appleid.apple.com/auth/keys");
    }

    #[test]
    fn apple_key_is_read_in_each_form() {
        let pem = format!("-----BEGIN PRIVATE KEY-----\\n{KEY}\\n-----END PRIVATE KEY-----");
        let lines = pem.replace("\\n", "\n");
        let mut public = Vec::new();
        for key in [KEY, pem.as_str(), lines.as_str()] {
            let vars = [
                ("APPLE_CLIENT_IDS", "com.example.app"),
                ("APPLE_TEAM_ID", "A1B2C3D4E5"),
                ("APPLE_KEY_ID", "F6G7H8I9J0"),
                ("APPLE_PRIVATE_KEY", key),
            ];
            let config = read(&vars).unwrap().apple_tokens.unwrap();
            assert!(!format!("{config:?}").contains("MIGH"));
            public.push(config.private_key.expose().public_key().as_ref().to_vec());
        }
        assert!(public.iter().all(|key| *key == public[0]));
    }

    #[rstest]
    #[case(&[("GOOGLE_CLIENT_IDS", "web,")], &["GOOGLE_CLIENT_IDS"])]
    #[case(&[("APPLE_CLIENT_IDS", "com.example app")], &["APPLE_CLIENT_IDS"])]
    #[case(&[("GOOGLE_JWKS_URL", "http://keys.example.com/")], &["GOOGLE_JWKS_URL"])]
    #[case(&[("APPLE_TEAM_ID", "A1B2C3D4E5")], &["APPLE_KEY_ID", "APPLE_PRIVATE_KEY", "APPLE_CLIENT_IDS"])]
    #[case(
        &[("APPLE_CLIENT_IDS", "a"), ("APPLE_TEAM_ID", "A1"), ("APPLE_KEY_ID", "F6G7H8I9J0"), ("APPLE_PRIVATE_KEY", "x")],
        &["APPLE_TEAM_ID", "APPLE_PRIVATE_KEY"]
    )]
    fn wrong_variable_is_named(#[case] vars: &[(&str, &str)], #[case] expected: &[&str]) {
        assert_eq!(problems(vars), expected);
    }

    #[rstest]
    fn address_without_tls_is_for_development(
        #[values("GOOGLE_JWKS_URL", "APPLE_JWKS_URL", "APPLE_TOKEN_URL", "APPLE_REVOKE_URL")]
        variable: &'static str,
    ) {
        assert!(read(&[(variable, "http://127.0.0.1:8080/keys")]).is_ok());
        let vars = [("EDGECHAT_ENV", "production"), (variable, "http://127.0.0.1:8080/keys")];
        assert!(problems(&vars).contains(&variable));
    }
}
