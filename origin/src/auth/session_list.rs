//! The open sessions of a user, as they see them.

use shared::{api::account::Session, auth::Claims};

use super::{Auth, AuthError};
use crate::store::accounts::{
    TimePosition,
    sessions::{ListedSession, SessionsPage},
};

impl Auth {
    /// Returns up to `limit` of the open sessions of the token's user that follow `after`, those that began last first. One whose
    /// refresh token has expired is not open.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn open_sessions(
        &self,
        claims: &Claims,
        after: Option<TimePosition>,
        limit: u32,
    ) -> Result<Vec<Session>, AuthError> {
        let now = self.clock.now();
        let unused_since = self.tokens.unused_since(now);
        let page = SessionsPage { now, unused_since, after, limit };
        let sessions = self.accounts.sessions(claims.sub, page).await?;
        Ok(sessions.into_iter().map(|session| self.shown(session, claims)).collect())
    }

    fn shown(&self, session: ListedSession, claims: &Claims) -> Session {
        Session {
            current: session.id == claims.sid,
            expires_at: self.tokens.refresh_expiry(session.last_used_at).min(session.expires_at),
            id: session.id,
            device_name: session.device_name,
            platform: session.platform,
            ip: session.ip,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
        }
    }
}
