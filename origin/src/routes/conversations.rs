//! Conversations. Another user's gets the same response as one that does not exist.

use std::sync::Arc;

use axum::{Json as Reply, extract::State, http::StatusCode};
use garde::Validate;
use serde::Deserialize;
use shared::{
    api::{
        ApiError, ErrorCode,
        chat::{Conversation, CreateConversation, UNDELETE_DAYS, UpdateConversation},
        internal::user_event::{AddressedEvent, UserEvent},
        page::{Page, PageQuery},
    },
    id::Id,
    time::{DAY_MS, Timestamp},
};

use super::{
    idempotency,
    list_cache::{first_page, write_and_invalidate},
};
use crate::{
    app::App,
    events::Announcements,
    http::{CurrentUser, Encoded, Error, IdempotencyKey, Json, OptionalJson, PathId, Query, cursor},
    store::{
        Chats,
        chats::{ActivityPosition, ConversationsPage, DeletedPage, DeletionPosition, Updated},
    },
};

/// Open a conversation
///
/// The body may be absent. The same `Idempotency-Key` within 24 hours gets the same conversation, however often it is sent; after
/// that one was deleted, a new one.
#[utoipa::path(
    post,
    path = "/api/v1/chat/conversations",
    operation_id = "create_conversation",
    tag = "chat",
    security(("bearer" = [])),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Your name for this request, 1 to 255 characters"),
    ),
    request_body(
        content = Option<CreateConversation>,
        example = json!({"title": "Rust", "model": "fast", "system": "Answer in one paragraph."}),
    ),
    responses(
        (status = 201, description = "The new conversation", body = Conversation),
        (status = 409, description = "`conflict`: the key was used for too many deleted conversations"),
        (
            status = 422,
            description = "`validation_failed`, or `idempotency_key_reused`: the key came with another body",
        ),
    ),
)]
pub(super) async fn create(
    State(app): State<App>,
    current: CurrentUser,
    IdempotencyKey(key): IdempotencyKey,
    OptionalJson(request): OptionalJson<CreateConversation>,
) -> Result<(StatusCode, Reply<Conversation>), Error> {
    let user_id = current.user.id;
    for generation in 0..idempotency::GENERATIONS {
        let (what, key) = ("create-conversation", key.clone());
        let reserved = idempotency::reserve(&app, what, generation, user_id, key, &request).await?;
        let conversation = new_conversation(reserved.id, request.clone(), reserved.at);
        let stored = conversation.clone();
        let creation =
            |chats: Arc<dyn Chats>| async move { chats.create_conversation(user_id, stored).await };
        write_and_invalidate(&app, user_id, creation).await?;
        // A deleted conversation stays deleted in the store, so a repetition may have created nothing.
        if !reserved.repeated || app.stores.chats.conversation(user_id, reserved.id).await?.is_some() {
            return Ok((StatusCode::CREATED, Reply(conversation)));
        }
    }
    Err(ErrorCode::Conflict.into())
}

fn new_conversation(id: Id, request: CreateConversation, now: Timestamp) -> Conversation {
    Conversation {
        id,
        title: request.title,
        model: request.model,
        system: request.system,
        pinned: false,
        archived: false,
        head_id: None,
        message_count: 0,
        last_message_preview: None,
        last_message_at: None,
        created_at: now,
        updated_at: now,
        messages_deleted_at: None,
        deleted_at: None,
    }
}

/// The filter of a list of conversations.
#[derive(Deserialize, Validate, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ConversationsFilter {
    /// `true`: only archived ones; `false`: only others; absent: all.
    #[serde(default)]
    #[garde(custom(not_beside_deleted(self.deleted)))]
    archived: Option<bool>,
    /// `true`: only pinned ones; `false`: only others; absent: all.
    #[serde(default)]
    #[garde(custom(not_beside_deleted(self.deleted)))]
    pinned: Option<bool>,
    /// `true`: only deleted ones that can be brought back, last deletion first; `false` or absent: only others. Not together with
    /// another filter.
    #[serde(default)]
    #[garde(skip)]
    deleted: Option<bool>,
}

