//! Messages to users, each the work of a job, so that one that cannot be sent now is sent later.
//!
//! - `texts`: their words
//!
//! A job's payload holds no secret: a code or a token is derived from its id when the message is sent.

mod texts;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shared::{
    address::Address,
    api::account::{User, codes::CodePurpose},
    id::Id,
    time::{SECOND_MS, Timestamp},
};

pub use texts::Texts;

use texts::Secrets;

use super::{Job, JobError, Progress};
use crate::{
    clock::Clock,
    notify::{Channel, Messenger, Purpose, SendError},
    one_time_secrets::OneTimeSecrets,
    store::{
        Accounts, StoreResult,
        accounts::{
            jobs::{ClaimedJob, NewJob},
            password_resets::NewPasswordReset,
            sessions::SessionOfUser,
        },
    },
    telemetry::messages::{MessageOutcome, count_message},
};

const KIND: &str = "notify";
/// The life of a link that confirms an address: people read mails a day later, and it gives nobody a session.
const EMAIL_LINK_LIFETIME_MS: i64 = 24 * 60 * 60 * SECOND_MS;

/// A notice, as a job's payload holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
enum Notice {
    /// A session was ended because an old refresh token of it was used.
    RefreshTokenReused { user_id: Id, at: Timestamp },
    /// Somebody asked for a code.
    OneTimeCode { code_id: Id, to: Address, purpose: CodePurpose, expires_at: Timestamp },
    /// Somebody asked for a link with which whoever has the address chooses a new password.
    PasswordReset { reset_id: Id, to: Address, expires_at: Timestamp },
    /// Somebody registered with an address; a link confirms it.
    EmailVerification { user_id: Id, to: Address, expires_at: Timestamp },
    /// The password was changed.
    PasswordChanged { user_id: Id, at: Timestamp },
    /// The e-mail address is another one; this one was it before.
    EmailChanged { to: Address, at: Timestamp },
    /// The user asked for the deletion of the account. They have no address any more when it begins, so this one is kept here.
    DeletionRequested { to: Address, at: Timestamp, deletes_at: Timestamp },
}

impl Notice {
    /// Returns the time from which on its message is of no use.
    const fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::OneTimeCode { expires_at, .. }
            | Self::PasswordReset { expires_at, .. }
            | Self::EmailVerification { expires_at, .. } => Some(*expires_at),
            Self::RefreshTokenReused { .. }
            | Self::PasswordChanged { .. }
            | Self::EmailChanged { .. }
            | Self::DeletionRequested { .. } => None,
        }
    }

    /// Returns the channel and purpose of a message that can expire.
    fn channel_and_purpose(&self) -> Option<(Channel, Purpose)> {
        match self {
            Self::OneTimeCode { to, purpose, .. } => Some((Channel::of(to), (*purpose).into())),
            Self::PasswordReset { to, .. } => Some((Channel::of(to), Purpose::Reset)),
            Self::EmailVerification { to, .. } => Some((Channel::of(to), Purpose::Verify)),
            Self::RefreshTokenReused { .. }
            | Self::PasswordChanged { .. }
            | Self::EmailChanged { .. }
            | Self::DeletionRequested { .. } => None,
        }
    }

    fn job(&self, id: Id, key: Option<String>, due_at: Timestamp) -> NewJob {
        // Ids, times and names can be written.
        let payload = serde_json::to_string(self).unwrap_or_default();
        NewJob { id, kind: KIND, key, payload, due_at }
    }
}

/// Returns the job that tells a user that their session was ended because a refresh token was used twice. An account gets one such
/// mail a day, however many sessions it was: nobody can have mails sent to an address in numbers by using tokens twice.
pub fn refresh_token_reused(id: Id, session: &SessionOfUser, now: Timestamp) -> NewJob {
    let user_id = session.user.id;
    let key = format!("refresh_token_reused:{user_id}:{}", now.day());
    Notice::RefreshTokenReused { user_id, at: now }.job(id, Some(key), now)
}

