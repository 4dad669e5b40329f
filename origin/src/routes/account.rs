//! The user, as they see themselves.

use axum::Json;
use shared::api::{Problem, account::User};

use crate::auth::CurrentUser;

/// The signed-in user
#[utoipa::path(
    get,
    path = "/api/v1/auth/me",
    operation_id = "auth_me",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 200, body = User),
        (status = 401, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn auth_me(current: CurrentUser) -> Json<User> {
    Json(current.user)
}

/// The signed-in user
#[utoipa::path(
    get,
    path = "/api/v1/users/me",
    operation_id = "users_me",
    tag = "users",
    security(("bearer" = [])),
    responses(
        (status = 200, body = User),
        (status = 401, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn users_me(current: CurrentUser) -> Json<User> {
    Json(current.user)
}
