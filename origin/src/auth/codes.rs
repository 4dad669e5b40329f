//! One-time codes: whoever shows the code that was sent to an address gets messages there. Sending tells nobody whether there is an
//! account: everything happens for any address alike, and what depends on the account is left to the job that sends.
//!
//! Codes need the ephemeral store: where it does not answer, none is sent and none is accepted.

use std::sync::Arc;

use shared::{
    address::Address,
    api::account::{
        AccountEventKind, Tokens, User,
        codes::{CodePurpose, SentCode},
    },
    auth::Claims,
    time::{SECOND_MS, Timestamp},
};

use super::{
    Auth, AuthError, Requester,
    throttle::{SentKind, Throttle, Way},
    tokens::{TokenIssuer, seconds},
};
use crate::{
    detached::detached,
    events::Announcements,
    jobs::notify::{email_changed, one_time_code, password_reset},
    store::{
        Accounts,
        accounts::{
            addresses::{AddressChange, AddressChangeOutcome, AddressSignIn},
            password_resets::NewPasswordReset,
        },
        ephemeral::{CodeOutcome, OneTimeCode},
    },
};

/// The guesses that a code allows.
const TRIES: u32 = 5;
/// The life of a permission to reset a password.
const RESET_LIFETIME_MS: i64 = 30 * 60 * SECOND_MS;

/// Somebody who shows a code.
#[derive(Clone, Debug)]
pub struct ShownCode {
    /// The request.
    pub requester: Requester,
    /// The claims of the access token that it came with.
    pub claims: Option<Claims>,
    /// The address that the code was sent to.
    pub address: Address,
    /// The purpose that it was sent for.
    pub purpose: CodePurpose,
    /// The code.
    pub code: String,
}

impl Auth {
    /// Sends a code to an address, in place of any that was sent before for the same purpose.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::RateLimited`], and when a store does.
    pub async fn send_code(
        self: &Arc<Self>,
        ip: &str,
        address: Address,
        purpose: CodePurpose,
    ) -> Result<SentCode, AuthError> {
        let now = self.clock.now();
        self.throttle.send(&*self.ephemeral, ip, SentKind::Code, &address, now).await?;
        let auth = Arc::clone(self);
        detached(async move {
            let sent = auth.store_and_schedule_code(&address, purpose, now).await;
            if sent.is_err() {
                auth.throttle.not_sent(&*auth.ephemeral, SentKind::Code, &address, now).await;
            }
            sent
        })
        .await??;
        Ok(SentCode { expires_in: seconds(self.code_lifetime_ms), resend_in: Throttle::resend_s() })
    }

    async fn store_and_schedule_code(
        &self,
        address: &Address,
        purpose: CodePurpose,
        now: Timestamp,
    ) -> Result<(), AuthError> {
        let (code_id, expires_at) = (self.random.id(now), now.plus_millis(self.code_lifetime_ms));
        let code = self.one_time_secrets.code(code_id);
        let hash = self.one_time_secrets.code_hash(&code, address, purpose);
        let stored = OneTimeCode { hash, tries: TRIES, expires_at };
        self.ephemeral.put_code(&code_key(address, purpose), stored, now).await?;
        self.schedule(one_time_code(code_id, address.clone(), purpose, expires_at, now)).await
    }

    /// Sends the link with which a user sets a new password, if somebody has the address.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::RateLimited`], and when a store does.
    pub async fn send_reset_link(&self, ip: &str, address: Address) -> Result<(), AuthError> {
        let now = self.clock.now();
        self.throttle.send(&*self.ephemeral, ip, SentKind::Link, &address, now).await?;
        let expires_at = now.plus_millis(RESET_LIFETIME_MS);
        let job = password_reset(self.random.id(now), address.clone(), expires_at, now);
        let scheduled = self.schedule(job).await;
        if scheduled.is_err() {
            self.throttle.not_sent(&*self.ephemeral, SentKind::Link, &address, now).await;
        }
        scheduled
    }

    /// Signs in whoever shows the code of an address, and signs them up where nobody has it.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::CodeInvalid`] or [`AuthError::RateLimited`].
    pub async fn sign_in_by_code(
        self: &Arc<Self>,
        shown: ShownCode,
        device_name: Option<String>,
        announcements: &Announcements,
    ) -> Result<Tokens, AuthError> {
        self.check_code(&shown).await?;
        let now = self.clock.now();
        let ShownCode { requester, address, .. } = shown;
        let new_user = self.user_of_address(&address, now);
        let (opening, proven) = self.prepare_proven(new_user, &requester, device_name, now);
        let sign_in = AddressSignIn { address, proven };
        let write = async move |accounts: Arc<dyn Accounts>| accounts.sign_in_by_address(sign_in).await;
        // A suspended account has no codes.
        self.open_proven(opening, &requester, announcements, write).await?.ok_or(AuthError::CodeInvalid)
    }

