//! `POST auth/change-password`, `POST auth/forgot-password` and `POST auth/reset-password`.

use axum::{Json as Reply, extract::State, http::StatusCode};
use shared::{
    address::Address,
    api::account::{
        Tokens,
        passwords::{ChangePasswordRequest, ForgotPasswordRequest, ResetPasswordRequest},
    },
};

use crate::{
    app::App,
    auth::{Requester, password_change::NewPassword},
    events::Announcements,
    http::{ClientIp, CurrentUser, Error, Json},
};

/// Change the password
///
/// The session goes on with the returned tokens: its earlier refresh tokens are invalid. All other sessions of the user end, and the
/// user is told by mail. Wrong passwords of a session are delayed: 10 cost nothing,
/// each further one doubles the time until the next, up to an hour.
#[utoipa::path(
    post,
    path = "/api/v1/auth/change-password",
    operation_id = "change_password",
    tag = "auth",
    security(("bearer" = [])),
    request_body(
        content = ChangePasswordRequest,
        example = json!({"current_password": "correct horse battery", "new_password": "staple battery horse"}),
    ),
    responses(
        (status = 200, description = "The tokens with which the session goes on", body = Tokens),
        (status = 401, description = "`invalid_credentials`: the current password is another one"),
    ),
)]
pub(in crate::routes) async fn change(
    State(app): State<App>,
    requester: Requester,
    current: CurrentUser,
    announcements: Announcements,
    Json(request): Json<ChangePasswordRequest>,
) -> Result<Reply<Tokens>, Error> {
    let CurrentUser { user, claims } = current;
    let ChangePasswordRequest { current_password: current, new_password: new } = request;
    let request = NewPassword { requester, claims, user, current, new };
    Ok(Reply(app.auth.change_password(request, &announcements).await?))
}

/// Send a link to set a new password
///
/// A mail with a link that is valid once, for 30 minutes, if somebody has the address. The answer does not tell whether. The link opens
/// a page of `PUBLIC_URL` with a form for the new password; an app that opens it itself sends its `token` to `auth/reset-password`.
/// Limited as `auth/otp/send` is.
#[utoipa::path(
    post,
    path = "/api/v1/auth/forgot-password",
    operation_id = "forgot_password",
    tag = "auth",
    request_body(content = ForgotPasswordRequest, example = json!({"email": "ada@example.com"})),
    responses((status = 202, description = "The mail is on its way, if somebody has the address")),
)]
pub(in crate::routes) async fn forgot(
    State(app): State<App>,
    ClientIp(ip): ClientIp,
    Json(request): Json<ForgotPasswordRequest>,
) -> Result<StatusCode, Error> {
    app.auth.send_reset_link(&ip, Address::email(&request.email)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Set a new password by a token
///
/// The token comes from a mail of `auth/forgot-password` or from `auth/otp/verify`. It is valid once, for 30 minutes. All sessions of
/// the user end, and the user is told by mail. Limited to 100 calls a minute from one address (`RATE_LIMIT_REQUESTS`); wrong tokens
/// are delayed as in `auth/refresh`.
#[utoipa::path(
    post,
    path = "/api/v1/auth/reset-password",
    operation_id = "reset_password",
    tag = "auth",
    request_body(
        content = ResetPasswordRequest,
        example = json!({
            "token": "kJ3nU0o2b8fQe5q1xT7yWc9dRzPaLmVsHgIuEoYtBwA",
            "new_password": "staple battery horse",
        }),
    ),
    responses(
        (status = 204, description = "The new password counts"),
        (status = 401, description = "`code_invalid`: the token is wrong, was used or has expired"),
    ),
)]
pub(in crate::routes) async fn reset(
    State(app): State<App>,
    requester: Requester,
    announcements: Announcements,
    Json(request): Json<ResetPasswordRequest>,
) -> Result<StatusCode, Error> {
    app.auth.reset_password(&requester, &request.token, request.new_password, &announcements).await?;
    Ok(StatusCode::NO_CONTENT)
}
