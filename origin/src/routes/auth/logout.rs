//! `POST auth/logout` and `POST auth/logout-all`.

use axum::{extract::State, http::StatusCode};

use crate::{
    app::App,
    auth::Requester,
    events::Announcements,
    http::{CurrentUser, Error},
};

/// Sign out
///
/// Ends the session of this token: its refresh token is invalid from then on, its access tokens are refused and its open streams
/// are closed. Running turns continue; another session of the user finds their answers.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    operation_id = "logout",
    tag = "auth",
    security(("bearer" = [])),
    responses((status = 204, description = "The session has ended")),
)]
pub(in crate::routes) async fn logout(
    State(app): State<App>,
    current: CurrentUser,
    requester: Requester,
    announcements: Announcements,
) -> Result<StatusCode, Error> {
    let claims = current.claims;
    app.auth.end_session(claims.sub, claims.sid, &requester, &announcements).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign out everywhere
///
/// Ends all sessions of the user, this one included.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout-all",
    operation_id = "logout_all",
    tag = "auth",
    security(("bearer" = [])),
    responses((status = 204, description = "All sessions have ended")),
)]
pub(in crate::routes) async fn logout_all(
    State(app): State<App>,
    current: CurrentUser,
    requester: Requester,
    announcements: Announcements,
) -> Result<StatusCode, Error> {
    let claims = current.claims;
    app.auth.end_sessions(claims.sub, Some(claims.sid), &requester, &announcements).await?;
    Ok(StatusCode::NO_CONTENT)
}
