//! Whether a session is alive. The accounts know; the cache remembers it for a minute, and is told when a session ends.

use serde::{Deserialize, Serialize};
use shared::{
    api::{ErrorCode, account::User},
    auth::Claims,
    id::Id,
    time::{SECOND_MS, Timestamp},
};

use crate::{
    app::App,
    http::Failure,
    store::{Ephemeral, ephemeral::CacheGroup},
};

/// For how long the accounts are not asked again, at most. So long may another process that could not be told of a
/// session's end still let it in.
const REMEMBERED_MS: i64 = 60 * SECOND_MS;

/// A session that was alive when the accounts were asked: what the cache holds.
#[derive(Serialize, Deserialize)]
struct LiveSession {
    id: Id,
    expires_at: Timestamp,
    user: User,
}

impl LiveSession {
    /// Reads an entry; `None` when it is no live session of this token, and the accounts must be asked.
    fn read(entry: &[u8], claims: &Claims, now: Timestamp) -> Option<Self> {
        let known: Self = serde_json::from_slice(entry).ok()?;
        (known.id == claims.sid && known.user.id == claims.sub && known.expires_at > now).then_some(known)
    }
}

/// The user of the session that this token names.
///
/// Errors: [`ErrorCode::SessionEnded`] when it is not alive, and a store's failure when neither the cache knows it nor the
/// accounts answer: nobody is let in on a guess.
pub async fn user(app: &App, claims: &Claims, now: Timestamp) -> Result<User, Failure> {
    let (group, entry) = (CacheGroup::SessionsOf(claims.sub), claims.sid.to_string());
    let cached = app.stores.ephemeral.cached(group, &entry, app.random.id(now), now).await;
    if let Some(known) = cached.value.and_then(|known| LiveSession::read(&known, claims, now)) {
        return Ok(known.user);
    }
    let session = app.stores.accounts.session(claims.sub, claims.sid).await?;
    let session = session.filter(|session| session.ended_at.is_none() && session.expires_at > now);
    let session = session.ok_or(ErrorCode::SessionEnded)?;
    let live = LiveSession { id: session.id, expires_at: session.expires_at, user: session.user };
    if let Ok(value) = serde_json::to_vec(&live) {
        let until = now.plus_millis(REMEMBERED_MS).min(live.expires_at);
        app.stores.ephemeral.fill(group, &entry, cached.lease, value, until, now).await;
    }
    Ok(live.user)
}

/// Forgets what is remembered of this user: after one of their sessions has ended, or they have changed.
pub async fn forget(store: &dyn Ephemeral, user_id: Id) {
    store.invalidate(CacheGroup::SessionsOf(user_id)).await;
}
