//! `POST auth/refresh`.

use axum::{Json as Reply, extract::State};
use shared::api::{
    Problem,
    account::{RefreshRequest, Tokens},
};

use crate::{
    app::App,
    auth::sessions,
    http::{Failure, Json},
};

/// Exchange a refresh token for the next pair
///
/// A refresh token is used once. Within ten seconds the token that was used last gets the same successor again, for clients
/// whose answer was lost; any later use ends the session (`session_ended`).
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "auth",
    request_body = RefreshRequest,
    responses(
        (status = 200, body = Tokens),
        (
            status = 401,
            description = "`token_invalid` or `session_ended`",
            body = Problem,
            content_type = "application/problem+json",
        ),
    ),
)]
pub(in crate::routes) async fn refresh(
    State(app): State<App>,
    Json(request): Json<RefreshRequest>,
) -> Result<Reply<Tokens>, Failure> {
    sessions::refresh(&app, &request.refresh_token, app.clock.now()).await.map(Reply)
}
