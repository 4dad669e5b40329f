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
/// Limited to 100 calls a minute from one address (`RATE_LIMIT_REQUESTS`). Wrong passwords are delayed: 5 of one network for one
/// e-mail, 10 of all networks for one e-mail, and 30 of one address for all e-mails cost nothing; each further one doubles the time
/// until the next, from one second up to 3 hours, one hour and one minute, and one is forgiven in each of these times. An e-mail gets
/// at most 50 guesses a day. A device that signed in before has a count of its own, so that others cannot keep it out: it is known by
/// its network (IPv4 /24, IPv6 /48), or by an access token of an earlier session in `Authorization`, which may have expired. A user has
/// at most 100 open sessions: when another one begins, the one that was used longest ago ends. With
/// `merge_guest_token` the conversations of that guest are moved to the account.
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
    let LoginRequest { email, password, device_name, merge_guest_token } = request;
    let guest = app.auth.guest_of(merge_guest_token.as_deref()).await?;
    let attempt = SignIn { requester: requester.clone(), shown_token, email, password, device_name };
    let tokens = app.auth.sign_in(attempt, &announcements).await?;
    app.auth.merge_guest(guest, &tokens, &requester, &announcements).await?;
    Ok(Reply(tokens))
}