impl ConversationsFilter {
    const fn is_of_deleted(&self) -> bool {
        matches!(self.deleted, Some(true))
    }

    /// The list's name, which its cursors are bound to.
    fn list(&self) -> String {
        if self.is_of_deleted() {
            return "conversations.deleted".to_owned();
        }
        let archived = match self.archived {
            None => "",
            Some(true) => ".archived",
            Some(false) => ".active",
        };
        let pinned = match self.pinned {
            None => "",
            Some(true) => ".pinned",
            Some(false) => ".unpinned",
        };
        format!("conversations{archived}{pinned}")
    }
}

/// The rule of other filters beside `deleted`.
fn not_beside_deleted(deleted: Option<bool>) -> impl FnOnce(&Option<bool>, &()) -> garde::Result {
    move |filter, ()| match (filter, deleted) {
        (Some(_), Some(true)) => Err(garde::Error::new("must not stand beside deleted=true")),
        _ => Ok(()),
    }
}

/// List conversations
///
/// Newest activity first: a conversation moves to the top when a message comes. Pinned ones have no other place: a client that
/// shows them on top reads two lists, with `pinned=true` and `pinned=false`.
#[utoipa::path(
    get,
    path = "/api/v1/chat/conversations",
    operation_id = "list_conversations",
    tag = "chat",
    security(("bearer" = [])),
    params(PageQuery, ConversationsFilter),
    responses(
        (status = 200, description = "A page of conversations", body = Page<Conversation>),
    ),
)]
pub(super) async fn list(
    State(app): State<App>,
    current: CurrentUser,
    Query(page): Query<PageQuery>,
    Query(filter): Query<ConversationsFilter>,
) -> Result<Encoded, Error> {
    let (list, limit) = (filter.list(), page.limit());
    if filter.is_of_deleted() {
        let after = cursor::decode(&list, page.cursor.as_deref())?;
        let since = undelete_since(app.clock.now());
        let wanted = DeletedPage { since, after, limit: cursor::one_more(limit) };
        let found = app.stores.chats.deleted_conversations(current.user.id, wanted).await?;
        return Encoded::of(&cursor::page(found, limit, &list, DeletionPosition::of));
    }
    let after = cursor::decode(&list, page.cursor.as_deref())?;
    let read = read_page(&app, current.user.id, &filter, limit, after);
    if after.is_some() {
        return read.await;
    }
    let entry = format!("{list}.{limit}");
    first_page(&app, current.user.id, &entry, app.clock.now(), read).await
}

/// A page of the list after this place, or its first one.
async fn read_page(
    app: &App,
    user_id: Id,
    filter: &ConversationsFilter,
    limit: u32,
    after: Option<ActivityPosition>,
) -> Result<Encoded, Error> {
    let ConversationsFilter { archived, pinned, .. } = *filter;
    let wanted = ConversationsPage { archived, pinned, after, limit: cursor::one_more(limit) };
    let found = app.stores.chats.conversations(user_id, wanted).await?;
    Encoded::of(&cursor::page(found, limit, &filter.list(), ActivityPosition::of))
}

/// Show a conversation
///
/// Its messages have a list of their own.
#[utoipa::path(
    get,
    path = "/api/v1/chat/conversations/{id}",
    operation_id = "show_conversation",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The conversation")),
    responses(
        (status = 200, description = "The conversation", body = Conversation),
    ),
)]
pub(super) async fn show(
    State(app): State<App>,
    current: CurrentUser,
    PathId(id): PathId,
) -> Result<Reply<Conversation>, Error> {
    let found = app.stores.chats.conversation(current.user.id, id).await?;
    found.map(Reply).ok_or_else(|| ErrorCode::NotFound.into())
}

