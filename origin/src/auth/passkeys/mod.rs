//! Passkeys: registered by a signed-in user, and used to sign in without a name.
//!
//! - [`ceremony`]: WebAuthn, without stores
//! - [`error`]: why one is not accepted
//!
//! The state of a ceremony is in the ephemeral store under the challenge's id, for one answer within five minutes; where
//! that store does not answer, nobody registers or signs in by a passkey.

pub mod ceremony;
pub mod error;

use std::sync::Arc;

use shared::{
    api::account::{
        AccountEventKind, Passkey, PasskeyLogin, PasskeyOptions, RegisterPasskey, Tokens, User,
        passkey::MAX_PASSKEYS,
    },
    auth::{Claims, ways_in::CodeChannels},
    id::Id,
    time::{SECOND_MS, Timestamp},
};

pub use error::PasskeyError;

use super::{Auth, AuthError, Requester, tokens::seconds};
use crate::{
    config::{
        Config,
        notify::{MailConfig, SmsConfig},
    },
    events::Announcements,
    store::{
        Accounts,
        accounts::passkeys::{PasskeyAddition, PasskeyRemoval, PasskeyUse, StoredPasskey},
    },
};
use ceremony::{Assertion, Begun, Ceremonies, NewCredential, SetupError};

/// The life of a challenge.
const CHALLENGE_LIFETIME_MS: i64 = 5 * 60 * SECOND_MS;

/// The parts of passkeys beside the stores.
pub(super) struct PasskeyParts {
    ceremonies: Ceremonies,
    codes: CodeChannels,
}

impl PasskeyParts {
    /// Returns the parts; `None` where passkeys are off.
    pub(super) fn new(config: &Config) -> Result<Option<Self>, SetupError> {
        let Some(passkeys) = &config.passkeys else { return Ok(None) };
        let codes = CodeChannels {
            email: !matches!(config.notify.mail, MailConfig::Off),
            phone: !matches!(config.notify.sms, SmsConfig::Off),
        };
        Ok(Some(Self { ceremonies: Ceremonies::new(passkeys, &config.process.app_name)?, codes }))
    }
}

impl Auth {
    /// Returns the options with which a user's authenticator makes a passkey.
    ///
    /// # Errors
    ///
    /// Fails with [`PasskeyError::TooMany`] or [`AuthError::RateLimited`], and when a store does.
    pub async fn passkey_registration_options(&self, user: &User) -> Result<PasskeyOptions, AuthError> {
        let parts = self.passkey_parts()?;
        let now = self.clock.now();
        self.throttle.new_passkey(&*self.ephemeral, user.id, now).await?;
        let known = self.accounts.passkeys(user.id).await?;
        if known.len() >= MAX_PASSKEYS as usize {
            return Err(PasskeyError::TooMany.into());
        }
        let begun = parts.ceremonies.begin_registration(user, &known)?;
        self.give_challenge(begun, now, |id| registration_key(user.id, id)).await
    }

    /// Registers a passkey of the signed-in user.
    ///
    /// # Errors
    ///
    /// Fails with [`PasskeyError::ChallengeInvalid`], [`PasskeyError::CredentialInvalid`], [`PasskeyError::Known`] or
    /// [`PasskeyError::TooMany`], and when a store does.
    pub async fn register_passkey(
        &self,
        request: RegisterPasskey,
        claims: &Claims,
        requester: &Requester,
    ) -> Result<Passkey, AuthError> {
        let parts = self.passkey_parts()?;
        let now = self.clock.now();
        let credential = NewCredential::read(request.credential)?;
        let state = self.take_challenge(&registration_key(claims.sub, request.challenge_id), now).await?;
        let registered = parts.ceremonies.finish_registration(&state, &credential)?;
        let passkey = StoredPasskey {
            id: self.random.id(now),
            user_id: claims.sub,
            credential_id: registered.credential_id,
            credential: registered.credential,
            sign_count: registered.sign_count,
            backed_up: registered.backed_up,
            name: request.name,
            created_at: now,
            last_used_at: None,
        };
        let audit =
            self.audit_event(claims.sub, AccountEventKind::PasskeyAdded, Some(claims.sid), requester, now);
        let added = passkey.clone();
        let add =
            async move |accounts: Arc<dyn Accounts>| accounts.add_passkey(added, MAX_PASSKEYS, audit).await;
        match self.change(claims.sub, add).await? {
            PasskeyAddition::Added => Ok(passkey.into()),
            PasskeyAddition::Taken => Err(PasskeyError::Known.into()),
            PasskeyAddition::TooMany => Err(PasskeyError::TooMany.into()),
            PasskeyAddition::NoUser => Err(AuthError::SessionEnded),
        }
    }

    /// Returns the options with which any authenticator signs in whoever has a passkey there.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::RateLimited`], and when a store does.
    pub async fn passkey_login_options(&self, ip: &str) -> Result<PasskeyOptions, AuthError> {
        let parts = self.passkey_parts()?;
        let now = self.clock.now();
        self.throttle.passkey(&*self.ephemeral, ip, now).await?;
        self.give_challenge(parts.ceremonies.begin_sign_in()?, now, login_key).await
    }

