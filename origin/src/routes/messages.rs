//! The messages of a conversation, as they are stored. Sending one is the Worker's.

use axum::{Json as Reply, extract::State};
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

use crate::{
    app::App,
    auth::CurrentUser,
    http::{Failure, PathId, Query, cursor},
    store::chats::{Messages, MessagesPage},
};

/// Which messages a list holds, and in which order.
#[derive(Deserialize, Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MessagesFilter {
    /// `asc`: oldest first; `desc`: newest first.
    #[serde(default)]
    #[garde(skip)]
    #[param(inline)]
    order: Order,
    /// Only messages after this `seq`; with `order=desc`, only those before it. Not together with `cursor`.
    #[serde(default)]
    #[garde(skip)]
    after_seq: Option<u64>,
}

impl MessagesFilter {
    /// The `seq` after which, in the list's order, its first message stands.
    fn after(&self, list: &str, cursor: Option<&str>) -> Result<Option<u64>, ApiError> {
        if self.after_seq.is_some() && cursor.is_some() {
            return Err(ApiError::invalid_field("after_seq", "must not stand beside cursor"));
        }
        Ok(cursor::decode(list, cursor)?.or(self.after_seq))
    }
}

/// List the messages of a conversation
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
) -> Result<Reply<Page<Message>>, Failure> {
    let list = list_name(id, filter.order);
    let after = filter.after(&list, page.cursor.as_deref())?;
    let wanted = MessagesPage { order: filter.order, after, limit: page.limit() };
    let found = app.stores.chats.messages(current.user.id, id, wanted).await?;
    let Messages { items, has_more } = found.ok_or(ErrorCode::NotFound)?;
    let next_cursor = items.last().filter(|_| has_more).map(|last| cursor::encode(&list, &last.seq));
    Ok(Reply(Page { items, next_cursor }))
}

/// The list's name, which its cursors are bound to.
fn list_name(conversation_id: Id, order: Order) -> String {
    match order {
        Order::Asc => format!("messages.{conversation_id}.asc"),
        Order::Desc => format!("messages.{conversation_id}.desc"),
    }
}
