//! The first page of a user's list of conversations, cached as it is sent. A list that is read after a write was
//! acknowledged shows the write: every write to the list goes through [`write_and_invalidate`].

use std::{future::Future, sync::Arc};

use shared::{
    id::Id,
    time::{SECOND_MS, Timestamp},
};

use crate::{
    app::App,
    detached::detached,
    http::{Encoded, Error},
    store::{Chats, StoreResult, ephemeral::CacheGroup},
};

/// Returns the page cached under `entry`, or else the one that `read` makes, which is cached for the next request.
pub(crate) async fn first_page(
    app: &App,
    user_id: Id,
    entry: &str,
    now: Timestamp,
    read: impl Future<Output = Result<Encoded, Error>>,
) -> Result<Encoded, Error> {
    let ttl_s = app.config.limits.cache_ttl_s;
    if ttl_s == 0 {
        return read.await;
    }
    let group = CacheGroup::ConversationsOf(user_id);
    let cached = app.stores.ephemeral.cached(group, entry, app.random.id(now), now).await;
    if let Some(page) = cached.value {
        return Ok(Encoded(page));
    }
    let page = read.await?;
    let until = now.plus_millis(ttl_s.saturating_mul(SECOND_MS));
    app.stores.ephemeral.fill(group, entry, cached.lease, page.0.clone(), until, now).await;
    Ok(page)
}

/// Runs a write that the user's list shows, and invalidates the cached pages before it is acknowledged. Also when the write
/// failed, which may have happened nevertheless; and to completion, also when the client has disconnected.
pub(crate) async fn write_and_invalidate<T, W>(
    app: &App,
    user_id: Id,
    write: impl FnOnce(Arc<dyn Chats>) -> W,
) -> Result<T, Error>
where
    T: Send + 'static,
    W: Future<Output = StoreResult<T>> + Send + 'static,
{
    let writing = write(Arc::clone(&app.stores.chats));
    let ephemeral = Arc::clone(&app.stores.ephemeral);
    let outcome = detached(async move {
        let outcome = writing.await;
        ephemeral.invalidate(CacheGroup::ConversationsOf(user_id)).await;
        outcome
    });
    Ok(outcome.await??)
}
