//! The messages of a conversation, as they are stored, and the deletion of one. The Worker serves sending one.

use std::sync::Arc;

use axum::{Json as Reply, extract::State, http::StatusCode};
use garde::Validate;
use serde::Deserialize;
use shared::{
    api::{
        ApiError, ErrorCode,
        chat::Message,
        page::{Order, Page, PageQuery},
    },
    id::Id,
};

use super::{conversations::announce_change, list_cache::write_and_invalidate};
use crate::{
    app::App,
    events::Announcements,
    http::{CurrentUser, Error, PathId, PathIds, Query, cursor},
    store::{
        Chats,
        chats::{Messages, MessagesPage, Scope},
    },
};

/// The filter and the order of a list of messages.
#[derive(Deserialize, Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MessagesFilter {
    /// `asc`: oldest first; `desc`: newest first.
    #[serde(default)]
    #[garde(skip)]
    #[param(inline)]
    order: Order,
    /// Only messages after this `seq`, those of all branches; with `order=desc`, only those before it. Not together with
    /// `cursor`.
    #[serde(default)]
    #[garde(skip)]
    after_seq: Option<u64>,
}

/// A list of messages, which its cursors are bound to.
struct List {
    scope: Scope,
    name: String,
}

impl List {
    fn of(scope: Scope, conversation_id: Id, order: Order) -> Self {
        let what = match scope {
            Scope::Shown => "messages",
            Scope::Arrived | Scope::Kept => "arrived",
        };
        let order = match order {
            Order::Asc => "asc",
            Order::Desc => "desc",
        };
        Self { scope, name: format!("{what}.{conversation_id}.{order}") }
    }
}

impl MessagesFilter {
    /// Returns the requested list, and the `seq` after which, in its order, it starts. A cursor continues the list that it comes
    /// from.
    fn place(&self, conversation_id: Id, cursor: Option<&str>) -> Result<(List, Option<u64>), ApiError> {
        let list = |scope| List::of(scope, conversation_id, self.order);
        if self.after_seq.is_some() {
            if cursor.is_some() {
                return Err(ApiError::invalid_field("after_seq", "must not stand beside cursor"));
            }
            return Ok((list(Scope::Arrived), self.after_seq));
        }
        let arrived = list(Scope::Arrived);
        if let Ok(Some(after)) = cursor::decode(&arrived.name, cursor) {
            return Ok((arrived, Some(after)));
        }
        let shown = list(Scope::Shown);
        let after = cursor::decode(&shown.name, cursor)?;
        Ok((shown, after))
    }
}

/// List the messages of a conversation
///
/// The branch that is shown: the messages from the first to the conversation's `head_id`, each the parent of the next. With
/// `after_seq`, what arrived since, of all branches.
///
/// A page holds at most 4 MiB of text and pictures, so that it may have fewer items than `limit` and not be the last: that
/// one has no `next_cursor`.
#[utoipa::path(
    get,
    path = "/api/v1/chat/conversations/{id}/messages",
    operation_id = "list_messages",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The conversation"), PageQuery, MessagesFilter),
    responses(
        (status = 200, description = "A page of messages", body = Page<Message>),
    ),
)]
pub(super) async fn list(
    State(app): State<App>,
    current: CurrentUser,
    PathId(id): PathId,
    Query(page): Query<PageQuery>,
    Query(filter): Query<MessagesFilter>,
) -> Result<Reply<Page<Message>>, Error> {
    let (list, after) = filter.place(id, page.cursor.as_deref())?;
    let wanted = MessagesPage { scope: list.scope, order: filter.order, after, limit: page.limit() };
    let found = app.stores.chats.messages(current.user.id, id, wanted).await?;
    let Messages { items, has_more } = found.ok_or(ErrorCode::NotFound)?;
    let next_cursor = items.last().filter(|_| has_more).map(|last| cursor::encode(&list.name, &last.seq));
    Ok(Reply(Page { items, next_cursor }))
}

/// Delete a message
///
/// With every message below it, of all branches: gone from lists, from what models read, and from counts. Where the shown branch
/// ended there, it then ends with the branch of the newest other message that follows the same one, or else with the message before.
/// What is being answered below it is lost: stop the turn first. The conversation's `messages_deleted_at` is another one then.
#[utoipa::path(
    delete,
    path = "/api/v1/chat/conversations/{id}/messages/{mid}",
    operation_id = "delete_message",
    tag = "chat",
    security(("bearer" = [])),
    params(
        ("id" = Id, Path, description = "The conversation"),
        ("mid" = Id, Path, description = "The message"),
    ),
    responses(
        (status = 204, description = "It is gone"),
    ),
)]
pub(super) async fn delete(
    State(app): State<App>,
    current: CurrentUser,
    announcements: Announcements,
    PathIds(id, message_id): PathIds,
) -> Result<StatusCode, Error> {
    let (user_id, now) = (current.user.id, app.clock.now());
    let deletion =
        |chats: Arc<dyn Chats>| async move { chats.delete_message(user_id, id, message_id, now).await };
    if !write_and_invalidate(&app, user_id, deletion).await? {
        return Err(ErrorCode::NotFound.into());
    }
    announce_change(&app, &announcements, user_id, id, now);
    Ok(StatusCode::NO_CONTENT)
}