/// Change a conversation
///
/// Only the given fields change; `null` clears one. The order of the list stays. `head_id` selects the shown branch: the one that
/// ends with this message, and the next message follows it. Until then the newest turn sets the head.
#[utoipa::path(
    patch,
    path = "/api/v1/chat/conversations/{id}",
    operation_id = "update_conversation",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The conversation")),
    request_body(content = UpdateConversation, example = json!({"title": "Rust", "pinned": true})),
    responses(
        (status = 200, description = "The conversation", body = Conversation),
        (
            status = 422,
            description = "`validation_failed`: a field breaks its rule, or `head_id` is no message of the conversation",
        ),
    ),
)]
pub(super) async fn update(
    State(app): State<App>,
    current: CurrentUser,
    announcements: Announcements,
    PathId(id): PathId,
    Json(request): Json<UpdateConversation>,
) -> Result<Reply<Conversation>, Error> {
    let (user_id, now) = (current.user.id, app.clock.now());
    let changes_context = request.model.is_some() || request.system.is_some() || request.head_id.is_some();
    let update =
        |chats: Arc<dyn Chats>| async move { chats.update_conversation(user_id, id, request, now).await };
    match write_and_invalidate(&app, user_id, update).await? {
        Updated::Now(conversation) => {
            if changes_context {
                announce_change(&app, &announcements, user_id, id, now);
            }
            Ok(Reply(*conversation))
        }
        Updated::Absent => Err(ErrorCode::NotFound.into()),
        Updated::UnknownHead => {
            Err(ApiError::invalid_field("head_id", "is no message of this conversation").into())
        }
    }
}

/// Delete a conversation
///
/// It is nowhere any more but in the list with `deleted=true`, from which it can be brought back for 30 days, with all its messages.
/// Then they are removed for good. Its usage stays counted.
#[utoipa::path(
    delete,
    path = "/api/v1/chat/conversations/{id}",
    operation_id = "delete_conversation",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The conversation")),
    responses(
        (status = 204, description = "It is deleted"),
    ),
)]
pub(super) async fn delete(
    State(app): State<App>,
    current: CurrentUser,
    announcements: Announcements,
    PathId(id): PathId,
) -> Result<StatusCode, Error> {
    let (user_id, now) = (current.user.id, app.clock.now());
    let deletion = |chats: Arc<dyn Chats>| async move { chats.delete_conversation(user_id, id, now).await };
    let deleted = write_and_invalidate(&app, user_id, deletion).await?;
    if !deleted {
        return Err(ErrorCode::NotFound.into());
    }
    let event = UserEvent::ConversationDeleted { conversation_id: id };
    announcements.add(AddressedEvent { id: app.random.id(now), user_id, at: now, event });
    Ok(StatusCode::NO_CONTENT)
}

/// Bring back a deleted conversation
///
/// With all that was in it, also answers that came since. 404 when it was deleted more than 30 days ago; one that is not deleted is
/// answered as it is.
#[utoipa::path(
    post,
    path = "/api/v1/chat/conversations/{id}/undelete",
    operation_id = "undelete_conversation",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The conversation")),
    responses(
        (status = 200, description = "The conversation", body = Conversation),
    ),
)]
pub(super) async fn undelete(
    State(app): State<App>,
    current: CurrentUser,
    announcements: Announcements,
    PathId(id): PathId,
) -> Result<Reply<Conversation>, Error> {
    let (user_id, now) = (current.user.id, app.clock.now());
    let since = undelete_since(now);
    let undeletion =
        |chats: Arc<dyn Chats>| async move { chats.undelete_conversation(user_id, id, since, now).await };
    let undeleted = write_and_invalidate(&app, user_id, undeletion).await?.ok_or(ErrorCode::NotFound)?;
    announce_change(&app, &announcements, user_id, id, now);
    Ok(Reply(undeleted))
}

/// Announces that what the Worker has cached of a conversation is wrong.
pub(super) fn announce_change(
    app: &App,
    announcements: &Announcements,
    user_id: Id,
    conversation_id: Id,
    now: Timestamp,
) {
    let event = UserEvent::ConversationChanged { conversation_id };
    announcements.add(AddressedEvent { id: app.random.id(now), user_id, at: now, event });
}

/// The time after which a conversation must have been deleted to be brought back.
const fn undelete_since(now: Timestamp) -> Timestamp {
    now.plus_millis(-UNDELETE_DAYS * DAY_MS)
}
