//! `GET auth/verify`.

use axum::Json;
use serde::Serialize;
use shared::{api::account::Plan, id::Id, time::Timestamp};

use crate::http::CurrentUser;

/// A token that lets its holder in.
#[derive(Serialize, utoipa::ToSchema)]
pub(in crate::routes) struct ValidToken {
    /// Always true: a token that is not valid gets a 401.
    valid: bool,
    /// The user.
    user_id: Id,
    /// The session.
    session_id: Id,
    /// What the user has paid for, now.
    plan: Plan,
    /// When the token expires.
    expires_at: Timestamp,
}

/// Check an access token
///
/// For other services: whose it is, of which session, and how long it lasts.
#[utoipa::path(
    get,
    path = "/api/v1/auth/verify",
    operation_id = "verify_token",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The token lets its holder in", body = ValidToken),
    ),
)]
pub(in crate::routes) async fn verify(CurrentUser { user, claims }: CurrentUser) -> Json<ValidToken> {
    Json(ValidToken {
        valid: true,
        user_id: user.id,
        session_id: claims.sid,
        plan: user.plan,
        expires_at: claims.expires_at(),
    })
}
