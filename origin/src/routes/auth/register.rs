//! `POST auth/register`.

use axum::{Json as Reply, extract::State, http::StatusCode};
use shared::api::{
    ErrorCode,
    account::{Plan, RegisterRequest, Tokens, User, normalize_email},
};

use crate::{
    app::App,
    auth::sessions::Opening,
    http::{ClientIp, Failure, Json},
    store::accounts::Registration,
};

/// Create an account and sign in
///
/// Limited to 100 calls a minute from one address (`RATE_LIMIT_REQUESTS`).
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
    ip: ClientIp,
    Json(request): Json<RegisterRequest>,
) -> Result<(StatusCode, Reply<Tokens>), Failure> {
    let now = app.clock.now();
    app.throttle.sign_up(&*app.stores.ephemeral, &ip, now).await?;
    let password_hash = app.passwords.hash(request.password, &*app.random).await?;
    let user = User {
        id: app.random.id(now),
        email: Some(normalize_email(&request.email)),
        email_verified: false,
        phone: None,
        phone_verified: false,
        display_name: request.display_name,
        avatar_url: None,
        locale: None,
        timezone: None,
        plan: Plan::Basic,
        created_at: now,
    };
    let opening = Opening::prepare(&app, user.id, request.device_name, now);
    match app.stores.accounts.register(user.clone(), password_hash, opening.session.clone()).await? {
        Registration::Created => Ok((StatusCode::CREATED, Reply(opening.into_tokens(&app, user)))),
        Registration::EmailTaken => Err(ErrorCode::EmailTaken.into()),
    }
}
