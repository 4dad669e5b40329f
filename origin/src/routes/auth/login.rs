//! `POST auth/login`.

use axum::{Json as Reply, extract::State};
use shared::api::{
    Problem,
    account::{LoginRequest, Tokens},
};

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
    tag = "auth",
    request_body = LoginRequest,
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "`invalid_credentials`", body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
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