/// Returns the job that sends the code of `code_id` ([`OneTimeSecrets::code`]) to an address or a number, unless `expires_at` comes
/// first. The job has that id, too: scheduled twice, it is one.
pub fn one_time_code(
    code_id: Id,
    to: Address,
    purpose: CodePurpose,
    expires_at: Timestamp,
    now: Timestamp,
) -> NewJob {
    Notice::OneTimeCode { code_id, to, purpose, expires_at }.job(code_id, None, now)
}

/// Returns the job that sends whoever has an address, if anybody, the link with the token of `reset_id` ([`OneTimeSecrets::token`]),
/// with which they choose a new password, unless `expires_at` comes first. It permits that token, too. The job has that id as well:
/// scheduled twice, it is one.
pub fn password_reset(reset_id: Id, to: Address, expires_at: Timestamp, now: Timestamp) -> NewJob {
    Notice::PasswordReset { reset_id, to, expires_at }.job(reset_id, None, now)
}

/// Returns the job that sends a new user the link with which they confirm their address, unless that is done before.
pub fn email_verification(id: Id, user_id: Id, email: String, now: Timestamp) -> NewJob {
    let expires_at = now.plus_millis(EMAIL_LINK_LIFETIME_MS);
    Notice::EmailVerification { user_id, to: Address::Email(email), expires_at }.job(id, None, now)
}

/// Returns the job that tells a user, at the address that was theirs, that it no longer is.
pub fn email_changed(id: Id, email: String, at: Timestamp) -> NewJob {
    Notice::EmailChanged { to: Address::Email(email), at }.job(id, None, at)
}

/// Returns the job that tells a user by mail when their account is deleted.
pub fn deletion_requested(id: Id, email: String, at: Timestamp, deletes_at: Timestamp) -> NewJob {
    Notice::DeletionRequested { to: Address::Email(email), at, deletes_at }.job(id, None, at)
}

/// Returns the job that tells a user by mail that their password was changed.
pub fn password_changed(id: Id, user_id: Id, at: Timestamp) -> NewJob {
    Notice::PasswordChanged { user_id, at }.job(id, None, at)
}

/// The job.
pub struct Notify {
    accounts: Arc<dyn Accounts>,
    messenger: Arc<dyn Messenger>,
    texts: Texts,
    secrets: OneTimeSecrets,
    clock: Arc<dyn Clock>,
}

impl Notify {
    /// A job that sends messages to users of these accounts.
    pub fn new(
        accounts: Arc<dyn Accounts>,
        messenger: Arc<dyn Messenger>,
        texts: Texts,
        secrets: OneTimeSecrets,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { accounts, messenger, texts, secrets, clock }
    }

    /// Returns whom a notice is for; nobody when they are gone, have no e-mail address, or have no account to reset or delete.
    async fn recipient(&self, notice: &Notice) -> StoreResult<Option<Address>> {
        match notice {
            Notice::OneTimeCode { to, purpose: CodePurpose::Reset | CodePurpose::Delete, .. } => {
                let user = self.accounts.user_by_address(to.clone()).await?;
                Ok(user.map(|_| to.clone()))
            }
            Notice::PasswordReset { reset_id, to, expires_at } => {
                Ok(self.permit_reset(*reset_id, to, *expires_at).await?.then(|| to.clone()))
            }
            Notice::EmailVerification { user_id, to, .. } => {
                let user = self.accounts.user(*user_id).await?;
                Ok(user.and_then(|user| unverified_email(&user)).filter(|email| email == to))
            }
            Notice::OneTimeCode { to, .. }
            | Notice::EmailChanged { to, .. }
            | Notice::DeletionRequested { to, .. } => Ok(Some(to.clone())),
            Notice::RefreshTokenReused { user_id, .. } | Notice::PasswordChanged { user_id, .. } => {
                let user = self.accounts.user(*user_id).await?;
                Ok(user.and_then(|user| user.email).map(Address::Email))
            }
        }
    }

