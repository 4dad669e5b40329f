//! The user, as they see and change themselves.

use axum::{Json as Reply, extract::State};
use shared::api::account::{UpdateProfile, User};

use crate::{
    app::App,
    auth::Requester,
    http::{CurrentUser, Error, Json},
};

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
pub(super) async fn auth_me(current: CurrentUser) -> Reply<User> {
    Reply(current.user)
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
pub(super) async fn users_me(current: CurrentUser) -> Reply<User> {
    Reply(current.user)
}

/// Change the signed-in user
///
/// Only the given fields change; `null` clears one. Every session of the user sees the change at once.
#[utoipa::path(
    patch,
    path = "/api/v1/users/me",
    operation_id = "update_user",
    tag = "users",
    security(("bearer" = [])),
    request_body(
        content = UpdateProfile,
        example = json!({"display_name": "Ada", "avatar_url": null, "locale": "de-CH", "timezone": "Europe/Zurich"}),
    ),
    responses(
        (status = 200, description = "The user", body = User),
    ),
)]
pub(super) async fn update(
    State(app): State<App>,
    current: CurrentUser,
    requester: Requester,
    Json(request): Json<UpdateProfile>,
) -> Result<Reply<User>, Error> {
    Ok(Reply(app.auth.update_profile(&current.claims, request, &requester).await?))
}
