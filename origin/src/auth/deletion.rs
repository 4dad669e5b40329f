//! The request to delete an account. What follows is the work of a job ([`crate::jobs::delete_user`]); signing in before undoes it.

use std::sync::Arc;

use shared::{
    address::Address,
    api::{
        account::{
            AccountEventKind, User,
            codes::CodePurpose,
            deletion::{DeleteAccountRequest, ScheduledDeletion},
        },
        internal::user_event::UserEvent,
    },
    auth::{
        Claims,
        deletion::{Proof, Proofs, required_proof},
    },
    time::Timestamp,
};

use super::{Auth, AuthError, Requester, codes::ShownCode};
use crate::{
    events::Announcements,
    jobs::{delete_user::delete_user, notify::deletion_requested},
    store::{
        Accounts,
        accounts::{deletions::DeletionRequest, jobs::NewJob},
    },
};

/// A signed-in user who wants their account deleted.
#[derive(Clone)]
pub struct AccountDeletion {
    /// The request they come with.
    pub requester: Requester,
    /// The claims of their token.
    pub claims: Claims,
    /// The user.
    pub user: User,
    /// The proof that it is them.
    pub shown: DeleteAccountRequest,
}

impl Auth {
    /// Schedules the deletion of an account and ends all its sessions. Without a grace time the deletion begins at once.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::PasswordWrong`], [`AuthError::CodeInvalid`], [`AuthError::Refused`] when the proof that is needed is
    /// missing, [`AuthError::RateLimited`], or [`AuthError::SessionEnded`] when the session ended meanwhile.
    pub async fn request_deletion(
        self: &Arc<Self>,
        deletion: AccountDeletion,
        announcements: &Announcements,
    ) -> Result<ScheduledDeletion, AuthError> {
        let AccountDeletion { requester, claims, user, shown } = deletion;
        self.check_proof(&requester, &claims, &user, shown).await?;
        let event = self.event(user.id, UserEvent::UserSessionsEnded { except: None });
        let deletes_at = event.at.plus_millis(self.deletion_grace_ms);
        let request = DeletionRequest {
            user_id: user.id,
            session_id: claims.sid,
            deletes_at,
            event,
            audit: self.audit_event(
                user.id,
                AccountEventKind::DeletionRequested,
                Some(claims.sid),
                &requester,
                event.at,
            ),
            job: delete_user(self.random.id(event.at), user.id, deletes_at),
            notice: self.deletion_notice(&user, event.at, deletes_at),
        };
        let write = async move |accounts: Arc<dyn Accounts>| {
            let deletes_at = accounts.request_deletion(request).await?;
            if let Some(at) = deletes_at.filter(|at| *at <= event.at)
                && let Err(error) = accounts.begin_deletion(event.user_id, at, event.at).await
            {
                tracing::warn!(%error, "a deletion did not begin at once; its job begins it");
            }
            Ok(deletes_at)
        };
        let deletes_at = self.change(user.id, write).await?.ok_or(AuthError::SessionEnded)?;
        self.jobs.wake();
        announcements.add_stored(event);
        Ok(ScheduledDeletion { deletes_at })
    }

    async fn check_proof(
        self: &Arc<Self>,
        requester: &Requester,
        claims: &Claims,
        user: &User,
        shown: DeleteAccountRequest,
    ) -> Result<(), AuthError> {
        let addresses = addresses(user);
        let password = self.accounts.password_hash(user.id).await?.is_some();
        let proofs = Proofs { password, address: !addresses.is_empty() };
        match required_proof(shown, proofs).map_err(AuthError::Refused)? {
            Proof::Password(typed) => self.check_typed_password(requester, claims, typed).await.map(drop),
            Proof::Code(code) => self.check_code_of_any(requester, claims, addresses, &code).await,
            Proof::NotNeeded => Ok(()),
        }
    }

    /// Checks a code that was sent to one of these addresses. Where it is wrong, it is so for each.
    async fn check_code_of_any(
        self: &Arc<Self>,
        requester: &Requester,
        claims: &Claims,
        addresses: Vec<Address>,
        code: &str,
    ) -> Result<(), AuthError> {
        for address in addresses {
            let (requester, claims, code) = (requester.clone(), Some(claims.clone()), code.to_owned());
            let shown = ShownCode { requester, claims, address, purpose: CodePurpose::Delete, code };
            match self.check_code(&shown).await {
                Err(AuthError::CodeInvalid) => {}
                checked => return checked,
            }
        }
        Err(AuthError::CodeInvalid)
    }

    fn deletion_notice(&self, user: &User, at: Timestamp, deletes_at: Timestamp) -> Option<NewJob> {
        let email = user.email.clone()?;
        Some(deletion_requested(self.random.id(at), email, at, deletes_at))
    }
}

/// Returns the addresses of a user that get codes.
fn addresses(user: &User) -> Vec<Address> {
    let email = user.email.clone().map(Address::Email);
    let phone = user.phone.clone().map(Address::Phone);
    email.into_iter().chain(phone).collect()
}