    /// Returns the token of a link that confirms the address of a notice, where it is an e-mail address that somebody has and has not
    /// confirmed.
    async fn email_link_token(&self, notice: &Notice, now: Timestamp) -> StoreResult<Option<String>> {
        let token = |user_id, email: &Address, expires_at| {
            email.as_email().map(|email| self.secrets.email_link_token(user_id, email, expires_at))
        };
        match notice {
            Notice::EmailVerification { user_id, to, expires_at } => Ok(token(*user_id, to, *expires_at)),
            Notice::OneTimeCode { to, purpose: CodePurpose::Verify, .. } => {
                let owner = self.accounts.user_by_address(to.clone()).await?;
                let owner = owner.filter(|user| unverified_email(user).as_ref() == Some(to));
                Ok(owner.and_then(|user| token(user.id, to, now.plus_millis(EMAIL_LINK_LIFETIME_MS))))
            }
            _ => Ok(None),
        }
    }

    /// Permits the token of this id to reset the password of whoever has the address. False when nobody has.
    async fn permit_reset(
        &self,
        reset_id: Id,
        address: &Address,
        expires_at: Timestamp,
    ) -> StoreResult<bool> {
        let Some(user) = self.accounts.user_by_address(address.clone()).await? else { return Ok(false) };
        let reset = NewPasswordReset {
            token_hash: self.secrets.token_hash(reset_id),
            user_id: user.id,
            address: address.clone(),
            expires_at,
        };
        self.accounts.create_password_reset(reset).await
    }
}

#[async_trait]
impl Job for Notify {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn period_ms(&self) -> Option<i64> {
        None
    }

    async fn run(&self, job: &ClaimedJob) -> Result<Progress, JobError> {
        let notice: Notice = serde_json::from_str(&job.payload)?;
        let now = self.clock.now();
        if notice.expires_at().is_some_and(|expires_at| expires_at <= now) {
            tracing::warn!("a message expired before it could be sent");
            if let Some((channel, purpose)) = notice.channel_and_purpose() {
                count_message(channel.as_str(), purpose.as_str(), MessageOutcome::Expired);
            }
            return Ok(Progress::Done);
        }
        let Some(to) = self.recipient(&notice).await? else { return Ok(Progress::Done) };
        let secrets =
            Secrets { one_time: &self.secrets, email_link: self.email_link_token(&notice, now).await? };
        let message = self.texts.message(job.id, to, &notice, &secrets, now);
        let (channel, purpose) = (Channel::of(&message.to).as_str(), message.purpose.as_str());
        let sent = self.messenger.send(message).await;
        count_message(channel, purpose, outcome_of(&sent));
        match sent {
            Ok(()) => Ok(Progress::Done),
            Err(error) if error.is_permanent() => {
                tracing::warn!(%error, channel, purpose, "a message was refused and is not sent");
                Ok(Progress::Done)
            }
            Err(error) => Err(error.into()),
        }
    }
}

const fn outcome_of(sent: &Result<(), SendError>) -> MessageOutcome {
    match sent {
        Ok(()) => MessageOutcome::Sent,
        Err(error) if error.is_permanent() => MessageOutcome::Refused,
        Err(_) => MessageOutcome::Retried,
    }
}

/// Returns the e-mail address that a user has not confirmed.
fn unverified_email(user: &User) -> Option<Address> {
    user.email.clone().filter(|_| !user.email_verified).map(Address::Email)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_007);

    fn id(number: u8) -> Id {
        Id::from_bytes([number; 16])
    }

    #[test]
    fn payload_holds_ids_and_no_secret() {
        let secrets = OneTimeSecrets::new("0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c").unwrap();
        let to = Address::Phone("+491701234567".to_owned());
        let expires_at = NOW.plus_millis(300_000);
        let code = one_time_code(id(1), to, CodePurpose::Login, expires_at, NOW);
        let to = Address::Email("ada@example.com".to_owned());
        let reset = password_reset(id(1), to, expires_at, NOW);
        for job in [&code, &reset] {
            assert!(
                !job.payload.contains(&secrets.code(id(1))) && !job.payload.contains(&secrets.token(id(1)))
            );
            assert_eq!((job.id, job.due_at), (id(1), NOW));
        }
        assert_eq!(
            code.payload,
            r#"{"notice":"one_time_code","code_id":"01010101-0101-0101-0101-010101010101","to":{"phone":"+491701234567"},"purpose":"login","expires_at":"2026-11-21T09:35:00.007Z"}"#
        );
    }
}
