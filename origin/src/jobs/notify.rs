//! Notices to users by e-mail, each the work of a job, so that one that cannot be sent now is sent later.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shared::{api::account::User, id::Id, time::Timestamp};

use super::{Job, JobError, Progress};
use crate::{
    notify::{Mail, Mailer, Purpose},
    store::{
        Accounts,
        accounts::{
            jobs::{ClaimedJob, NewJob},
            sessions::SessionOfUser,
        },
    },
};

const KIND: &str = "notify";

/// A notice, as a job's payload holds it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
enum Notice {
    /// A session was ended because an old refresh token of it was used.
    RefreshTokenReused { user_id: Id, at: Timestamp },
    /// The password is another one.
    PasswordChanged { user_id: Id, at: Timestamp },
}

/// Returns the job that tells a user that their session was ended because a refresh token was used twice. An account gets one such
/// mail a day, however many sessions it was: nobody can have mails sent to an address in numbers by using tokens twice.
pub fn refresh_token_reused(id: Id, session: &SessionOfUser, now: Timestamp) -> NewJob {
    let user_id = session.user.id;
    let notice = Notice::RefreshTokenReused { user_id, at: now };
    NewJob {
        id,
        kind: KIND,
        key: Some(format!("refresh_token_reused:{user_id}:{}", now.day())),
        // An id and a time can be written.
        payload: serde_json::to_string(&notice).unwrap_or_default(),
        due_at: now,
    }
}

/// Returns the job that tells a user that their password is another one.
pub fn password_changed(id: Id, user_id: Id, now: Timestamp) -> NewJob {
    let notice = Notice::PasswordChanged { user_id, at: now };
    NewJob {
        id,
        kind: KIND,
        key: None,
        // An id and a time can be written.
        payload: serde_json::to_string(&notice).unwrap_or_default(),
        due_at: now,
    }
}

/// The job.
pub struct Notify {
    accounts: Arc<dyn Accounts>,
    mailer: Option<Arc<dyn Mailer>>,
    app_name: String,
}

impl Notify {
    /// A job that sends what users of these accounts are told, in the app's name; nothing without a mailer.
    pub fn new(accounts: Arc<dyn Accounts>, mailer: Option<Arc<dyn Mailer>>, app_name: String) -> Self {
        Self { accounts, mailer, app_name }
    }

    fn mail(&self, id: Id, to: String, notice: &Notice) -> Mail {
        let app = &self.app_name;
        let (purpose, subject, text) = match notice {
            Notice::RefreshTokenReused { at, .. } => (
                Purpose::SessionEnded,
                format!("{app}: a session was ended"),
                format!(
                    "At {at}, a sign-in of your {app} account was used that had been replaced by a newer one. That happens when \
                     somebody has a copy of it, so its session was ended.\n\nSign in again on your device. If it keeps \
                     happening, choose a new password.\n"
                ),
            ),
            Notice::PasswordChanged { at, .. } => (
                Purpose::PasswordChanged,
                format!("{app}: your password was changed"),
                format!(
                    "At {at}, the password of your {app} account was changed, and your other sessions were ended.\n\nIf it was \
                     not you, reset the password now: choose \"forgot password\" where you sign in.\n"
                ),
            ),
        };
        Mail { id, to, purpose, subject, text }
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
        let Some(mailer) = &self.mailer else {
            tracing::info!("no mail can be sent; a notice is left out");
            return Ok(Progress::Done);
        };
        let (Notice::RefreshTokenReused { user_id, .. } | Notice::PasswordChanged { user_id, .. }) = &notice;
        // Somebody who is gone, or has no address, is told nothing.
        let user = self.accounts.user(*user_id).await?;
        if let Some(User { email: Some(to), .. }) = user {
            mailer.send(self.mail(job.id, to, &notice)).await?;
        }
        Ok(Progress::Done)
    }
}
