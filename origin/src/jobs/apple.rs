//! Jobs at Apple: the exchange of an authorization code, within the minutes that it is valid, and the revocation of a refresh token,
//! until it succeeds. Both hold their secret sealed.

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use shared::{api::account::Provider, auth::edge::sha256, id::Id, time::Timestamp};

use super::{Job, JobError, Progress};
use crate::{
    clock::Clock,
    oidc::apple::{AppleError, AppleTokens},
    random::Random,
    sealed::{Purpose, Sealer},
    store::{
        Accounts, StoreResult,
        accounts::{
            identities::IdentityToken,
            jobs::{ClaimedJob, NewJob},
        },
    },
};

const EXCHANGE: &str = "apple_exchange";
const REVOCATION: &str = "apple_revocation";

/// An authorization code to exchange.
#[derive(Serialize, Deserialize)]
pub struct CodeExchange {
    /// The user whose identity it is.
    pub user_id: Id,
    /// Apple's id of the user.
    pub subject: String,
    /// The client that got the code.
    pub client_id: String,
    /// The code, sealed, in base64.
    code: String,
    /// The time from which on Apple does not take it any more.
    pub expires_at: Timestamp,
}

impl CodeExchange {
    /// Describes the exchange of a code that is sealed.
    pub fn new(
        user_id: Id,
        subject: String,
        client_id: String,
        sealed: &[u8],
        expires_at: Timestamp,
    ) -> Self {
        Self { user_id, subject, client_id, code: URL_SAFE_NO_PAD.encode(sealed), expires_at }
    }

    /// Returns the job that exchanges it.
    pub fn job(&self, id: Id, now: Timestamp) -> NewJob {
        // Ids, times and texts can be written.
        let payload = serde_json::to_string(self).unwrap_or_default();
        NewJob { id, kind: EXCHANGE, key: None, payload, due_at: now }
    }
}

#[derive(Serialize, Deserialize)]
struct Revocation {
    user_id: Id,
    client_id: String,
    token: String,
}

/// Returns the job that revokes a user's refresh token. There is one for a token, however often it is scheduled. It needs nothing of
/// the user's account, which may be gone when it runs.
fn revocation(id: Id, user_id: Id, token: &IdentityToken, now: Timestamp) -> NewJob {
    let key = URL_SAFE_NO_PAD.encode(sha256(&token.sealed));
    let client_id = token.client_id.clone();
    let revocation = Revocation { user_id, client_id, token: URL_SAFE_NO_PAD.encode(&token.sealed) };
    let payload = serde_json::to_string(&revocation).unwrap_or_default();
    NewJob { id, kind: REVOCATION, key: Some(key), payload, due_at: now }
}

/// Schedules the revocation of the tokens that Apple gave us for a user, whose account is about to be deleted. Repeated, it changes
/// nothing more.
///
/// # Errors
///
/// Fails when the store does.
pub async fn schedule_revocations(
    accounts: &dyn Accounts,
    random: &dyn Random,
    user_id: Id,
    now: Timestamp,
) -> StoreResult<()> {
    for token in accounts.identity_tokens(user_id, Provider::Apple).await? {
        accounts.schedule_job(revocation(random.id(now), user_id, &token, now)).await?;
    }
    Ok(())
}

/// The parts of both jobs.
#[derive(Clone)]
pub struct AppleJobs {
    /// Apple; `None` while it is not configured.
    pub apple: Option<Arc<AppleTokens>>,
    /// Opens and seals their secrets.
    pub sealer: Sealer,
    /// The accounts.
    pub accounts: Arc<dyn Accounts>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl AppleJobs {
    fn apple(&self) -> Result<&AppleTokens, AppleError> {
        let missing = || AppleError::Unavailable("APPLE_PRIVATE_KEY is not set".to_owned());
        self.apple.as_deref().ok_or_else(missing)
    }

    /// Opens a secret. `None` when that is not possible and never will be, which is logged.
    fn open(&self, user_id: Id, purpose: Purpose, encoded: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(encoded).ok();
        let opened = sealed.and_then(|sealed| self.sealer.open(user_id, purpose, &sealed).ok());
        if opened.is_none() {
            tracing::warn!("a sealed secret of Apple cannot be opened: its JWT_SECRET is gone");
        }
        opened
    }
}

/// Exchanges authorization codes.
pub struct ExchangeCode(pub AppleJobs);

#[async_trait]
impl Job for ExchangeCode {
    fn kind(&self) -> &'static str {
        EXCHANGE
    }

    fn period_ms(&self) -> Option<i64> {
        None
    }

    async fn run(&self, job: &ClaimedJob) -> Result<Progress, JobError> {
        let exchange: CodeExchange = serde_json::from_str(&job.payload)?;
        let now = self.0.clock.now();
        if now >= exchange.expires_at {
            tracing::warn!("an authorization code of Apple expired before it could be exchanged");
            return Ok(Progress::Done);
        }
        let CodeExchange { user_id, subject, client_id, code, .. } = exchange;
        let Some(code) = self.0.open(user_id, Purpose::AppleCode, &code) else { return Ok(Progress::Done) };
        let exchanged = match self.0.apple()?.exchange(&client_id, &code, now).await {
            Ok(exchanged) if exchanged.subject == subject => exchanged,
            Ok(_) => {
                tracing::warn!("an authorization code of Apple was another user's");
                return Ok(Progress::Done);
            }
            Err(error @ AppleError::Refused(_)) => {
                tracing::warn!(%error, "an authorization code of Apple was not exchanged");
                return Ok(Progress::Done);
            }
            Err(error) => return Err(error.into()),
        };
        let sealed = self.0.sealer.seal(user_id, Purpose::AppleToken, &exchanged.refresh_token)?;
        let token = IdentityToken { client_id, sealed };
        if !self.0.accounts.keep_identity_token(user_id, Provider::Apple, subject, token).await? {
            tracing::info!("an authorization code was exchanged for an identity that is gone");
        }
        Ok(Progress::Done)
    }
}

/// Revokes refresh tokens.
pub struct RevokeToken(pub AppleJobs);

#[async_trait]
impl Job for RevokeToken {
    fn kind(&self) -> &'static str {
        REVOCATION
    }

    fn period_ms(&self) -> Option<i64> {
        None
    }

    async fn run(&self, job: &ClaimedJob) -> Result<Progress, JobError> {
        let Revocation { user_id, client_id, token } = serde_json::from_str(&job.payload)?;
        let Some(token) = self.0.open(user_id, Purpose::AppleToken, &token) else {
            return Ok(Progress::Done);
        };
        match self.0.apple()?.revoke(&client_id, &token, self.0.clock.now()).await {
            Ok(()) => Ok(Progress::Done),
            Err(error @ AppleError::Refused(_)) => {
                tracing::warn!(%error, "a refresh token of Apple was not revoked");
                Ok(Progress::Done)
            }
            Err(error) => Err(error.into()),
        }
    }
}
