//! Conversations. Somebody else's is answered exactly like one that does not exist.

use axum::{Json as Reply, extract::State, http::StatusCode};
use garde::Validate;
use serde::Deserialize;
use shared::{
    api::{
        ErrorCode, Problem,
        chat::{Conversation, CreateConversation, UpdateConversation},
        page::{Page, PageQuery},
    },
    id::Id,
    time::Timestamp,
};

use crate::{
    app::App,
    auth::CurrentUser,
    http::{Failure, Json, PathId, Query, cursor},
    store::chats::{ActivityPosition, ConversationsPage},
};

/// Open a conversation
#[utoipa::path(
    post,
    path = "/api/v1/chat/conversations",
    operation_id = "create_conversation",
    tag = "chat",
    security(("bearer" = [])),
    request_body = CreateConversation,
    responses(
        (status = 201, body = Conversation),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn create(
    State(app): State<App>,
    current: CurrentUser,
    Json(request): Json<CreateConversation>,
) -> Result<(StatusCode, Reply<Conversation>), Failure> {
    let now = app.clock.now();
    let conversation = new_conversation(app.random.id(now), request, now);
    app.stores.chats.create_conversation(current.user.id, conversation.clone()).await?;
    Ok((StatusCode::CREATED, Reply(conversation)))
}

fn new_conversation(id: Id, request: CreateConversation, now: Timestamp) -> Conversation {
    Conversation {
        id,
        title: request.title,
        model: request.model,
        system: request.system,
        pinned: false,
        archived: false,
        message_count: 0,
        last_message_preview: None,
        last_message_at: None,
        created_at: now,
        updated_at: now,
    }
}

/// Which conversations a list holds.
#[derive(Deserialize, Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ConversationsFilter {
    /// `true`: only archived ones; `false`: only others; absent: all.
    #[serde(default)]
    #[garde(skip)]
    archived: Option<bool>,
}

impl ConversationsFilter {
    /// The list's name, which its cursors are bound to.
    const fn list(&self) -> &'static str {
        match self.archived {
            None => "conversations",
            Some(true) => "conversations.archived",
            Some(false) => "conversations.active",
        }
    }
}

/// List conversations, newest activity first
#[utoipa::path(
    get,
    path = "/api/v1/chat/conversations",
    operation_id = "list_conversations",
    tag = "chat",
    security(("bearer" = [])),
    params(PageQuery, ConversationsFilter),
    responses(
        (status = 200, body = Page<Conversation>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(app): State<App>,
    current: CurrentUser,
    Query(page): Query<PageQuery>,
    Query(filter): Query<ConversationsFilter>,
) -> Result<Reply<Page<Conversation>>, Failure> {
    let after = cursor::decode(filter.list(), page.cursor.as_deref())?;
    let wanted =
        ConversationsPage { archived: filter.archived, after, limit: cursor::one_more(page.limit()) };
    let found = app.stores.chats.conversations(current.user.id, wanted).await?;
    Ok(Reply(cursor::page(found, page.limit(), filter.list(), ActivityPosition::of)))
}

/// Show a conversation
#[utoipa::path(
    get,
    path = "/api/v1/chat/conversations/{id}",
    operation_id = "show_conversation",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The conversation")),
    responses(
        (status = 200, body = Conversation),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(
    State(app): State<App>,
    current: CurrentUser,
    PathId(id): PathId,
) -> Result<Reply<Conversation>, Failure> {
    let found = app.stores.chats.conversation(current.user.id, id).await?;
    found.map(Reply).ok_or_else(|| ErrorCode::NotFound.into())
}

/// Change a conversation
///
/// Only what is named changes; `null` clears. The order of the list stays.
#[utoipa::path(
    patch,
    path = "/api/v1/chat/conversations/{id}",
    operation_id = "update_conversation",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The conversation")),
    request_body = UpdateConversation,
    responses(
        (status = 200, body = Conversation),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn update(
    State(app): State<App>,
    current: CurrentUser,
    PathId(id): PathId,
    Json(request): Json<UpdateConversation>,
) -> Result<Reply<Conversation>, Failure> {
    let changed = app.stores.chats.update_conversation(current.user.id, id, request, app.clock.now()).await?;
    changed.map(Reply).ok_or_else(|| ErrorCode::NotFound.into())
}

/// Delete a conversation with all its messages
#[utoipa::path(
    delete,
    path = "/api/v1/chat/conversations/{id}",
    operation_id = "delete_conversation",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The conversation")),
    responses(
        (status = 204),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn delete(
    State(app): State<App>,
    current: CurrentUser,
    PathId(id): PathId,
) -> Result<StatusCode, Failure> {
    let deleted = app.stores.chats.delete_conversation(current.user.id, id).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(ErrorCode::NotFound.into()) }
}
