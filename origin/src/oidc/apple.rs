//! Apple's tokens: an authorization code is exchanged for a refresh token, which is revoked when its user's account is deleted.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use form_urlencoded::Serializer;
use reqwest::{Client, StatusCode, header::CONTENT_TYPE};
use ring::rand::SystemRandom;
use serde::Deserialize;
use serde_json::json;
use shared::{
    auth::id_token::{UnverifiedIdToken, parse},
    time::Timestamp,
};

use crate::{
    config::oidc::AppleTokensConfig,
    http_client::{self, Timeouts},
};

const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(5), total: Duration::from_secs(15) };
/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The audience of a client secret.
const AUDIENCE: &str = "https://appleid.apple.com";
/// The seconds that a client secret is valid. Apple allows six months.
const SECRET_LIFETIME_S: i64 = 5 * 60;

/// A call of Apple that failed. The text has no token, code or secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppleError {
    /// Apple does not accept the code or token, and never will.
    #[error("Apple refused it: {0}")]
    Refused(String),
    /// Apple does not answer, or not as it should; later it may.
    #[error("Apple cannot be used: {0}")]
    Unavailable(String),
}

/// The result of an exchange.
#[derive(Clone, PartialEq, Eq)]
pub struct ExchangedCode {
    /// The refresh token.
    pub refresh_token: String,
    /// Apple's id of the user whose code it was.
    pub subject: String,
}

/// Calls Apple.
pub struct AppleTokens {
    client: Client,
    config: AppleTokensConfig,
}

#[derive(Deserialize)]
struct TokenAnswer {
    refresh_token: String,
    id_token: String,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

impl AppleTokens {
    /// Makes a client of Apple; it is not called yet.
    ///
    /// # Errors
    ///
    /// Fails when TLS cannot be set up.
    pub fn new(config: &AppleTokensConfig) -> reqwest::Result<Self> {
        Ok(Self { client: http_client::client(TIMEOUTS)?, config: config.clone() })
    }

    /// Exchanges an authorization code that this client of the app got.
    ///
    /// # Errors
    ///
    /// Fails with an [`AppleError`].
    pub async fn exchange(
        &self,
        client_id: &str,
        code: &str,
        now: Timestamp,
    ) -> Result<ExchangedCode, AppleError> {
        let fields = [("grant_type", "authorization_code"), ("code", code)];
        let answer = self.post(&self.config.token_url, client_id, &fields, now).await?;
        let unreadable = || AppleError::Unavailable("its answer has no tokens".to_owned());
        let answer: TokenAnswer = serde_json::from_slice(&answer).map_err(|_| unreadable())?;
        let subject = parse(&answer.id_token).and_then(UnverifiedIdToken::into_subject_from_provider);
        Ok(ExchangedCode { refresh_token: answer.refresh_token, subject: subject.map_err(|_| unreadable())? })
    }

    /// Revokes a refresh token of this client of the app.
    ///
    /// # Errors
    ///
    /// Fails with an [`AppleError`].
    pub async fn revoke(&self, client_id: &str, token: &str, now: Timestamp) -> Result<(), AppleError> {
        let fields = [("token", token), ("token_type_hint", "refresh_token")];
        self.post(&self.config.revoke_url, client_id, &fields, now).await.map(drop)
    }

    async fn post(
        &self,
        url: &str,
        client_id: &str,
        fields: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Vec<u8>, AppleError> {
        let secret = self.client_secret(client_id, now)?;
        let client = [("client_id", client_id), ("client_secret", &secret)];
        let body = Serializer::new(String::new()).extend_pairs(client).extend_pairs(fields).finish();
        let request = self.client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = request.body(body).send().await;
        let answer = answer.map_err(|error| AppleError::Unavailable(http_client::reason(error)))?;
        let status = answer.status();
        let body = http_client::read_bounded(answer, MAX_ANSWER_BYTES).await;
        let body =
            body.ok_or_else(|| AppleError::Unavailable("its answer is too long or broke off".to_owned()))?;
        if status == StatusCode::OK { Ok(body) } else { Err(refusal(status, &body)) }
    }

    /// Returns the JWT by which Apple knows the app.
    fn client_secret(&self, client_id: &str, now: Timestamp) -> Result<String, AppleError> {
        let issued_s = now.as_secs();
        let header = json!({ "alg": "ES256", "kid": self.config.key_id });
        let claims = json!({
            "iss": self.config.team_id,
            "iat": issued_s,
            "exp": issued_s.saturating_add(SECRET_LIFETIME_S),
            "aud": AUDIENCE,
            "sub": client_id,
        });
        let encode = |json: String| URL_SAFE_NO_PAD.encode(json);
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.config.private_key.expose().sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature
            .map_err(|_| AppleError::Unavailable("the client secret cannot be signed".to_owned()))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Returns what an answer other than 200 means. `invalid_client` is a mistake of the configuration, which can be mended.
fn refusal(status: StatusCode, body: &[u8]) -> AppleError {
    let error = serde_json::from_slice::<ErrorAnswer>(body).map(|answer| answer.error);
    match error.as_deref() {
        Ok(error @ ("invalid_grant" | "invalid_request" | "unsupported_grant_type"))
            if status == StatusCode::BAD_REQUEST =>
        {
            AppleError::Refused(error.to_owned())
        }
        Ok("invalid_client") => AppleError::Unavailable(
            "APPLE_TEAM_ID, APPLE_KEY_ID and APPLE_PRIVATE_KEY are not accepted".to_owned(),
        ),
        _ => AppleError::Unavailable(format!("it answered {}", status.as_u16())),
    }
}
