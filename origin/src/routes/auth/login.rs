//! `POST auth/login`.

use axum::{Json as Reply, extract::State};
use shared::api::account::{LoginRequest, Tokens};

use super::sign_in;
use crate::{
    app::App,
    http::{ClientIp, Failure, Json},
};

/// Sign in with e-mail and password
///
/// Limited to 100 calls a minute from one address (`RATE_LIMIT_REQUESTS`), and to 10 failures in 15 minutes from one
/// address for one e-mail.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    operation_id = "login",
    tag = "auth",
    request_body(
        content = LoginRequest,
        example = json!({"email": "ada@example.com", "password": "correct horse battery"}),
    ),
    responses(
        (status = 200, description = "The tokens of a new session", body = Tokens),
        (status = 401, description = "`invalid_credentials`"),
    ),
)]
pub(in crate::routes) async fn login(
    State(app): State<App>,
    ip: ClientIp,
    Json(request): Json<LoginRequest>,
) -> Result<Reply<Tokens>, Failure> {
    let now = app.clock.now();
    sign_in(&app, &ip, &request.email, request.password, request.device_name, now).await.map(Reply)
}
