//! `POST auth/oidc/google` and `POST auth/oidc/apple`.

use axum::{Json as Reply, extract::State};
use shared::api::{
    ApiError,
    account::{AppleSignInRequest, GoogleSignInRequest, Provider, Tokens},
};

use crate::{
    app::App,
    auth::{Requester, identities::ShownIdentity},
    events::Announcements,
    http::{Error, Json, auth::OptionalUser},
};

/// Sign in with Google
///
/// Takes the id token of Google's SDK, issued to one of `GOOGLE_CLIENT_IDS`. Where nobody has the Google account, it is linked to
/// whoever has its verified e-mail address, as a one-time code for that address does; where nobody has that either, an account is
/// made. With an access token, the Google account is linked to the user of that token instead, who may be a guest and keeps id and
/// conversations; the session goes on with the returned tokens. Limited to 100 calls a minute from one address
/// (`RATE_LIMIT_REQUESTS`).
#[utoipa::path(
    post,
    path = "/api/v1/auth/oidc/google",
    operation_id = "sign_in_with_google",
    tag = "auth",
    security((), ("bearer" = [])),
    request_body(
        content = GoogleSignInRequest,
        example = json!({"id_token": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "nonce": "n-0S6_WzA2Mj"}),
    ),
    responses(
        (status = 200, description = "The tokens of the session", body = Tokens),
        (status = 401, description = "`invalid_credentials`: the id token is not accepted; the detail says why"),
        (status = 404, description = "`not_found`: sign-in with Google is not configured"),
        (status = 409, description = "`conflict`: another account has the Google account, or its address"),
        (status = 503, description = "`provider_unavailable`: Google does not answer"),
    ),
)]
pub(in crate::routes) async fn google(
    State(app): State<App>,
    requester: Requester,
    OptionalUser(current): OptionalUser,
    announcements: Announcements,
    Json(request): Json<GoogleSignInRequest>,
) -> Result<Reply<Tokens>, Error> {
    let GoogleSignInRequest { id_token, nonce, display_name, device_name, merge_guest_token } = request;
    let shown = ShownIdentity {
        requester,
        provider: Provider::Google,
        id_token,
        nonce,
        authorization_code: None,
        display_name,
        device_name,
    };
    enter(&app, shown, OptionalUser(current), merge_guest_token, announcements).await
}

/// Sign in with Apple
///
/// Takes the identity token of Apple's SDK, issued to one of `APPLE_CLIENT_IDS`; otherwise as with Google. The authorization code is
/// exchanged after the answer for a token that is revoked when the account is deleted.
#[utoipa::path(
    post,
    path = "/api/v1/auth/oidc/apple",
    operation_id = "sign_in_with_apple",
    tag = "auth",
    security((), ("bearer" = [])),
    request_body(
        content = AppleSignInRequest,
        example = json!({
            "id_token": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
            "nonce": "n-0S6_WzA2Mj",
            "authorization_code": "c2c3.0.mrxz.d5e8",
            "display_name": "Ada",
        }),
    ),
    responses(
        (status = 200, description = "The tokens of the session", body = Tokens),
        (status = 401, description = "`invalid_credentials`: the id token is not accepted; the detail says why"),
        (status = 404, description = "`not_found`: sign-in with Apple is not configured"),
        (status = 409, description = "`conflict`: another account has the Apple account, or its address"),
        (status = 503, description = "`provider_unavailable`: Apple does not answer"),
    ),
)]
pub(in crate::routes) async fn apple(
    State(app): State<App>,
    requester: Requester,
    OptionalUser(current): OptionalUser,
    announcements: Announcements,
    Json(request): Json<AppleSignInRequest>,
) -> Result<Reply<Tokens>, Error> {
    let AppleSignInRequest {
        id_token,
        nonce,
        authorization_code,
        display_name,
        device_name,
        merge_guest_token,
    } = request;
    let shown = ShownIdentity {
        requester,
        provider: Provider::Apple,
        id_token,
        nonce,
        authorization_code,
        display_name,
        device_name,
    };
    enter(&app, shown, OptionalUser(current), merge_guest_token, announcements).await
}

/// Links the identity to the signed-in user; without one, signs in by it.
async fn enter(
    app: &App,
    shown: ShownIdentity,
    OptionalUser(current): OptionalUser,
    merge_guest_token: Option<String>,
    announcements: Announcements,
) -> Result<Reply<Tokens>, Error> {
    if let Some(current) = current {
        if merge_guest_token.is_some() {
            let wanted =
                "must be absent where Authorization is there: the identity is linked to that token's user";
            return Err(ApiError::invalid_field("merge_guest_token", wanted).into());
        }
        return Ok(Reply(app.auth.link_identity(shown, current.user, &current.claims).await?));
    }
    let guest = app.auth.guest_of(merge_guest_token.as_deref()).await?;
    let requester = shown.requester.clone();
    let tokens = app.auth.sign_in_by_identity(shown, &announcements).await?;
    app.auth.merge_guest(guest, &tokens, &requester, &announcements).await?;
    Ok(Reply(tokens))
}
