//! `POST auth/guest`.

use axum::{Json as Reply, extract::State, http::StatusCode};
use shared::api::account::{GuestRequest, Tokens};

use crate::{
    app::App,
    auth::Requester,
    http::{Error, body::OptionalJson},
};

/// Begin as a guest
///
/// Makes an account without e-mail address or password; only the session's tokens lead to it. An address that is verified
/// (`auth/otp/verify` with `verify`) or an account at Google or Apple that is linked (`auth/oidc/…`, with the access token) makes the
/// guest a user, who keeps id and conversations. A sign-in with `merge_guest_token` moves the conversations to another account.
/// Limited to 10 an hour (`GUEST_SIGN_UPS_PER_HOUR`) and 20 a day (`GUEST_SIGN_UPS_PER_DAY`) from one address, which is an IPv4
/// address or an IPv6 /64.
#[utoipa::path(
    post,
    path = "/api/v1/auth/guest",
    operation_id = "sign_up_guest",
    tag = "auth",
    request_body(content = Option<GuestRequest>, example = json!({"device_name": "Ada's phone"})),
    responses((status = 201, description = "The tokens of the guest's session", body = Tokens)),
)]
pub(in crate::routes) async fn begin(
    State(app): State<App>,
    requester: Requester,
    OptionalJson(request): OptionalJson<GuestRequest>,
) -> Result<(StatusCode, Reply<Tokens>), Error> {
    Ok((StatusCode::CREATED, Reply(app.auth.sign_up_guest(&requester, request.device_name).await?)))
}
