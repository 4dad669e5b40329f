//! The check that a session is active. The accounts know; the cache remembers it for a minute, and is invalidated when a
//! session ends.

use serde::{Deserialize, Serialize};
use shared::{
    api::account::User,
    auth::Claims,
    id::Id,
    time::{SECOND_MS, Timestamp},
};

use super::{Auth, AuthError};
use crate::store::{Ephemeral, ephemeral::CacheGroup};

/// For how long the accounts are not asked again, at most. So long may another process that could not be told of a
/// session's end still let it in.
const CACHED_MS: i64 = 60 * SECOND_MS;

/// A session that was active when the accounts were asked: the entry of the cache.
#[derive(Serialize, Deserialize)]
struct ActiveSession {
    id: Id,
    expires_at: Timestamp,
    user: User,
}

impl ActiveSession {
    /// Reads an entry; `None` when it is no active session of this token, and the accounts must be asked.
    fn read(entry: &[u8], claims: &Claims, now: Timestamp) -> Option<Self> {
        let known: Self = serde_json::from_slice(entry).ok()?;
        (known.id == claims.sid && known.user.id == claims.sub && known.expires_at > now).then_some(known)
    }
}

impl Auth {
    /// Returns the user of the session that a valid token names.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::SessionEnded`] when the session is not active, and with the store's error when neither the
    /// cache knows it nor the accounts answer: nobody is let in on a guess.
    pub async fn session_user(&self, claims: &Claims, now: Timestamp) -> Result<User, AuthError> {
        let (group, entry) = (CacheGroup::SessionsOf(claims.sub), claims.sid.to_string());
        let cached = self.ephemeral.cached(group, &entry, self.random.id(now), now).await;
        if let Some(known) = cached.value.and_then(|known| ActiveSession::read(&known, claims, now)) {
            return Ok(known.user);
        }
        let session = self.accounts.session(claims.sub, claims.sid).await?;
        let session = session.filter(|session| session.ended_at.is_none() && session.expires_at > now);
        let session = session.ok_or(AuthError::SessionEnded)?;
        let active = ActiveSession { id: session.id, expires_at: session.expires_at, user: session.user };
        if let Ok(value) = serde_json::to_vec(&active) {
            let until = now.plus_millis(CACHED_MS).min(active.expires_at);
            self.ephemeral.fill(group, &entry, cached.lease, value, until, now).await;
        }
        Ok(active.user)
    }
}

/// Forgets what is cached of this user: after one of their sessions has ended, or they have changed.
pub(super) async fn invalidate(store: &dyn Ephemeral, user_id: Id) {
    store.invalidate(CacheGroup::SessionsOf(user_id)).await;
}