    /// Makes an address the signed-in user's, verified, when they show its code. The session goes on with the returned tokens.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::CodeInvalid`], [`AuthError::AddressTaken`], [`AuthError::SessionEnded`] or
    /// [`AuthError::RateLimited`].
    pub async fn verify_address(
        self: &Arc<Self>,
        shown: ShownCode,
        user: User,
        claims: &Claims,
    ) -> Result<Tokens, AuthError> {
        self.check_code(&shown).await?;
        let now = self.clock.now();
        let refresh = TokenIssuer::opaque(&*self.random);
        let refresh_expires_at = self.tokens.refresh_expiry(now);
        let (before, after) = (user.email.as_deref(), shown.address.as_email());
        let job = before
            .zip(after)
            .filter(|(before, after)| before != after)
            .map(|(before, _)| email_changed(self.random.id(now), before.to_owned(), now));
        let kind = match shown.address {
            Address::Email(_) => AccountEventKind::EmailChanged,
            Address::Phone(_) => AccountEventKind::PhoneChanged,
        };
        let audit = self.audit_event(user.id, kind, Some(claims.sid), &shown.requester, now);
        let change = AddressChange {
            user_id: user.id,
            address: shown.address,
            session_id: claims.sid,
            refresh_hash: refresh.hash(),
            refresh_expires_at,
            job,
            audit,
        };
        let write = async move |accounts: Arc<dyn Accounts>| accounts.change_address(change).await;
        match self.change(user.id, write).await? {
            AddressChangeOutcome::Changed(user) => {
                self.jobs.wake();
                Ok(self.pair(*user, claims.sid, &refresh, refresh_expires_at, now))
            }
            AddressChangeOutcome::Taken => Err(AuthError::AddressTaken),
            AddressChangeOutcome::NoSession => Err(AuthError::SessionEnded),
        }
    }

    /// Returns a token with which whoever shows the code of an address may set a new password.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::CodeInvalid`], also when nobody has the address, or [`AuthError::RateLimited`].
    pub async fn permit_reset_by_code(self: &Arc<Self>, shown: ShownCode) -> Result<String, AuthError> {
        self.check_code(&shown).await?;
        let user = self.accounts.user_by_address(shown.address.clone()).await?;
        let user = user.ok_or(AuthError::CodeInvalid)?;
        let token = TokenIssuer::opaque(&*self.random);
        let reset = NewPasswordReset {
            token_hash: token.hash(),
            user_id: user.id,
            address: shown.address,
            expires_at: self.clock.now().plus_millis(RESET_LIFETIME_MS),
        };
        if !self.accounts.create_password_reset(reset).await? {
            return Err(AuthError::CodeInvalid);
        }
        Ok(token.encode())
    }

    /// Checks a code, and uses it up when it is right. It is counted as a wrong guess before, whether there is a code or not.
    pub(super) async fn check_code(self: &Arc<Self>, shown: &ShownCode) -> Result<(), AuthError> {
        let now = self.clock.now();
        let ShownCode { requester, claims, address, purpose, code } = shown;
        self.throttle.request(&*self.ephemeral, Way::Code, &requester.ip, now).await?;
        let guesser = self.code_guesser(requester, address, claims.as_ref()).await?;
        let key = code_key(address, *purpose);
        let hash = self.one_time_secrets.code_hash(code, address, *purpose);
        let ephemeral = Arc::clone(&self.ephemeral);
        let check = async move {
            Ok(match ephemeral.try_code(&key, hash, now).await? {
                CodeOutcome::Accepted => Some(()),
                CodeOutcome::Wrong { .. } | CodeOutcome::Absent => None,
            })
        };
        self.guess(guesser, check).await?.ok_or(AuthError::CodeInvalid)
    }

    /// A new user of this address, which is verified.
    fn user_of_address(&self, address: &Address, now: Timestamp) -> User {
        let (email, phone) = (address.as_email(), address.as_phone());
        User {
            email: email.map(str::to_owned),
            email_verified: email.is_some(),
            phone: phone.map(str::to_owned),
            phone_verified: phone.is_some(),
            ..self.new_user(now)
        }
    }
}

/// Returns the name under which the code of an address is stored. A code for one purpose takes no other's place.
fn code_key(address: &Address, purpose: CodePurpose) -> String {
    format!("code:{}:{}:{}", purpose.as_str(), address.kind(), address.as_str())
}
