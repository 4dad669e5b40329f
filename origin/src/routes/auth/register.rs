//! `POST auth/register`.

use axum::{Json as Reply, extract::State, http::StatusCode};
use shared::api::account::{RegisterRequest, Tokens};

use crate::{
    app::App,
    auth::Requester,
    http::{Error, Json},
};

/// Create an account and sign in
///
/// Limited to 100 calls a minute from one address (`RATE_LIMIT_REQUESTS`), and to 20 a day from one network, which is an IPv4 /24
/// or an IPv6 /48 (`SIGN_UP_DAILY_LIMIT`). Addresses that are taken are delayed as wrong tokens are in `auth/refresh`.
/// The password is the same in every spelling (RFC 8265, OpaqueString). A mail with a link confirms the address.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    operation_id = "register",
    tag = "auth",
    request_body(
        content = RegisterRequest,
        example = json!({
            "email": "ada@example.com",
            "password": "correct horse battery",
            "display_name": "Ada",
        }),
    ),
    responses(
        (status = 201, description = "The tokens of the first session", body = Tokens),
        (status = 400, description = "`email_taken`, `invalid_json` or `invalid_request`"),
    ),
)]
pub(in crate::routes) async fn register(
    State(app): State<App>,
    requester: Requester,
    Json(request): Json<RegisterRequest>,
) -> Result<(StatusCode, Reply<Tokens>), Error> {
    Ok((StatusCode::CREATED, Reply(app.auth.sign_up(requester, request).await?)))
}
