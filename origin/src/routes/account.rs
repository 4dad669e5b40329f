//! The user, as they see themselves.

use axum::Json;
use shared::api::account::User;

use crate::http::CurrentUser;

/// Show who is signed in
///
/// The same as `users/me`, for clients that look for it beside the sign-in.
#[utoipa::path(
    get,
    path = "/api/v1/auth/me",
    operation_id = "auth_me",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The user", body = User),
    ),
)]
pub(super) async fn auth_me(current: CurrentUser) -> Json<User> {
    Json(current.user)
}

/// Show the signed-in user
///
/// The user whose token it is, with the plan as it is now.
#[utoipa::path(
    get,
    path = "/api/v1/users/me",
    operation_id = "users_me",
    tag = "users",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The user", body = User),
    ),
)]
pub(super) async fn users_me(current: CurrentUser) -> Json<User> {
    Json(current.user)
}
