//! `POST auth/refresh`.

use axum::{Json as Reply, extract::State};
use shared::api::account::{RefreshRequest, Tokens};

use crate::{
    app::App,
    auth::Requester,
    events::Announcements,
    http::{Error, Json},
};

/// Exchange a refresh token for the next pair
///
/// A refresh token is used once. Within ten seconds the token that was used last gets the same successor again, for clients
/// whose answer was lost; any later use ends the session (`session_ended`). Tokens that are
/// none of ours are delayed: 30 of one address cost nothing, each further one doubles the time until the next, up to a minute.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    operation_id = "refresh",
    tag = "auth",
    request_body(content = RefreshRequest, example = json!({"refresh_token": "the refresh token of the last answer"})),
    responses(
        (status = 200, description = "The next tokens of the session", body = Tokens),
        (status = 401, description = "`token_invalid` or `session_ended`"),
    ),
)]
pub(in crate::routes) async fn refresh(
    State(app): State<App>,
    requester: Requester,
    announcements: Announcements,
    Json(request): Json<RefreshRequest>,
) -> Result<Reply<Tokens>, Error> {
    Ok(Reply(app.auth.refresh(&request.refresh_token, &requester, &announcements).await?))
}
