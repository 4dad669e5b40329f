//! `POST auth/register`.

use axum::{Json as Reply, extract::State, http::StatusCode};
use shared::{
    api::{
        ErrorCode,
        account::{Plan, RegisterRequest, Tokens, User},
    },
    text::{earlier_email, normalize_email},
    time::Timestamp,
};

use crate::{
    app::App,
    auth::sessions::Opening,
    http::{ClientIp, Failure, Json, detached},
    store::accounts::users::Registration,
};

/// Create an account and sign in
///
/// Limited to 100 calls a minute from one address (`RATE_LIMIT_REQUESTS`), and to 20 a day from one network, which is an IPv4 /24
/// or an IPv6 /48 (`SIGN_UP_DAILY_LIMIT`). The password is the same in every spelling (RFC 8265, OpaqueString).
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
    let outcome = detached(counted(app, ip, request, now)).await?;
    outcome.map(|tokens| (StatusCode::CREATED, Reply(tokens)))
}

/// Like [`registered`], and takes the sign-up out of the day's count when it came to no decision, such as in an outage. A taken
/// address is a decision: how many addresses somebody may try is limited as well.
async fn counted(
    app: App,
    ip: ClientIp,
    request: RegisterRequest,
    now: Timestamp,
) -> Result<Tokens, Failure> {
    let outcome = registered(&app, &ip, request, now).await;
    let undecided = outcome.as_ref().is_err_and(|error| error.to_api_error().code != ErrorCode::EmailTaken);
    if undecided {
        app.throttle.sign_up_undecided(&*app.stores.ephemeral, &ip, app.clock.now()).await;
    }
    outcome
}

/// Makes the account with its first session.
async fn registered(
    app: &App,
    ip: &ClientIp,
    request: RegisterRequest,
    now: Timestamp,
) -> Result<Tokens, Failure> {
    if let Some(earlier) = earlier_email(&request.email)
        && app.stores.accounts.credential(earlier, None).await?.is_some()
    {
        // Stored as it was typed, at a time when addresses were compared more strictly.
        return Err(ErrorCode::EmailTaken.into());
    }
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
    let opening = Opening::prepare(app, user.id, ip, request.device_name, now);
    match app.stores.accounts.register(user.clone(), password_hash, opening.session.clone()).await? {
        Registration::Created => Ok(opening.into_tokens(app, user)),
        Registration::EmailTaken => Err(ErrorCode::EmailTaken.into()),
    }
}
