//! The permission to export all data of an account: one export at a time, a few a day, each in the audit trail.

use shared::{api::account::AccountEventKind, auth::Claims, id::Id};

use super::{Auth, AuthError, Requester};

impl Auth {
    /// Begins an export of a token's user. [`Self::end_export`] ends it.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::RateLimited`] while another one runs, and after a few in a day.
    pub async fn begin_export(&self, claims: &Claims, requester: &Requester) -> Result<(), AuthError> {
        let now = self.clock.now();
        self.throttle.begin_export(&*self.ephemeral, claims.sub, now).await?;
        let event =
            self.audit_event(claims.sub, AccountEventKind::Exported, Some(claims.sid), requester, now);
        let noted = self.accounts.append_audit_event(event).await;
        if noted.is_err() {
            self.throttle.export_undecided(&*self.ephemeral, claims.sub, now).await;
        }
        Ok(noted?)
    }

    /// Ends an export, so that another one may begin.
    pub async fn end_export(&self, user_id: Id) {
        self.throttle.end_export(&*self.ephemeral, user_id, self.clock.now()).await;
    }
}
