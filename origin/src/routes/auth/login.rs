//! `POST auth/login`.

use axum::{Json as Reply, extract::State};
use shared::api::account::{LoginRequest, Tokens};

use crate::{
    app::App,
    auth::{Requester, sign_in::SignIn},
    events::Announcements,
    http::{Error, Json, auth::ShownBearer},
};

/// Sign in with e-mail and password
///
/// Limited to 100 calls a minute from one address (`RATE_LIMIT_REQUESTS`), to 10 failures in 15 minutes from one address for one
/// e-mail, and to 50 failures a day for one e-mail from anywhere. A device that signed in before has a daily count of its own: it
/// is known by its network (IPv4 /24, IPv6 /48), or by an access token of an earlier session in `Authorization`, which may have
/// expired. A user has at most 100 open sessions: when another one begins, the one that was used longest ago ends.
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
    requester: Requester,
    ShownBearer(shown_token): ShownBearer,
    announcements: Announcements,
    Json(request): Json<LoginRequest>,
) -> Result<Reply<Tokens>, Error> {
    let LoginRequest { email, password, device_name } = request;
    let attempt = SignIn { requester, shown_token, email, password, device_name };
    Ok(Reply(app.auth.sign_in(attempt, &announcements).await?))
}