    /// Signs in by a passkey and begins a session.
    ///
    /// # Errors
    ///
    /// Fails with [`PasskeyError::ChallengeInvalid`], [`PasskeyError::CredentialInvalid`], [`PasskeyError::Refused`] or
    /// [`AuthError::RateLimited`], and when a store does.
    pub async fn sign_in_by_passkey(
        self: &Arc<Self>,
        request: PasskeyLogin,
        requester: &Requester,
        announcements: &Announcements,
    ) -> Result<Tokens, AuthError> {
        let parts = self.passkey_parts()?;
        let now = self.clock.now();
        self.throttle.passkey(&*self.ephemeral, &requester.ip, now).await?;
        let assertion = Assertion::read(request.credential)?;
        let state = self.take_challenge(&login_key(request.challenge_id), now).await?;
        let passkey = self.accounts.passkey_by_credential(assertion.credential_id().to_vec()).await?;
        let passkey = passkey.ok_or(PasskeyError::Refused)?;
        let user = self.verify_use(parts, &state, &assertion, &passkey, now).await;
        if matches!(user, Err(AuthError::Passkey(PasskeyError::Refused))) {
            self.note_failed_sign_in(passkey.user_id, requester, request.device_name.clone());
        }
        let opened = self.open_session(user?, requester, request.device_name, now, announcements).await;
        // A suspended account has no passkeys.
        opened.map_err(|error| match error {
            AuthError::InvalidCredentials => PasskeyError::Refused.into(),
            other => other,
        })
    }

    /// Verifies a sign-in and records it with its count.
    async fn verify_use(
        &self,
        parts: &PasskeyParts,
        state: &[u8],
        assertion: &Assertion,
        passkey: &StoredPasskey,
        now: Timestamp,
    ) -> Result<User, AuthError> {
        let verified = parts.ceremonies.finish_sign_in(state, assertion, passkey)?;
        let used = PasskeyUse {
            id: passkey.id,
            sign_count: verified.sign_count,
            backed_up: verified.backed_up,
            at: now,
        };
        Ok(self.accounts.use_passkey(used).await?.ok_or(PasskeyError::Refused)?)
    }

    /// Returns the passkeys of a user, the oldest first.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn passkeys(&self, user_id: Id) -> Result<Vec<Passkey>, AuthError> {
        self.passkey_parts()?;
        Ok(self.accounts.passkeys(user_id).await?.into_iter().map(Passkey::from).collect())
    }

    /// Names a passkey. `None` when the user has none with this id.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn rename_passkey(
        &self,
        user_id: Id,
        id: Id,
        name: String,
    ) -> Result<Option<Passkey>, AuthError> {
        self.passkey_parts()?;
        Ok(self.accounts.rename_passkey(user_id, id, name).await?.map(Passkey::from))
    }

    /// Removes a passkey. False when the user has none with this id.
    ///
    /// # Errors
    ///
    /// Fails with [`PasskeyError::LastWayIn`], and when the store does.
    pub async fn remove_passkey(
        &self,
        claims: &Claims,
        id: Id,
        requester: &Requester,
    ) -> Result<bool, AuthError> {
        let codes = self.passkey_parts()?.codes;
        let (kind, now) = (AccountEventKind::PasskeyRemoved, self.clock.now());
        let audit = self.audit_event(claims.sub, kind, Some(claims.sid), requester, now);
        match self.accounts.remove_passkey(claims.sub, id, codes, audit).await? {
            PasskeyRemoval::Removed => Ok(true),
            PasskeyRemoval::Absent => Ok(false),
            PasskeyRemoval::LastWayIn => Err(PasskeyError::LastWayIn.into()),
        }
    }

    fn passkey_parts(&self) -> Result<&PasskeyParts, PasskeyError> {
        self.passkeys.as_ref().ok_or(PasskeyError::Off)
    }

    /// Stores a ceremony that began, under the key of its challenge.
    async fn give_challenge(
        &self,
        begun: Begun,
        now: Timestamp,
        key: impl FnOnce(Id) -> String,
    ) -> Result<PasskeyOptions, AuthError> {
        let (challenge_id, until) = (self.random.id(now), now.plus_millis(CHALLENGE_LIFETIME_MS));
        self.ephemeral.put_challenge(&key(challenge_id), begun.state, until, now).await?;
        let expires_in = seconds(CHALLENGE_LIFETIME_MS);
        Ok(PasskeyOptions { challenge_id, expires_in, public_key: begun.public_key })
    }

    /// Takes the ceremony of a challenge. Whatever comes of it, it is used up.
    async fn take_challenge(&self, key: &str, now: Timestamp) -> Result<Vec<u8>, AuthError> {
        let state = self.ephemeral.take_challenge(key, now).await?;
        Ok(state.ok_or(PasskeyError::ChallengeInvalid)?)
    }
}

/// A challenge for one user is none for another, nor for a sign-in.
fn registration_key(user_id: Id, challenge_id: Id) -> String {
    format!("passkey-registration:{user_id}:{challenge_id}")
}

fn login_key(challenge_id: Id) -> String {
    format!("passkey-login:{challenge_id}")
}
