//! Authentication: passwords, sessions, tokens. Nothing here knows HTTP.
//!
//! - [`sign_up`], [`sign_in`]: from an e-mail and a password to a session
//! - [`sessions`]: from a session to tokens, from a refresh token to the next pair
//! - [`session_cache`]: the check that a session is active
//! - [`session_list`]: the open sessions of a user
//! - [`account_changes`]: ends of sessions, changes of plans
//! - [`codes`]: one-time codes
//! - [`email_links`]: links that confirm an address
//! - [`passkeys`]: passkeys, registered and used
//! - [`identities`]: accounts at Google and Apple
//! - [`guests`]: accounts without a way to sign in
//! - [`password_change`]: new passwords
//! - [`guesses`]: guesses at passwords, codes and tokens, counted
//! - [`deletion`]: the request to delete an account
//! - [`export`]: the permission to export all data
//! - [`profile`], [`consents`]: what users say about themselves, and agree to
//! - [`audit`]: events for the audit trail
//! - [`requester`]: who asks
//! - [`passwords`]: hashes of passwords
//! - [`tokens`]: access and refresh tokens, made and checked; [`token_keys`]: the keys of the first
//! - [`throttle`]: how often somebody may try
//! - [`error`]: why somebody is not let in

pub mod account_changes;
pub mod audit;
pub mod codes;
pub mod consents;
pub mod deletion;
pub mod email_links;
pub mod error;
pub mod export;
pub mod guesses;
pub mod guests;
pub mod identities;
pub mod passkeys;
pub mod password_change;
pub mod passwords;
pub mod profile;
pub mod requester;
pub mod session_cache;
pub mod session_list;
pub mod sessions;
pub mod sign_in;
pub mod sign_up;
pub mod throttle;
pub mod token_keys;
pub mod tokens;

use std::sync::Arc;

use shared::{
    auth::consents::RequiredDocument,
    time::{DAY_MS, SECOND_MS},
};

use crate::{
    clock::Clock,
    config::Config,
    jobs::Waker,
    oidc::IdentityProviders,
    one_time_secrets::OneTimeSecrets,
    random::Random,
    sealed::Sealer,
    store::{Accounts, Chats, Ephemeral, Stores, accounts::jobs::NewJob},
};

pub use error::AuthError;
pub use requester::Requester;

use audit::LateEvents;
use passkeys::PasskeyParts;
use passwords::{PasswordError, Passwords};
use throttle::Throttle;
use token_keys::TokenKeys;
use tokens::TokenIssuer;

/// Signs people up and in, and knows their sessions.
pub struct Auth {
    /// Makes and checks tokens.
    pub tokens: TokenIssuer,
    passwords: Passwords,
    throttle: Throttle,
    required_documents: Vec<RequiredDocument>,
    late_events: LateEvents,
    accounts: Arc<dyn Accounts>,
    ephemeral: Arc<dyn Ephemeral>,
    chats: Arc<dyn Chats>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Woken when a job was scheduled.
    jobs: Waker,
    one_time_secrets: OneTimeSecrets,
    sealer: Sealer,
    providers: Arc<IdentityProviders>,
    code_lifetime_ms: i64,
    deletion_grace_ms: i64,
    /// `None` where passkeys are off.
    passkeys: Option<PasskeyParts>,
}

/// Keys that are made of `JWT_SECRET` besides those of tokens.
pub struct Secrets {
    /// Codes and tokens for people.
    pub one_time: OneTimeSecrets,
    /// Secrets at rest.
    pub sealer: Sealer,
}

/// The cryptography refuses the parameters it is given here. Every test that makes an [`Auth`] rules it out.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Of passwords.
    #[error(transparent)]
    Passwords(#[from] PasswordError),
    /// Of refresh tokens.
    #[error("deriving the key of refresh tokens failed: {0}")]
    Tokens(hkdf::InvalidLength),
    /// Of passkeys.
    #[error("PASSKEY_RP_ID or PASSKEY_ORIGINS: {0}")]
    Passkeys(#[from] passkeys::ceremony::SetupError),
}

impl Auth {
    /// Puts the parts together. Blocks for as long as one password takes to hash.
    ///
    /// # Errors
    ///
    /// Fails when the cryptography refuses its parameters.
    pub fn new(
        config: &Config,
        stores: &Stores,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        jobs: Waker,
        secrets: Secrets,
        providers: Arc<IdentityProviders>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            tokens: TokenIssuer::new(
                config,
                TokenKeys::new(config, Arc::clone(&stores.accounts), Arc::clone(&clock)),
            )
            .map_err(SetupError::Tokens)?,
            passwords: Passwords::new(&*random)?,
            throttle: Throttle::new(&config.limits),
            required_documents: config.required_documents.clone(),
            late_events: LateEvents::new(),
            accounts: Arc::clone(&stores.accounts),
            ephemeral: Arc::clone(&stores.ephemeral),
            chats: Arc::clone(&stores.chats),
            clock,
            random,
            jobs,
            one_time_secrets: secrets.one_time,
            sealer: secrets.sealer,
            providers,
            code_lifetime_ms: config.limits.code_minutes * 60 * SECOND_MS,
            passkeys: PasskeyParts::new(config)?,
            deletion_grace_ms: config.limits.deletion_grace_days * DAY_MS,
        })
    }

    /// Schedules a job that is due now.
    async fn schedule(&self, job: NewJob) -> Result<(), AuthError> {
        self.accounts.schedule_job(job).await?;
        self.jobs.wake();
        Ok(())
    }
}
