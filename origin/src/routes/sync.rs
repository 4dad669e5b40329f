//! The changes of a user's conversations, for clients that keep a copy.

use axum::{Json as Reply, extract::State};
use shared::api::{
    page::PageQuery,
    sync::{SyncItem, SyncPage},
};

use crate::{
    app::App,
    http::{CurrentUser, Error, Query, cursor},
    store::chats::Change,
};

/// The list's name, which its cursors are bound to.
const LIST: &str = "sync";

/// Follow changes
///
/// The changed conversations, in the order of their changes: opened, renamed, deleted, brought back, or with new or deleted messages.
/// Without a cursor from the beginning, deleted ones included. To keep a copy up to date:
///
/// 1. Apply each item: replace the conversation, or remove it with its messages where `deleted`. Where its `messages_deleted_at` is
///    not that of your copy, remove its messages, too: some of them are gone.
/// 2. Where its `message_count` is above the highest `seq` you have, get the rest from `…/messages?after_seq=` that `seq`:
///    messages of all branches. The shown branch is the path to its `head_id`.
///    A `seq` that is missing between two others is a message that has not arrived yet, or that was deleted: request from before
///    the gap again when the conversation appears next.
/// 3. Keep `next_cursor` for the next request: at once while `has_more`, else whenever you want to update the copy.
///
/// A conversation may appear again without a difference. A write acknowledged before the request is never missed.
#[utoipa::path(
    get,
    path = "/api/v1/sync",
    operation_id = "sync",
    tag = "chat",
    security(("bearer" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "What changed", body = SyncPage),
    ),
)]
pub(super) async fn follow(
    State(app): State<App>,
    current: CurrentUser,
    Query(page): Query<PageQuery>,
) -> Result<Reply<SyncPage>, Error> {
    let after = cursor::decode(LIST, page.cursor.as_deref())?.unwrap_or(0);
    let (limit, now) = (cursor::one_more(page.limit()), app.clock.now());
    let changes = app.stores.chats.changes(current.user.id, after, limit, now).await?;
    Ok(Reply(of_changes(changes, page.limit(), after)))
}

/// Makes the page of the items that the store returned for [`cursor::one_more`] after this place.
fn of_changes(mut changes: Vec<Change>, limit: u32, after: u64) -> SyncPage {
    let has_more = cursor::cut(&mut changes, limit);
    let place = changes.last().map_or(after, |last| last.position);
    let items = changes.into_iter().map(|change| SyncItem {
        id: change.conversation_id,
        deleted: change.conversation.is_none(),
        conversation: change.conversation,
    });
    SyncPage { items: items.collect(), next_cursor: cursor::encode(LIST, &place), has_more }
}
