//! `GET auth/sessions` and `DELETE auth/sessions/{id}`.

use axum::{Json as Reply, extract::State, http::StatusCode};
use shared::{
    api::{
        ErrorCode,
        account::Session,
        page::{Page, PageQuery},
    },
    id::Id,
};

use crate::{
    app::App,
    auth::Requester,
    events::Announcements,
    http::{CurrentUser, Error, PathId, Query, cursor},
    store::accounts::TimePosition,
};

/// The list's name, which its cursors are bound to.
const LIST: &str = "sessions";

/// List the user's open sessions
///
/// Those that began last come first. There are at most 100: when another one begins, the one that was used longest ago ends.
#[utoipa::path(
    get,
    path = "/api/v1/auth/sessions",
    operation_id = "list_sessions",
    tag = "auth",
    security(("bearer" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of sessions", body = Page<Session>),
    ),
)]
pub(in crate::routes) async fn list(
    State(app): State<App>,
    current: CurrentUser,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<Session>>, Error> {
    let after = cursor::decode(LIST, page.cursor.as_deref())?;
    let limit = cursor::one_more(page.limit());
    let sessions = app.auth.open_sessions(&current.claims, after, limit).await?;
    let place = |session: &Session| TimePosition { at: session.created_at, id: session.id };
    Ok(Reply(cursor::page(sessions, page.limit(), LIST, place)))
}

/// End a session
///
/// Signs another device out, or this one: the session's refresh token is invalid from then on, its access tokens are refused and
/// its open streams are closed. A session that has ended is absent.
#[utoipa::path(
    delete,
    path = "/api/v1/auth/sessions/{id}",
    operation_id = "end_session",
    tag = "auth",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The session")),
    responses((status = 204, description = "The session has ended")),
)]
pub(in crate::routes) async fn end(
    State(app): State<App>,
    current: CurrentUser,
    requester: Requester,
    announcements: Announcements,
    PathId(id): PathId,
) -> Result<StatusCode, Error> {
    let is_ended = app.auth.end_session(current.user.id, id, &requester, &announcements).await?;
    if is_ended { Ok(StatusCode::NO_CONTENT) } else { Err(ErrorCode::NotFound.into()) }
}
